"""The durable inbox: an authentic webhook is stored as received, then answered."""

from __future__ import annotations

from messaging import wake
from messaging.models import MetaApp, WebhookDelivery
from messaging.providers.whatsapp import webhook
from orgs import database
from orgs.models import Organization

# How many apps the common path tries; an installation has few.
MOST_SHARED_APPS = 20


def authenticate(body: bytes, signature: str | None, app_id: str | None) -> MetaApp | None:
    """Return the app whose secret signed these bytes; None when none did.

    With an app id only that app is tried, otherwise the apps marked as shared.
    """
    apps = MetaApp.objects.filter(app_id=app_id) if app_id else MetaApp.objects.filter(shared=True)
    for app in apps.order_by("pk")[:MOST_SHARED_APPS]:
        if webhook.verify(body, signature, app.secrets()):
            return app
    return None


def store(app: MetaApp, body: bytes, only_org: Organization | None) -> WebhookDelivery:
    """Keep the bytes and wake the workers once they are committed."""
    delivery = WebhookDelivery.objects.create(
        app=app, body=body, only_org=only_org, received_at=database.statement_time()
    )
    wake.on_commit(wake.RECEIPTS)
    return delivery


def answer_challenge(query: dict[str, str], app_id: str | None) -> str | None:
    """Return the text Meta wants to hear at set-up; None when the token is not ours."""
    apps = MetaApp.objects.filter(app_id=app_id) if app_id else MetaApp.objects.filter(shared=True)
    for app in apps.order_by("pk")[:MOST_SHARED_APPS]:
        answer = webhook.challenge(query, app.verify_token)
        if answer is not None:
            return answer
    return None
