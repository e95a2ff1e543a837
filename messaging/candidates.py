"""The due messages of the lanes whose turn it is: looked at, then locked."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection

from messaging.lanes import Turn
from messaging.models import OutboundMessage, PhoneNumber
from orgs.database import Values


@dataclass(slots=True)
class Claimed:
    """What sending needs of one message; far cheaper to make than a model instance."""

    pk: uuid.UUID
    org_id: int
    phone_number_id: int
    contact_id: int
    to_recipient: str = field(repr=False)
    channel: str
    kind: str
    template_name: str
    template_language: str
    payload: Any = field(repr=False)
    reply_to: str
    purpose: str
    expires_at: datetime
    last_attempt_number: int
    phone_number: PhoneNumber = field(init=False)
    claim_id: uuid.UUID = field(init=False)
    start_at: float = field(init=False, default=0.0)  # steady_seconds() of its start slot
    quota_window: int = field(init=False, default=0)  # in which it was counted
    worthless_at: float = field(init=False, default=math.inf)  # steady_seconds() of its expiry

    @property
    def to_is_bsuid(self) -> bool:
        """Say whether the recipient is a business-scoped user id instead of a phone."""
        return not self.to_recipient.startswith("+")


class Candidate(NamedTuple):
    """What the limits need to know of a message that nobody has locked."""

    pk: uuid.UUID
    phone_number_id: int
    contact_id: int
    kind: str


_COLUMNS = (
    "id",
    "org_id",
    "phone_number_id",
    "contact_id",
    "to_recipient",
    "channel",
    "kind",
    "template_name",
    "template_language",
    "payload",
    "reply_to",
    "purpose",
    "expires_at",
    "last_attempt_number",
)
_AS_READ = ", ".join(_COLUMNS).replace("payload", "payload::text")


def look(turns: Sequence[Turn], now: datetime) -> list[Candidate]:
    """Return what each lane may give, the longest due first, by one statement and no lock."""
    if not turns:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, _lanes(turns, now))
        return [Candidate(*row) for row in cursor.fetchall()]


def lock(turns: Sequence[Turn], now: datetime) -> list[Claimed]:
    """Lock what each lane may give, the longest due first, by one statement."""
    if not turns:
        return []
    if connection.vendor != "postgresql":
        # Its transaction is the only writer: there is nothing to lock and nobody to pass over.
        return [
            Claimed(*row)
            for turn in turns
            for row in OutboundMessage.objects.due(now)
            .filter(phone_number_id=turn.lane.number_id, priority=turn.lane.priority)
            .order_by("due_at", "id")
            .values_list(*_COLUMNS)[: turn.most]
        ]
    return _locked(_LOCK_DUE, _lanes(turns, now))


def lock_chosen(ids: Sequence[uuid.UUID], now: datetime) -> list[Claimed]:
    """Lock those of the messages that are still due and that nobody else has locked."""
    return _locked(_LOCK_CHOSEN, {"ids": Values(ids).array, "now": now}) if ids else []


def _lanes(turns: Sequence[Turn], now: datetime) -> dict[str, Any]:
    return {
        "now": now,
        "numbers": [turn.lane.number_id for turn in turns],
        "priorities": [turn.lane.priority for turn in turns],
        "most": [turn.most for turn in turns],
    }


def _locked(sql: str, parameters: dict[str, Any]) -> list[Claimed]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = [Claimed(*row) for row in cursor.fetchall()]
    for row in rows:
        row.payload = orjson.loads(row.payload)
    return rows


_FROM_LANES = """
FROM unnest(
    %(numbers)s::bigint[], %(priorities)s::smallint[], %(most)s::int[]
) AS lane (number_id, priority, most)
CROSS JOIN LATERAL (
    SELECT {columns} FROM outbound_message
    WHERE status = 'QUEUED' AND phone_number_id = lane.number_id
        AND priority = lane.priority AND due_at <= %(now)s
    ORDER BY due_at, id LIMIT lane.most
    {lock}
) AS message
"""
_LOCK_DUE = "SELECT message.* " + _FROM_LANES.format(
    columns=_AS_READ, lock="FOR UPDATE SKIP LOCKED"
)
_LOOK = "SELECT message.* " + _FROM_LANES.format(columns=", ".join(Candidate._fields), lock="")
_LOOK = _LOOK.replace("SELECT pk,", "SELECT id,")
# In the order of the ids given, which is the order in which the limits were asked. Whether they
# are due stands in a CASE, which hides it from PostgreSQL's planner: from figures taken while
# nothing was queued it would begin with all that is queued.
_LOCK_CHOSEN = f"""
SELECT {", ".join(f"message.{name}" for name in _AS_READ.split(", "))}
FROM outbound_message AS message
JOIN unnest(%(ids)s::uuid[]) WITH ORDINALITY AS chosen (id, place) ON chosen.id = message.id
WHERE CASE WHEN message.status = 'QUEUED' AND message.due_at <= %(now)s THEN true ELSE false END
ORDER BY chosen.place
FOR UPDATE OF message SKIP LOCKED
"""  # noqa: S608 - built from constants
