"""Connecting a number, and its page: what it does, what holds it, and what staff can do."""
