"""Reading the templates of WhatsApp accounts from Meta, so that the API need not."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Max, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest

from messaging import asking, templates, wake
from messaging.models import BusinessAccount, OutboundMessage, PhoneNumber
from messaging.providers.base import TemplateNews
from messaging.providers.whatsapp import api
from messaging.states import Status
from orgs import database
from orgs.encryption import DecryptionError

logger = logging.getLogger(__name__)

SHORTEST_GAP = timedelta(seconds=10)
# After a failure it is tried again sooner than usual; each one more doubles the wait.
FIRST_RETRY = timedelta(seconds=30)
# Refusals by which Meta says that it knows a template otherwise than we do.
_TELLING = frozenset({"132001", "132007", "132016"})


def sync_due() -> int:
    """Read the account longest due; return how many were read: 0 or 1."""
    account = _take()
    if account is None:
        return 0
    sync(account)
    return 1


def sync(account: BusinessAccount) -> None:
    """Ask Meta for the account's templates and keep them; a failure is kept on the account."""
    try:
        rows = list(
            api.fetch_templates(
                settings.WHATSAPP_CLOUD_API_BASE_URL,
                settings.WHATSAPP_GRAPH_VERSION,
                account.waba_id,
                account.access_token,
            )
        )
    except (api.ApiError, DecryptionError) as error:
        logger.warning("Templates of account %s were not read: %s", account.waba_id, error)
        _note_failure(account, str(error))
        asking.heed(error, PhoneNumber.objects.filter(account=account))
        return
    with transaction.atomic():
        now = database.now()
        templates.apply(account, list(_told(rows)), now, is_whole_list=True)
        BusinessAccount.objects.filter(pk=account.pk).update(
            templates_synced_at=now, templates_error="", templates_failures=0
        )


def ask_after_refusals() -> int:
    """Have the accounts read whose templates Meta has refused since it was last asked for them.

    By an answer or a status: both end the message. Returns how many accounts those are.
    """
    refused = OutboundMessage.objects.filter(
        status=Status.FAILED,
        error_code__in=_TELLING,
        failed_at__gt=database.now() - _usual_gap(),
    )
    rows = refused.values_list(
        "phone_number__account", "phone_number__account__templates_asked_at"
    ).annotate(last=Max("failed_at"))
    unread = {account for account, asked_at, last in rows if asked_at is None or asked_at < last}
    return ask_for(BusinessAccount.objects.filter(pk__in=unread)) if unread else 0


def ask_for(accounts: QuerySet[BusinessAccount], *, gap: timedelta = SHORTEST_GAP) -> int:
    """Have the accounts read soon, by a worker; return how many accounts there are.

    At once, or when ``gap`` has passed since Meta was last asked: what changes while we read is
    not missed, and nobody can make us ask without end.
    """
    now = Value(database.now(), output_field=DateTimeField())
    asked = ExpressionWrapper(F("templates_asked_at") + gap, output_field=DateTimeField())
    soon = Greatest(now, Coalesce(asked, now))
    accounts.filter(templates_due_at__gt=soon).update(templates_due_at=soon)
    wake.on_commit(wake.TEMPLATES)
    return accounts.count()


def _usual_gap() -> timedelta:
    return timedelta(seconds=settings.OUTBOUND_TEMPLATE_SYNC_SECONDS)


def _note_failure(account: BusinessAccount, text: str) -> None:
    """Keep why, and have the account read again soon, later after each failure."""
    failures = account.templates_failures
    wait = min(FIRST_RETRY * 2 ** min(failures, 10), _usual_gap())
    BusinessAccount.objects.filter(pk=account.pk).update(
        templates_error=text[:300],
        templates_failures=min(failures + 1, 1_000),
        templates_due_at=database.now() + wait,
    )


@transaction.atomic
def _take() -> BusinessAccount | None:
    """Take one account that is due, so that no other process reads it too."""
    now = database.now()
    account = (
        BusinessAccount.objects.select_for_update(skip_locked=True)
        .filter(templates_due_at__lte=now)
        .order_by("templates_due_at")
        .first()
    )
    if account is not None:
        account.templates_due_at = now + _usual_gap()
        account.templates_asked_at = now
        account.save(update_fields=["templates_due_at", "templates_asked_at"])
    return account


def _told(rows: Iterable[Mapping[str, Any]]) -> Iterable[TemplateNews]:
    seen: set[templates.Key] = set()
    for row in rows:
        told = _one(row)
        # Two pages may tell of the same template when the list changes meanwhile.
        if told.name and told.language and told.key not in seen:
            seen.add(told.key)
            yield told


def _one(row: Mapping[str, Any]) -> TemplateNews:
    quality, components = row.get("quality_score"), row.get("components")
    category = _text(row, "category", 32)
    coming = _text(row, "correct_category", 32)
    reason = _text(row, "rejected_reason", 300)
    return TemplateNews(
        name=_text(row, "name", 512),
        language=_text(row, "language", 16),
        template_id=_text(row, "id", 32),
        status=_text(row, "status", 32).upper(),
        category=category,
        next_category=coming if coming != category else "",
        parameter_format=_text(row, "parameter_format", 16),
        components=[part for part in components if isinstance(part, dict)]
        if isinstance(components, list)
        else [],
        quality=_text(quality, "score", 16) if isinstance(quality, dict) else "",
        reason="" if reason == "NONE" else reason,
    )


def _text(row: Mapping[str, Any], name: str, longest: int) -> str:
    value = row.get(name)
    return value.replace("\x00", "")[:longest] if isinstance(value, str) else ""
