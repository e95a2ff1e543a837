"""The durable inbox: an authentic webhook is stored as received, then answered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from messaging import wake
from messaging.models import MetaApp, WebhookDelivery
from messaging.providers.whatsapp import webhook
from orgs import database
from orgs.models import Organization
from orgs.shared_commit import Room, SharedCommit

# How many apps the common path tries; an installation has few.
MOST_SHARED_APPS = 20
# Deliveries that are stored by one statement, at most.
SHARED_MOST = 50
# Meta posts up to 3 MB: of all deliveries that one statement stores, and of all that wait in this
# process, so many bytes. What goes beyond is answered with 503, and Meta repeats it.
SHARED_BYTES = 4 * 1024 * 1024
WAITING_BYTES = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Signer:
    """An app that may have signed, and its secrets in clear."""

    app: MetaApp
    secrets: Sequence[str]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An authentic POST that is to be kept."""

    app: MetaApp
    body: bytes
    only_org: Organization | None


def authenticate(body: bytes, signature: str | None, app_id: str | None) -> MetaApp | None:
    """Return the app whose secret signed these bytes; None when none did.

    With an app id only that app is tried, otherwise the apps marked as shared. Secrets are
    remembered for ``OUTBOUND_API_KEY_CACHE_SECONDS``; before a signature is refused they are
    read again, so a new secret is good at once.
    """
    known = _signers.get(app_id)
    app = _signed_by(known, body, signature) if known else None
    if app is None and signature:
        app = _signed_by(_signers.read(app_id), body, signature)
    return app


def _signed_by(signers: Sequence[_Signer], body: bytes, signature: str | None) -> MetaApp | None:
    for signer in signers:
        if webhook.verify(body, signature, signer.secrets):
            return signer.app
    return None


class _Signers:
    """The apps of each path, for some seconds: reading and decrypting costs more than storing."""

    def __init__(self) -> None:
        self._known: dict[str | None, tuple[float, list[_Signer]]] = {}
        self._lock = threading.Lock()

    def get(self, app_id: str | None) -> list[_Signer]:
        """Return the apps that were read lately, or none."""
        with self._lock:
            until, signers = self._known.get(app_id, (0.0, []))
        return signers if monotonic() < until else []

    def read(self, app_id: str | None) -> list[_Signer]:
        """Return the apps as they are in the database; an id nobody has is not remembered."""
        signers = [_Signer(app, app.secrets()) for app in _apps(app_id)]
        if signers:
            with self._lock:
                until = monotonic() + settings.OUTBOUND_API_KEY_CACHE_SECONDS
                self._known[app_id] = (until, signers)
        return signers

    def forget(self) -> None:
        """Forget all apps."""
        with self._lock:
            self._known.clear()


_signers = _Signers()


def forget_secrets() -> None:
    """Have the next webhook read its app anew."""
    _signers.forget()


def store(app: MetaApp, body: bytes, only_org: Organization | None) -> None:
    """Keep the bytes, together with those of other requests, then wake the workers."""
    _shared.submit(Delivery(app, body, only_org))
    wake.on_commit(wake.RECEIPTS)


def _insert(deliveries: Sequence[Delivery]) -> Sequence[None]:
    if connection.vendor == "postgresql":
        orgs = (each.only_org.pk if each.only_org else None for each in deliveries)
        database.run_planned(
            _INSERT,
            [
                database.array(delivery.app.pk for delivery in deliveries),
                database.array(orgs),
                [delivery.body for delivery in deliveries],
                WebhookDelivery.Status.PENDING.value,
            ],
        )
    else:
        now = database.now()
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(
                app=delivery.app, only_org=delivery.only_org, body=delivery.body, received_at=now
            )
            for delivery in deliveries
        )
    return [None] * len(deliveries)


# A model instance for each would cost as much again as the statement.
_INSERT = """
INSERT INTO webhook_delivery (app_id, only_org_id, body, received_at, status, event_count, error)
SELECT app_id, only_org_id, body, statement_timestamp(), fresh.status, 0, ''
FROM unnest(%s::bigint[], %s::bigint[], %b::bytea[]) AS given (app_id, only_org_id, body),
    (SELECT %s::text) AS fresh (status)
"""


def _size(delivery: Delivery) -> int:
    return len(delivery.body)


_shared = SharedCommit(_insert, SHARED_MOST, Room(_size, SHARED_BYTES, WAITING_BYTES))


def answer_challenge(query: dict[str, str], app_id: str | None) -> str | None:
    """Return the text Meta wants to hear at set-up; None when the token is not ours."""
    for app in _apps(app_id):
        answer = webhook.challenge(query, app.verify_token)
        if answer is not None:
            return answer
    return None


def _apps(app_id: str | None) -> QuerySet[MetaApp]:
    apps = MetaApp.objects.filter(app_id=app_id) if app_id else MetaApp.objects.filter(shared=True)
    return apps.order_by("pk")[:MOST_SHARED_APPS]
