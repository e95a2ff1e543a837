"""What Meta tells about templates: kept, audited, and followed by what is queued."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from messaging import holding, wake
from messaging.models import BusinessAccount, MessageTemplate, OutboundMessage
from messaging.models.messages import purpose_of
from messaging.models.templates import MARKETING, SENDABLE, Sendable
from messaging.providers.base import TemplateNews
from messaging.states import Status
from orgs import actors, audit
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold

_BATCH = 500

Key = tuple[str, str]  # name, language
AccountKey = tuple[int, str, str]  # account's pk, name, language

_COLUMNS = [field.name for field in fields(TemplateNews)]


def apply(
    account: BusinessAccount,
    told: Sequence[TemplateNews],
    now: datetime,
    *,
    is_whole_list: bool = False,
) -> int:
    """Keep what is told and let what is queued follow; return how many templates changed.

    Of a whole list every template of the account that is not in it was deleted. Otherwise a
    template we do not know is left to the next reading, which is asked for.
    """
    with transaction.atomic():
        # Readings and webhooks of one account come one after the other.
        BusinessAccount.objects.select_for_update().get(pk=account.pk)
        known = {template_key(row): row for row in MessageTemplate.objects.filter(account=account)}
        if is_whole_list:
            told = [*told, *_gone(known, {item.key for item in told})]
        fresh, changed = _merge(account, told, known, now, may_add=is_whole_list)
        MessageTemplate.objects.bulk_create(fresh, batch_size=_BATCH)
        MessageTemplate.objects.bulk_update(
            [change.template for change in changed], [*_COLUMNS, "updated_at"], batch_size=_BATCH
        )
        audit.record([entry for change in changed for entry in _entries(change)])
        # Messages are locked before holds, as everywhere.
        _follow_category(account, [change.template for change in changed if change.is_dearer])
        _follow_status(account, fresh, changed, now)
        return len(fresh) + len(changed)


def template_key(template: MessageTemplate) -> Key:
    """Return what the template is known by in its account."""
    return template.name, template.language


@dataclass(frozen=True, slots=True)
class _Change:
    template: MessageTemplate
    before: Mapping[str, Any]

    @property
    def is_dearer(self) -> bool:
        """Say whether it needs another consent now."""
        return "category" in self.before and self.template.category == MARKETING


def _gone(known: Mapping[Key, MessageTemplate], listed: set[Key]) -> list[TemplateNews]:
    deleted = MessageTemplate.Status.DELETED
    return [
        TemplateNews(*key, status=deleted)
        for key, template in known.items()
        if key not in listed and template.status != deleted
    ]


def _merge(
    account: BusinessAccount,
    told: Iterable[TemplateNews],
    known: Mapping[Key, MessageTemplate],
    now: datetime,
    *,
    may_add: bool,
) -> tuple[list[MessageTemplate], list[_Change]]:
    fresh: dict[Key, MessageTemplate] = {}
    changed: list[_Change] = []
    for item in told:
        said = item.columns()
        template = known.get(item.key)
        if template is None:
            if may_add:
                fresh[item.key] = MessageTemplate(
                    account=account, org_id=account.org_id, updated_at=now, **said
                )
            continue
        before = {
            name: getattr(template, name)
            for name, value in said.items()
            if getattr(template, name) != value
        }
        if not before:
            continue
        change = _Change(template, before)
        for name in before:
            setattr(template, name, said[name])
        template.updated_at = now
        changed.append(change)
    return list(fresh.values()), changed


def unsendable(asked: Collection[AccountKey]) -> dict[AccountKey, str]:
    """Return those of the templates that Meta has put an end to, with the status it gave them."""
    if not asked:
        return {}
    over = (
        _ended()
        .filter(
            account__in={account for account, _name, _language in asked},
            name__in={name for _account, name, _language in asked},
        )
        .values_list("account_id", "name", "language", "status")
    )
    return {
        (account, name, language): status
        for account, name, language, status in over
        if (account, name, language) in asked
    }


def has_ended() -> Q:
    """Return the same rule as a condition on messages."""
    theirs = _ended().filter(
        account=OuterRef("phone_number__account"),
        name=OuterRef("template_name"),
        language=OuterRef("template_language"),
    )
    return ~Q(template_name="") & Q(Exists(theirs))


def _ended() -> QuerySet[MessageTemplate]:
    never = [status for status, then in SENDABLE.items() if then is Sendable.NEVER]
    return MessageTemplate.objects.filter(status__in=never)


def _entries(change: _Change) -> list[audit.Entry]:
    """Return the audit rows of what matters to people: status, category and quality."""
    template = change.template
    return [
        audit.Entry(
            template.org_id,
            actors.META,
            f"template.{name}",
            f"template:{template.name}/{template.language}",
            template.reason,
            before={name: change.before[name]},
            after={name: getattr(template, name)},
        )
        for name in ("status", "category", "next_category", "quality")
        if name in change.before
    ]


def _follow_status(
    account: BusinessAccount,
    fresh: Sequence[MessageTemplate],
    changed: Sequence[_Change],
    now: datetime,
) -> None:
    """Place a hold where messages may be queued for a template that waits, and lift the others.

    A template that was never approved has nothing queued, so needs none.
    """
    paused = [row for row in fresh if row.status == MessageTemplate.Status.PAUSED]
    moved = [change for change in changed if "status" in change.before]
    paused += [change.template for change in moved if change.template.sendable is Sendable.LATER]
    holds.place([_hold(account, template) for template in paused], now)
    free = [change.template for change in moved if change.template.sendable is not Sendable.LATER]
    if free:
        over = Hold.objects.filter(
            scope=Hold.Scope.TEMPLATE,
            cause=Hold.Cause.TEMPLATE,
            key__in=[_scope(account, template)[1] for template in free],
        )
        holds.lift(over, actor=actors.META, reason="Meta has decided about the template.")
        wake.on_commit(wake.SEND)


def _scope(account: BusinessAccount, template: MessageTemplate) -> holding.ScopeKey:
    return holding.template_scope(account.waba_id, template.name, template.language)


def _hold(account: BusinessAccount, template: MessageTemplate) -> HoldRequest:
    scope, key = _scope(account, template)
    return HoldRequest(
        scope=scope,
        key=key,
        cause=Hold.Cause.TEMPLATE,
        until=None,
        code=template.status[:32],
        detail=f"Meta has the template as {template.status}. {template.reason}".strip()[:500],
        org_id=account.org_id,
    )


def _follow_category(account: BusinessAccount, templates: Sequence[MessageTemplate]) -> None:
    """Have messages that wait ask for the consent that their template needs now."""
    category = OutboundMessage.Category.MARKETING
    for template in templates:
        OutboundMessage.objects.filter(
            phone_number__account=account,
            template_name=template.name,
            template_language=template.language,
            status=Status.QUEUED,
        ).update(category=category, purpose=purpose_of(category))
