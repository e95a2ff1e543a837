"""Two ways to make many calls at once, behind one interface."""
