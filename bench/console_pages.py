"""Opens pages of the console in this process; prints time, queries and size of each as JSON."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
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

from consent.models import Consent, Contact  # noqa: E402 - as above
from messaging import activity  # noqa: E402 - as above
from messaging.models import OutboundMessage  # noqa: E402 - as above
from messaging.states import Status  # noqa: E402 - as above
from orgs import database, keys  # noqa: E402 - as above
from orgs.models import AuditEvent, Organization  # noqa: E402 - as above

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
    pages = {**_pages(), **_dead_letters(), **_people(), **_rest()}
    figures = {name: _opened(client, url) for name, url in pages.items()}
    inbound = "/api/v1/inbound-messages"
    figures["inbound messages (REST)"] = _opened(_api_client(), inbound)
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


def _listed(name: str, **filters: object) -> str:
    address = reverse(f"admin:{name}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def _dead_letters() -> dict[str, str]:
    """Return the pages of the dead letter queue and of what is done to all of it."""
    hour = database.now() - timedelta(hours=1)
    requeue_all = reverse("admin:messaging_deadletter_requeue_all")
    return {
        "dead letter causes": reverse("admin:messaging_deadletter_causes"),
        "dead letters": _listed("messaging_deadletter", campaign="no"),
        "dead letters, error": _listed("messaging_deadletter", error="131047"),
        "requeue all, preview": f"{requeue_all}?campaign=no",
        "report": reverse("alerts:dlq-report"),
        "operations": _listed("messaging_bulkoperation"),
        "discards": _listed("messaging_discard"),
        "sent in the last day": _listed("messaging_outboundmessage", became="sent"),
        "sent in the last hour": _listed(
            "messaging_outboundmessage", became="sent", became_from=f"{hour:%Y-%m-%dT%H:%M}"
        ),
    }


def _people() -> dict[str, str]:
    """Return the pages of people and their consents."""
    person = Contact.objects.order_by("-pk")[1000]
    middle = Contact.objects.order_by("-pk").values_list("pk", flat=True)[100_000]
    consent = Consent.objects.order_by("-pk").values_list("pk", flat=True)[100_000]
    return {
        "contacts": _listed("consent_contact"),
        "contacts, far page": _listed("consent_contact", before=middle),
        "contacts, search": _listed("consent_contact", q=person.phone),
        "contact": reverse("admin:consent_contact_change", args=[person.pk]),
        "consents": _listed("consent_consent"),
        "consents, far page": _listed("consent_consent", before=consent),
        "consents, denied": _listed("consent_consent", status__exact="DENIED"),
        "consents, search": _listed("consent_consent", q=person.phone),
    }


def _rest() -> dict[str, str]:
    """Return the trail, webhooks and incidents."""
    line = AuditEvent.objects.order_by("-pk")[100_000]
    day = f"{line.at:%Y-%m-%d}"
    return {
        "audit trail": _listed("orgs_auditevent"),
        "audit trail, far page": _listed("orgs_auditevent", before=line.pk),
        "audit trail, old day": _listed("orgs_auditevent", at_from_0=day, at_to_0=day),
        "audit trail, search": _listed("orgs_auditevent", q=line.target),
        "audit trail, actor": _listed("orgs_auditevent", actor__exact=line.actor),
        "webhooks": _listed("messaging_webhookdelivery"),
        "webhooks, errors": _listed("messaging_webhookdelivery", status__exact="ERROR"),
        "webhooks, poison": _listed("messaging_webhookdelivery", events__result__exact="POISON"),
        "incidents": _listed("alerts_alert"),
        "incidents, open": _listed("alerts_alert", state="open"),
    }


def _api_client() -> Client:
    """Return a client with a key of the organisation, for what only the API lists."""
    org = Organization.objects.get(org_id="acme")
    _, secret = keys.issue(org, name="bench", scopes=["read"], actor="system:bench")
    return Client(headers={"Authorization": f"Bearer {secret}"})


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
