"""Opens pages of the console in this process; prints time, queries and size of each as JSON."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402 - Django is set up first
from django.contrib.auth.models import User  # noqa: E402 - as above
from django.db import connection  # noqa: E402 - as above
from django.test import Client  # noqa: E402 - as above
from django.urls import get_resolver, reverse  # noqa: E402 - as above

from messaging import activity  # noqa: E402 - as above
from messaging.models import OutboundMessage  # noqa: E402 - as above
from messaging.states import Status  # noqa: E402 - as above

TIMES = 5


def main() -> None:
    """Open each page and print the figures."""
    settings.ALLOWED_HOSTS = ["*"]
    client = Client()
    client.force_login(User.objects.create_superuser("bench", password="bench"))
    # The web loads its views when it starts, before the first request (config.wsgi).
    _ = get_resolver().url_patterns
    begun = time.perf_counter()
    activity.count_recent()
    counted = {"first_ms": (time.perf_counter() - begun) * 1000}
    figures = {name: _opened(client, url) for name, url in _pages().items()}
    print(json.dumps({**figures, "counting a day": counted}))


def _pages() -> dict[str, str]:
    listed = reverse("admin:messaging_outboundmessage_changelist")
    newest = OutboundMessage.objects.filter(status=Status.DELIVERED).order_by("-pk")[1000]
    failed = OutboundMessage.objects.filter(status=Status.FAILED).order_by("-pk")[100]
    queued = OutboundMessage.objects.filter(status=Status.QUEUED).order_by("-pk")[100]
    middle = OutboundMessage.objects.order_by("-pk").values_list("pk", flat=True)[300_000]

    def of(**filters: object) -> str:
        return f"{listed}?{urlencode(filters)}"

    def page(message: OutboundMessage) -> str:
        return reverse("admin:messaging_outboundmessage_change", args=[message.pk])

    return {
        "dashboard": reverse("admin:index"),
        "dashboard again": reverse("console:dashboard"),
        "list": listed,
        "list, far page": of(before=middle),
        "status": of(status=Status.DELIVERED),
        "queued": of(status=Status.QUEUED),
        "failed": of(status=Status.FAILED),
        "failed, error": of(status=Status.FAILED, error="131047"),
        "error": of(error="131047"),
        "no such error": of(error="nothing"),
        "template": of(template="template_7"),
        "waits": of(waits="scheduled"),
        "organisation": of(org="acme"),
        "quiet organisation": of(org="globex"),
        "its failed": of(org="globex", status=Status.FAILED),
        "number, hour": of(number=newest.phone_number_id, since="1h"),
        "search id": of(q=newest.pk),
        "search reference": of(q=newest.reference),
        "search wamid": of(q=newest.provider_message_id),
        "search phone": of(q=newest.to_recipient),
        "search in vain": of(q="nothing of the kind"),
        "message": page(newest),
        "failed message": page(failed),
        "explain": f"{page(queued)}?explain=1",
    }


def _opened(client: Client, url: str) -> dict[str, float]:
    taken: list[float] = []

    def watched(execute: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            taken.append((time.perf_counter() - begun) * 1000)

    with connection.execute_wrapper(watched):
        first = _time(client, url)
    times = [_time(client, url) for _ in range(TIMES)]
    return {
        "first_ms": first,
        "median_ms": statistics.median(times),
        "queries": len(taken),
        "slowest_query_ms": max(taken, default=0.0),
        "all_queries_ms": sum(taken),
    }


def _time(client: Client, url: str) -> float:
    begun = time.perf_counter()
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main()
