"""Figures about what Meta posts, and whether it posts at all."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.facts import Inbox, SilentApp
from alerts.thresholds import Thresholds
from messaging.models import (
    MetaApp,
    OutboundMessage,
    PhoneNumber,
    ProviderNotice,
    WebhookDelivery,
    WebhookEvent,
)
from messaging.models.notices import ERRORS, WEBHOOK_LOST

# An app that is not among the newest deliveries is looked at through its messages.
NEWEST = 2_000
# So many accepted messages without a single status are not chance.
ENOUGH = 10
LOOKED_AT = 100  # newest messages of each organisation
MOST_ORGS = 20
LOOK_BACK = timedelta(hours=6)
# A status is taken for unmatched after it was looked for in vain for so long.
SETTLED = timedelta(minutes=5)
MOST_COUNTED = 10_000


def silent_apps(limits: Thresholds, at: datetime) -> list[SilentApp]:
    """Return the apps whose messages were accepted while nothing was told of them."""
    since = at - limits.webhook_silence
    newest = WebhookDelivery.objects.order_by("-pk").values_list("app_id", "received_at")
    heard = {app for app, received_at in newest[:NEWEST] if received_at > since}
    quiet = MetaApp.objects.exclude(pk__in=heard).order_by("pk")
    looked_at = ((app, _without_status(app, since, at - LOOK_BACK)) for app in quiet)
    return [SilentApp(app.app_id, app.name, count) for app, count in looked_at if count >= ENOUGH]


def _without_status(app: MetaApp, until: datetime, since: datetime) -> int:
    """Count accepted messages of the app; 0 when something was told of one of them."""
    numbers = dict(PhoneNumber.objects.filter(account__app=app).values_list("pk", "org_id"))
    count = 0
    for org in sorted(set(numbers.values()))[:MOST_ORGS]:
        newest = OutboundMessage.objects.filter(
            org=org, created_at__gt=since, created_at__lt=until
        ).order_by("-created_at", "-id")
        accepted = [
            pk
            for pk, number, accepted_at in newest.values_list(
                "pk", "phone_number_id", "accepted_at"
            )[:LOOKED_AT]
            if number in numbers and accepted_at is not None and accepted_at < until
        ]
        told = OutboundMessage.objects.filter(pk__in=accepted, attempts__receipts__gt="")
        if accepted and told.exists():
            return 0
        count += len(accepted)
        if count >= LOOKED_AT:
            break
    return count


def inbox(limits: Thresholds, at: datetime) -> Inbox:
    """Return what waits or could not be used."""
    since = at - limits.window
    unmatched = WebhookEvent.objects.filter(
        look_again_at__isnull=False, recorded_at__lt=at - SETTLED
    )
    poisoned = WebhookEvent.objects.filter(result=WebhookEvent.Result.POISON, recorded_at__gt=since)
    unreadable = WebhookDelivery.objects.filter(
        status=WebhookDelivery.Status.ERROR, received_at__gt=since
    )
    lost = ProviderNotice.objects.filter(topic=ERRORS, event=WEBHOOK_LOST, recorded_at__gt=since)
    pending = WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING)
    oldest = pending.order_by("pk").values_list("received_at", flat=True).first()
    return Inbox(
        unmatched=unmatched.order_by()[:MOST_COUNTED].count(),
        poisoned=poisoned.order_by()[:MOST_COUNTED].count(),
        unreadable=unreadable.order_by()[:MOST_COUNTED].count(),
        oldest_waiting=at - oldest if oldest is not None else None,
        lost=lost.order_by()[:MOST_COUNTED].count(),
    )
