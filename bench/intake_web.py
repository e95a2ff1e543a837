"""The service with the views for comparison beside its own: `granian bench.intake_web:application`.

They exist in the benchmark only.
"""

from __future__ import annotations

from django.conf import settings

from config.wsgi import application

__all__ = ["application"]

settings.ROOT_URLCONF = "bench.intake_views"  # read with the first request
