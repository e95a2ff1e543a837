"""The WSGI callable that granian serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django = get_wsgi_application()

from django.urls import get_resolver  # noqa: E402 - these need the app registry

from config.door import Door  # noqa: E402 - as above
from messaging import tracing  # noqa: E402 - as above
from orgs import collector, measures  # noqa: E402 - as above

measures.start()
tracing.start()

# All views are loaded now, before the collector settles, rather than by the first request.
_ = get_resolver().url_patterns
application = Door(django)
collector.settle()
