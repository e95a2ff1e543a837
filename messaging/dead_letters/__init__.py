"""The dead letter queue as a whole: what is in it, and acting on everything that matches."""
