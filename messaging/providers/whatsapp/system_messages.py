"""What WhatsApp itself tells in place of a person: that they go by another name now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from messaging.providers.whatsapp.values import e164, text

SYSTEM = "system"  # the type of these messages
_CHANGES = frozenset({"user_changed_number", "user_changed_user_id"})


@dataclass(frozen=True, slots=True)
class NewName:
    """How a person is named from now on; empty where it does not say."""

    phone: str = field(repr=False)  # E.164 with +
    bsuid: str = field(repr=False)


def read(raw: Mapping[str, Any]) -> NewName | None:
    """Return the new name a system message tells; None when it is about something else."""
    system = raw.get(SYSTEM)
    if not isinstance(system, Mapping) or system.get("type") not in _CHANGES:
        return None
    return NewName(
        phone=e164(text(system.get("wa_id")) or text(system.get("new_wa_id"))),
        bsuid=text(system.get("user_id"))[:140],
    )
