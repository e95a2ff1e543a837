"""What a client asks for, and what becomes of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings

from consent.contacts import Recipient
from messaging.models import OutboundMessage, PhoneNumber
from messaging.models.messages import purpose_of
from messaging.states import Status
from orgs.models import Organization
from orgs.problems import Problem


@dataclass(frozen=True, slots=True)
class MessageRequest:
    """What a client asks for, checked for form but not yet against our records."""

    recipient: Recipient = field(repr=False)
    kind: str
    content: Any = field(repr=False)  # the object, or for contacts the list, under the type's name
    category: str  # "" for that of the template
    fingerprint: str  # of everything asked for, without the idempotency key
    sender: str = ""  # phone_number_id; "" for the organisation's only number
    priority: int = OutboundMessage.Priority.NORMAL
    channel: str = OutboundMessage.Channel.WHATSAPP
    reply_to: str = ""
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    ttl_seconds: int | None = None  # counted from the moment it may go; instead of expires_at
    on_unknown: str = ""  # "" for the organisation's policy
    idempotency_key: str | None = None
    reference: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def purpose(self) -> str:
        """Return the consent it needs; it follows from the category."""
        return str(purpose_of(self.category).value)

    @property
    def to(self) -> str:
        """Return the recipient as the message shows it."""
        return self.recipient.phone or self.recipient.bsuid or ""

    @property
    def template(self) -> tuple[str, str]:
        """Return name and language of the template; both empty for other kinds."""
        if self.kind != "template":
            return "", ""
        return self.content["name"], self.content["language"]["code"]

    @property
    def lifetime(self) -> timedelta:
        """Return how long it stays worth sending when no moment is given."""
        return longest_age() if self.ttl_seconds is None else timedelta(seconds=self.ttl_seconds)

    def starts_at(self, now: datetime) -> datetime:
        """Return the moment from which it may go; a schedule in the past means now."""
        return now if self.scheduled_at is None else max(self.scheduled_at, now)

    def ends_at(self, now: datetime) -> datetime:
        """Return the moment after which it is not sent."""
        return self.expires_at or self.starts_at(now) + self.lifetime


@dataclass(frozen=True, slots=True)
class Submission:
    """A request with the organisation it is for and the one who asks."""

    org: Organization
    request: MessageRequest
    actor: str


def longest_age() -> timedelta:
    """Return how long a message is kept for sending, and how far ahead one is scheduled."""
    return timedelta(seconds=settings.OUTBOUND_MESSAGE_MAX_AGE_SECONDS)


def first_wait() -> timedelta:
    """Return the wait before the first attempt."""
    return timedelta(seconds=settings.OUTBOUND_RETRY_SCHEDULE_SECONDS[0])


@dataclass(frozen=True, slots=True)
class Facts:
    """What our records say about one request at the moment it is taken."""

    now: datetime
    senders: int  # active numbers of the organisation
    number: PhoneNumber | None
    contact_id: int | None
    consent: str  # an answer of the ledger
    window_open: bool
    is_suspect: bool  # the last messages to the person came back


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one request in the database.

    Neither inserted, nor taken, nor refused by the facts: its key is in use this moment.
    """

    facts: Facts
    message: OutboundMessage | None = None  # the one inserted
    taken: bool = False  # its key has made a message before


@dataclass(frozen=True, slots=True)
class Warned:
    """What the client should know of a message that was taken all the same."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is ours now, or the one an earlier identical request made."""

    message: OutboundMessage
    replayed: bool
    warnings: tuple[Warned, ...] = ()


Answer = Accepted | Problem


def message_of(
    org: Organization, request: MessageRequest, facts: Facts, message_id: uuid.UUID
) -> OutboundMessage:
    """Return the message to insert for a request nothing stands against."""
    template_name, template_language = request.template
    values: dict[str, Any] = {
        "id": message_id,
        "org_id": org.pk,
        "phone_number_id": facts.number.pk if facts.number else None,
        "contact_id": facts.contact_id,
        "to_recipient": request.to,
        "channel": request.channel,
        "kind": request.kind,
        "template_name": template_name,
        "template_language": template_language,
        "payload": request.content,
        "reply_to": request.reply_to,
        "category": request.category,
        "purpose": request.purpose,
        "priority": request.priority,
        "scheduled_at": request.scheduled_at,
        "on_unknown": request.on_unknown,
        "status": Status.QUEUED,
        "due_at": request.starts_at(facts.now) + first_wait(),
        "expires_at": request.ends_at(facts.now),
        "max_attempts": len(settings.OUTBOUND_RETRY_SCHEDULE_SECONDS),
        "idempotency_key": request.idempotency_key,
        "request_fingerprint": request.fingerprint,
        "reference": request.reference,
        "metadata": request.metadata,
        "created_at": facts.now,
        "updated_at": facts.now,
    }
    fields = OutboundMessage._meta.concrete_fields
    by_place: list[Any] = [
        values[field.attname] if field.attname in values else field.get_default()
        for field in fields
    ]
    # By name each field would cost several times as much.
    message = OutboundMessage(*by_place)  # type: ignore[misc]  # the stubs know names only
    message.phone_number = cast("PhoneNumber", facts.number)
    return message
