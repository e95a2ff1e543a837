"""Two places to count in, one behaviour."""
