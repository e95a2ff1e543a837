"""Which dead letters are meant: one filter for the pages, the API and operations on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time
from typing import Any, Self

from django.db.models import Q

from messaging import queries
from messaging.models import OutboundMessage
from messaging.models.messages import MessageQuerySet
from orgs.models import Organization

_TIMES = frozenset({"failed_from", "failed_until"})
_LARGEST_KEY = 2**63
_YES, _NO = "yes", "no"
# As texts: messages that have none.
NO_TEMPLATE = "-"
NO_ERROR = "-"


@dataclass(frozen=True, slots=True)
class Selection:
    """What the messages have in common; a part that is None says nothing."""

    org: str | None = None  # public id
    error: str | None = None  # its code, or NO_ERROR
    template: str | None = None  # its name, or NO_TEMPLATE
    number: int | None = None  # primary key
    category: str | None = None
    campaign: bool | None = None  # everyday results of marketing, or the failures without them
    failed_from: datetime | None = None
    failed_until: datetime | None = None  # not included

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read it from texts, as ``as_texts`` writes them; other names and "" are passed over.

        Raises ValueError naming the part that cannot be read. A day means its beginning in UTC.
        """
        known = [name for name in PARTS if given.get(name) not in (None, "")]
        return cls(**{name: _read(name, str(given[name])) for name in known})

    def as_texts(self) -> dict[str, str]:
        """Return its parts as texts, to be kept or put into an address."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: _written(value) for name, value in given.items() if value is not None}

    def but(self, **parts: Any) -> Self:
        """Return it with some parts changed."""
        return replace(self, **parts)

    @property
    def condition(self) -> Q:
        """Return it as a condition on dead letters."""
        wanted = Q()
        if self.org is not None:
            wanted &= Q(org__in=Organization.objects.filter(org_id=self.org).values("pk"))
        if self.error is not None:
            wanted &= Q(error_code="" if self.error == NO_ERROR else self.error)
        if self.template is not None:
            wanted &= Q(template_name="" if self.template == NO_TEMPLATE else self.template)
        if self.number is not None:
            wanted &= Q(phone_number=self.number)
        if self.category is not None:
            wanted &= Q(category=self.category)
        if self.campaign is not None:
            among = Q(error_code__in=queries.campaign_codes())
            wanted &= among if self.campaign else ~among
        if self.failed_from is not None:
            wanted &= Q(failed_at__gte=self.failed_from)
        if self.failed_until is not None:
            wanted &= Q(failed_at__lt=self.failed_until)
        return wanted

    def messages(self) -> MessageQuerySet:
        """Return the dead letters that match."""
        return OutboundMessage.objects.dead().filter(self.condition)


PARTS = frozenset(item.name for item in fields(Selection))


def _read(name: str, text: str) -> Any:
    try:
        if name in _TIMES:
            return moment(text.strip())
        if name == "number":
            return _key(text)
        if name == "campaign":
            return {_YES: True, _NO: False}[text]
    except (ValueError, KeyError):
        raise ValueError(name) from None
    if "\0" in text:  # no database keeps it
        raise ValueError(name)
    return text


def _key(text: str) -> int:
    key = int(text)
    if not 0 < key < _LARGEST_KEY:
        raise ValueError(text)
    return key


def moment(text: str) -> datetime:
    """Return a time, or the beginning of a day; in UTC unless it says otherwise.

    Raises ValueError when it is neither.
    """
    if len(text) == len("2026-11-28"):
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return _YES if value else _NO
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
