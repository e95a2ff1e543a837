"""The service with the views for comparison beside its own: `granian bench.intake_web:application`.

They exist in the benchmark only.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
settings.ROOT_URLCONF = "bench.intake_views"  # read with the first request
