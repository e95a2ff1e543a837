"""JSON log lines that hold ids and never a token, a body or a phone number."""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

# The only extra fields a line may carry: a new one is a decision, not an accident.
FIELDS = (
    "message_id",
    "org_id",
    "attempt",
    "outcome",
    "code",
    "count",
    "delivery_id",
    "number_id",
    "task",
    "seconds",
    "status",
)

_MASKS = (
    # Phone numbers, and long digit runs in general: Meta's ids are not worth the risk.
    (re.compile(r"(?<![\w-])\+?\d{7,}(?![\w-])"), "[number]"),
    (re.compile(r"\bob_[A-Za-z0-9]{8}_[A-Za-z0-9_-]+"), "[api key]"),
    (re.compile(r"\bEAA[A-Za-z0-9]{10,}"), "[token]"),
    (re.compile(r"(?i)\bbearer\s+\S+"), "Bearer [token]"),
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), "://[credentials]@"),
)


def redact(text: str) -> str:
    """Replace what looks like a phone number, key, token or password."""
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, text and the allowed fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "text": redact(record.getMessage()),
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value if isinstance(value, int | float) else str(value)
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["trace"] = redact(_frames(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one readable line."""
        extra = " ".join(
            f"{name}={getattr(record, name)}"
            for name in FIELDS
            if getattr(record, name, None) is not None
        )
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        text = f"{clock} {record.levelname:<7} {redact(record.getMessage())} {extra}".rstrip()
        if record.exc_info and record.exc_info[0]:
            text += "\n" + redact(_frames(record.exc_info))
        return text


def _frames(exc_info: Any) -> str:
    """Return where it happened and the kind of error, without the error's own text.

    Database drivers put the failing row into their messages; a row may hold a phone number.
    """
    kind, _error, trace = exc_info
    return f"{''.join(traceback.format_tb(trace))}{kind.__name__}"


def configuration(*, level: str, as_text: bool) -> dict[str, Any]:
    """Return the dictConfig: everything to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": "config.logs.JsonFormatter"},
            "text": {"()": "config.logs.TextFormatter"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "text" if as_text else "json",
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"level": level, "propagate": True, "handlers": []},
            # Django logs every 4xx with its path; the access log of the server is enough.
            "django.request": {"level": "ERROR"},
            "django.server": {"level": "ERROR"},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "ERROR"},
            # It tells of every connection taken from the pool and given back.
            "psycopg.pool": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},
        },
    }
