"""Templates as this process remembers them, so that accepting a message asks for none."""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from django.conf import settings

from messaging.models import MessageTemplate, PhoneNumber
from messaging.models.templates import Sendable
from messaging.providers.whatsapp import template_shape
from messaging.providers.whatsapp.template_shape import Shape
from orgs.models import Organization

CACHE_SIZE = 10_000

Key = tuple[int, str, str]  # account, name, language
_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Known:
    """What is needed of a template to judge a message."""

    status: str
    sendable: Sendable
    category: str  # as messages have it: marketing, utility, authentication or ""
    shape: Shape


@dataclass(frozen=True, slots=True)
class Account:
    """The account of a number, and whether its templates were ever read."""

    pk: int
    is_synced: bool


class _Remembered(Generic[_K, _V]):
    """Values kept for ``OUTBOUND_API_KEY_CACHE_SECONDS``; all go when there are too many."""

    def __init__(self) -> None:
        self._entries: dict[_K, tuple[float, _V]] = {}
        self._lock = threading.Lock()

    def get(self, keys: Collection[_K]) -> dict[_K, _V]:
        now = monotonic()
        with self._lock:
            found = {key: self._entries[key] for key in keys if key in self._entries}
        return {key: value for key, (until, value) in found.items() if now < until}

    def put(self, values: Mapping[_K, _V]) -> None:
        until = monotonic() + settings.OUTBOUND_API_KEY_CACHE_SECONDS
        with self._lock:
            if len(self._entries) + len(values) > CACHE_SIZE:
                self._entries.clear()
            self._entries.update({key: (until, value) for key, value in values.items()})

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


_accounts: _Remembered[int, dict[str, Account]] = _Remembered()
_templates: _Remembered[Key, Known | None] = _Remembered()


def accounts(org: Organization) -> dict[str, Account]:
    """Return the accounts of the organisation's active numbers, by ``phone_number_id``."""
    known = _accounts.get([org.pk])
    if org.pk not in known:
        numbers = PhoneNumber.objects.of(org).filter(is_active=True)
        rows = numbers.values_list("phone_number_id", "account_id", "account__templates_synced_at")
        known[org.pk] = {
            number: Account(account, synced_at is not None) for number, account, synced_at in rows
        }
        _accounts.put(known)
    return known[org.pk]


def find(keys: Collection[Key]) -> dict[Key, Known | None]:
    """Return what is known of each template, by one query for those not remembered."""
    found = _templates.get(keys)
    missing = {key for key in keys if key not in found}
    if missing:
        fresh: dict[Key, Known | None] = dict.fromkeys(missing)
        rows = MessageTemplate.objects.filter(
            account__in={account for account, _name, _language in missing},
            name__in={name for _account, name, _language in missing},
        )
        for row in rows:
            key = row.account_id, row.name, row.language
            if key in fresh:
                fresh[key] = _known(row)
        _templates.put(fresh)
        found |= fresh
    return found


def forget_all() -> None:
    """Empty the cache of this process."""
    _accounts.clear()
    _templates.clear()


def _known(row: MessageTemplate) -> Known:
    return Known(
        status=row.status,
        sendable=row.sendable,
        category=row.category.lower(),
        shape=template_shape.read(row.components, row.parameter_format, row.category),
    )
