"""What Meta says of phone numbers and portfolios: read once an hour, and told by webhooks between.

Webhooks come in any order and tell little: what is older than what we know changes nothing, and
after each the number is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from messaging import asking
from messaging.models import BusinessAccount, PhoneNumber
from messaging.providers.whatsapp import api
from messaging.providers.whatsapp.api import PhoneNumberInfo
from orgs import actors, audit, database
from orgs.encryption import DecryptionError

logger = logging.getLogger(__name__)

READ_EVERY = timedelta(hours=1)
# Webhooks come in bursts: the number is read once they are over.
READ_AFTER_NEWS = timedelta(seconds=10)

NUMBER_READ, TIER_READ = "number.read", "tier.read"


@dataclass(frozen=True, slots=True)
class Source:
    """Where something was learned, for the audit trail."""

    action: str
    detail: str = ""


def read_due() -> int:
    """Read the number longest due; return how many were read: 0 or 1."""
    now = database.now()
    number = _take(now)
    if number is None:
        return 0
    try:
        # Its account holds the token, which no key of ours may open: then only this one fails.
        account = BusinessAccount.objects.get(pk=number.account_id)
        info = fetch(number.phone_number_id, account.access_token)
    except (api.ApiError, DecryptionError) as error:
        logger.warning("Number %s was not read: %s", number.phone_number_id, error)
        asking.heed(error, PhoneNumber.objects.filter(pk=number.pk))
        return 1
    keep(number, info, now)
    return 1


def fetch(phone_number_id: str, access_token: str) -> PhoneNumberInfo:
    """Ask Meta for the number; raise api.ApiError when it does not tell."""
    return api.fetch_phone_number(
        settings.WHATSAPP_CLOUD_API_BASE_URL,
        settings.WHATSAPP_GRAPH_VERSION,
        phone_number_id,
        access_token,
    )


@transaction.atomic
def keep(number: PhoneNumber, info: PhoneNumberInfo, asked_at: datetime) -> None:
    """Keep what Meta answered when it was asked at that time."""
    account = BusinessAccount.objects.select_for_update().get(pk=number.account_id)
    said = {
        "quality_rating": info.quality_rating[:16] or None,
        "verified_name": info.verified_name[:200] or None,
        "throughput_level": info.throughput_level[:16] or None,
    }
    follow(number, said, asked_at, Source(NUMBER_READ))
    if info.tier is not None:
        follow_tier(info.tier, account, asked_at, Source(TIER_READ))


def follow(
    number: PhoneNumber, said: Mapping[str, str | None], at: datetime, source: Source
) -> None:
    """Take over what is said of a number (None: nothing), if we know nothing newer of it."""
    row = PhoneNumber.objects.filter(pk=number.pk).exclude(told_at__gt=at).first()
    if row is not None:
        _update(row, said, at, "told_at", f"number:{row.phone_number_id}", source)


def follow_tier(tier: int, account: BusinessAccount, at: datetime, source: Source) -> None:
    """Take over the limit of a portfolio, whichever of its accounts it was told of."""
    same = Q(pk=account.pk)
    if account.portfolio_id:
        same |= Q(portfolio_id=account.portfolio_id, app=account.app_id)
    for row in BusinessAccount.objects.filter(same).exclude(tier_told_at__gt=at).order_by("pk"):
        said = {"portfolio_tier": tier}
        _update(row, said, at, "tier_told_at", f"account:{row.waba_id}", source)


def ask_for(numbers: QuerySet[PhoneNumber]) -> None:
    """Have the numbers read soon."""
    soon = database.now() + READ_AFTER_NEWS
    numbers.filter(read_due_at__gt=soon).update(read_due_at=soon)


@transaction.atomic
def _take(now: datetime) -> PhoneNumber | None:
    """Take one number that is due, so that no other process reads it too; it is done for now.

    One that cannot be read has had its turn as well, and keeps no other waiting.
    """
    number = (
        PhoneNumber.objects.select_for_update(skip_locked=True)
        .filter(read_due_at__lte=now, is_active=True)
        .order_by("read_due_at")
        .first()
    )
    if number is not None:
        number.read_due_at = now + READ_EVERY
        number.save(update_fields=["read_due_at"])
    return number


def _update(
    row: PhoneNumber | BusinessAccount,
    said: Mapping[str, str | int | None],
    at: datetime,
    known_at: str,
    target: str,
    source: Source,
) -> None:
    """Set what is said, and when; a line in the audit trail tells of what differs."""
    before = {
        name: getattr(row, name)
        for name, value in said.items()
        if value is not None and getattr(row, name) != value
    }
    changed = {name: said[name] for name in before}
    type(row).objects.filter(pk=row.pk).update(**changed, **{known_at: at})
    if changed:
        entry = audit.Entry(
            row.org_id, actors.META, source.action, target, source.detail, before, changed
        )
        audit.record([entry])
