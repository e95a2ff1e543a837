"""The WSGI callable that granian serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

from django.urls import get_resolver  # noqa: E402 - these need the app registry

from messaging import tracing  # noqa: E402 - as above
from orgs import collector, measures  # noqa: E402 - as above

measures.start()
tracing.start()

# All views are loaded now, before the collector settles, rather than by the first request.
_ = get_resolver().url_patterns
collector.settle()
