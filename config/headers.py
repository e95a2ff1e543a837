"""What a page may load and do, told to the browser; the API answers machines and is left alone."""

from __future__ import annotations

from typing import Any

CONSOLE = "/admin/"
API_PAGES = "/api/docs/"

_SELF = ["'self'"]
STRICT: dict[str, Any] = {
    "default-src": _SELF,
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": _SELF,
    "frame-ancestors": ["'none'"],
}
# Unfold's Alpine compiles the expressions of its templates, and sets styles on elements.
FOR_CONSOLE = {
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:"],
}
FOR_API_PAGES = {"style-src": ["'self'", "'unsafe-inline'"], "img-src": ["'self'", "data:"]}

# Nothing here needs any of it.
PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope"),
        *("magnetometer", "microphone", "midi", "payment", "usb"),
    )
)
