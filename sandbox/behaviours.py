"""Every way the sandbox can behave, in one table; magic recipients and rules refer to it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.errors import ErrorAnswer

READ = ("sent", "delivered", "read")
DELIVERED = ("sent", "delivered")
# How many messages the counters of "first fails, then OK" remember.
LONGEST_MEMORY = 200_000


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What becomes of one call."""

    error: ErrorAnswer | None = None  # refuse with this
    # Otherwise it is accepted, unless answer is refused502 or close.
    answer: str = "ok"  # ok, slow, drop (accepted), close (not accepted), empty, html, refused502
    statuses: tuple[str, ...] = READ
    failure: int | None = None  # code of the status "failed" among the statuses
    early: bool = False  # statuses before the answer
    duplicate: bool = False  # each status twice
    one_post: bool = False  # all statuses in one POST
    bsuid_only: bool = False  # statuses name no phone number
    other_wa_id: bool = False  # wa_id differs from the input

    @property
    def is_accepted(self) -> bool:
        """Say whether the message is taken."""
        return self.error is None and self.answer not in {"close", "refused502"}


def _error(code: int, **extra: Any) -> Behaviour:
    return Behaviour(error=ErrorAnswer(code, **extra))


def _fails(code: int, *before: str) -> Behaviour:
    return Behaviour(statuses=(*before, "failed"), failure=code)


OK = Behaviour()

NAMED: dict[str, Behaviour] = {
    "ok": OK,
    "delivered": Behaviour(statuses=DELIVERED),
    "read_only": Behaviour(statuses=("sent", "read")),
    "sent_only": Behaviour(statuses=("sent",)),
    "slow": Behaviour(answer="slow"),
    "drop": Behaviour(answer="drop"),
    "drop_silent": Behaviour(answer="drop", statuses=()),
    "close": Behaviour(answer="close"),
    "bad_gateway": Behaviour(answer="refused502"),
    "empty": Behaviour(answer="empty"),
    "html": Behaviour(answer="html"),
    "early": Behaviour(early=True),
    "duplicate": Behaviour(duplicate=True),
    "shuffled": Behaviour(statuses=("read", "delivered", "sent")),
    "one_post": Behaviour(one_post=True),
    "bsuid_only": Behaviour(bsuid_only=True),
    "other_wa_id": Behaviour(other_wa_id=True),
    "failed_then_delivered": Behaviour(statuses=("sent", "failed", "delivered"), failure=131026),
    "throttled": _error(130429),
    "throttled_429": _error(130429, http=429, headers={"Retry-After": "1"}),
}

# Last four digits of the recipient → what each call for one message meets; the last one stays.
MAGIC: dict[str, tuple[Behaviour, ...]] = {
    "0100": (NAMED["delivered"],),
    "0101": (OK,),
    "0102": (NAMED["read_only"],),
    "0103": (NAMED["sent_only"],),
    "0110": (_error(131000), OK),
    "0111": (_error(131016), _error(131016), OK),
    "0112": (_error(131016),),
    "0113": (NAMED["throttled"], OK),
    "0114": (NAMED["throttled_429"], OK),
    "0115": (_error(131056), OK),
    "0120": (_fails(131026, "sent"),),
    "0121": (_fails(131047),),
    "0122": (_fails(131049, "sent"),),
    "0123": (_fails(131050),),
    "0124": (_fails(131000, "sent"), OK),
    "0125": (NAMED["failed_then_delivered"],),
    "0126": (_error(131009),),
    "0127": (_error(132001),),
    "0128": (_error(190, subcode=463),),
    "0129": (_error(131042),),
    "0130": (NAMED["slow"],),
    "0131": (NAMED["drop"],),
    "0132": (NAMED["drop_silent"],),
    "0133": (NAMED["bad_gateway"],),
    "0134": (NAMED["early"],),
    "0135": (NAMED["duplicate"],),
    "0136": (NAMED["shuffled"],),
    "0137": (NAMED["one_post"],),
    "0138": (NAMED["bsuid_only"],),
    "0139": (NAMED["other_wa_id"],),
    "0140": (NAMED["close"],),
    "0141": (NAMED["empty"],),
    "0142": (NAMED["html"],),
}
MAGIC_PREFIX = "1202555"


