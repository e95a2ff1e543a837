"""Dates as operators compare them: 24 hours, with seconds, UTC like everything here."""

DATETIME_FORMAT = "j M Y H:i:s"
DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i:s"
