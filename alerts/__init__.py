"""Telling people: checks, incidents, and the outlets notices go out by."""
