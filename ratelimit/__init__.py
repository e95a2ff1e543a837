"""How many messages may go now, and what stands still."""
