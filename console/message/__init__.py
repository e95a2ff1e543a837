"""Everything about one message on one page."""
