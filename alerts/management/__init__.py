"""Command-line doors of the app."""
