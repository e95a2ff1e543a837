"""Reading the figures: each by statements that an index answers, whatever the tables' size."""
