"""Consents as files: taken in, and handed out, a piece at a time."""