class RuleError(Exception):
    """A rule is wrong; the text names what."""


@dataclass(slots=True)
class Rule:
    """Behaviours for a recipient, a number, or both."""

    behaviours: deque[Behaviour]
    recipient: str = ""
    phone_number_id: str = ""
    always: bool = False

    def applies(self, recipient: str, phone_number_id: str) -> bool:
        """Say whether it is about this call."""
        return self.recipient in {"", recipient} and self.phone_number_id in {"", phone_number_id}


@dataclass(slots=True)
class Chooser:
    """Chooses the behaviour of each call: rules first, then magic recipients."""

    rules: list[Rule] = field(default_factory=list)
    calls: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def choose(self, recipient: str, phone_number_id: str, message_key: str) -> Behaviour:
        """Return what this call meets; ``recipient`` is digits without the plus."""
        for rule in self.rules:
            if rule.applies(recipient, phone_number_id):
                if rule.always:
                    return rule.behaviours[0]
                chosen = rule.behaviours.popleft()
                if not rule.behaviours:
                    self.rules.remove(rule)
                return chosen
        sequence = MAGIC.get(recipient[-4:]) if recipient.startswith(MAGIC_PREFIX) else None
        if sequence is None:
            return OK
        if len(sequence) == 1:
            return sequence[0]
        return sequence[min(self._count(message_key), len(sequence) - 1)]

    def _count(self, message_key: str) -> int:
        """Return how many calls this message has made before."""
        before = self.calls.pop(message_key, 0)
        self.calls[message_key] = before + 1
        if len(self.calls) > LONGEST_MEMORY:
            self.calls.popitem(last=False)
        return before


def rule_from(data: Any) -> Rule:
    """Return the rule described by a JSON object; raise RuleError."""
    if not isinstance(data, dict) or not isinstance(data.get("behaviours"), list):
        message = "A rule is an object with a list of behaviours."
        raise RuleError(message)
    if not data["behaviours"]:
        message = "A rule needs at least one behaviour."
        raise RuleError(message)
    return Rule(
        deque(_behaviour(item) for item in data["behaviours"]),
        recipient=str(data.get("recipient") or "").lstrip("+"),
        phone_number_id=str(data.get("phone_number_id") or ""),
        always=data.get("repeat") == "always",
    )


def _behaviour(data: Any) -> Behaviour:
    if isinstance(data, str):
        if data not in NAMED:
            message = f"There is no behaviour {data}; there are: {', '.join(NAMED)}."
            raise RuleError(message)
        return NAMED[data]
    if not isinstance(data, dict):
        message = "A behaviour is a name or an object."
        raise RuleError(message)
    values = dict(data)
    if "error" in values:
        values["error"] = _error_answer(values["error"])
    if "statuses" in values:
        values["statuses"] = tuple(_texts(values["statuses"]))
    unknown = set(values) - {item.name for item in fields(Behaviour)}
    if unknown:
        message = f"A behaviour has no field {', '.join(sorted(unknown))}."
        raise RuleError(message)
    return Behaviour(**values)


def _error_answer(data: Any) -> ErrorAnswer:
    if isinstance(data, int):
        return ErrorAnswer(data)
    if not isinstance(data, Mapping) or not isinstance(data.get("code"), int):
        message = "An error is a code, or an object with code, http, details, subcode, headers."
        raise RuleError(message)
    unknown = set(data) - {item.name for item in fields(ErrorAnswer)}
    if unknown:
        message = f"An error has no field {', '.join(sorted(unknown))}."
        raise RuleError(message)
    return ErrorAnswer(**data)


def _texts(value: Any) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = "statuses is a list of words."
        raise RuleError(message)
    return value
