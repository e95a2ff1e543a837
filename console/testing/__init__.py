"""Sending a test message: it takes the way of every other message, through the API's own intake."""
