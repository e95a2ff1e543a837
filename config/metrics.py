"""The Prometheus page, open to whoever holds its token."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics; without OUTBOUND_METRICS_TOKEN only the embedded profile shows them."""
    token = settings.OUTBOUND_METRICS_TOKEN
    if token:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode(), token.encode()):
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    elif not settings.OUTBOUND_EMBEDDED:
        return HttpResponseNotFound()
    response: HttpResponse = ExportToDjangoView(request)
    return response
