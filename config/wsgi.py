"""The WSGI callable that granian serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

from messaging import tracing  # noqa: E402 - these need the app registry
from orgs import measures  # noqa: E402

measures.start()
tracing.start()
