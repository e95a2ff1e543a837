"""A stand-alone program that behaves like Meta's Graph API host; it shares nothing with us."""
