"""Looking up what an error code means, with the operators' changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from messaging.providers.base import ErrorRule, Outcome, Scope
from messaging.providers.whatsapp import error_rules

# A code that is not in the table is retried this often when it looks transient.
UNKNOWN_ATTEMPTS = 3

_MEDIA_LATER = re.compile(r"http code (5\d\d|429)|tim(e|ed)[ -]?out", re.IGNORECASE)
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "outcome": Outcome,
    "scope": Scope,
    "title": str,
    "advice": str,
    "wait_seconds": (int, type(None)),
    "longest_wait_seconds": (int, type(None)),
    "lowers_rate": bool,
    "max_attempts": (int, type(None)),
    "stop": str,
    "campaign": bool,
    "opt_out": bool,
    "undeliverable": bool,
}


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """Meta's codes; the same table serves refused calls and failed statuses."""

    rules: Mapping[str, ErrorRule]
    overridden: frozenset[str] = field(default_factory=frozenset)

    @property
    def campaign_codes(self) -> frozenset[str]:
        """Return the codes that are everyday results of marketing, not failures."""
        return frozenset(code for code, rule in self.rules.items() if rule.campaign)

    def lookup(
        self, code: str | int, *, subcode: int | None = None, details: str = ""
    ) -> ErrorRule | None:
        """Return the rule of a code; None when the table does not know it.

        A code that operators have overridden is not refined by sub-code or details.
        """
        key = str(code)
        rule = self.rules.get(key)
        if key in self.overridden:
            return rule
        if key == "100" and subcode == error_rules.NO_SUCH_OBJECT_SUBCODE:
            return error_rules.NO_SUCH_OBJECT
        if key == "131053" and _MEDIA_LATER.search(details):
            return error_rules.MEDIA_LATER
        if rule is None and key.isdigit() and int(key) in error_rules.PERMISSION_RANGE:
            return replace(error_rules.PERMISSION, code=key)
        return rule

    def resolve(
        self,
        code: str | int,
        *,
        subcode: int | None = None,
        details: str = "",
        is_transient: bool | None = None,
        http_status: int | None = None,
    ) -> ErrorRule:
        """Return the rule of a code, or one made from what else is known of the error."""
        known = self.lookup(code, subcode=subcode, details=details)
        if known is not None:
            return known
        if is_transient is None:
            is_transient = http_status is not None and (http_status >= 500 or http_status == 429)
        return ErrorRule(
            str(code),
            Outcome.RETRY if is_transient else Outcome.REJECTED,
            Scope.MESSAGE,
            "A code we do not know",
            "Look it up in Meta's error reference.",
            max_attempts=UNKNOWN_ATTEMPTS if is_transient else None,
        )

    def with_overrides(self, overrides: Any) -> ErrorTable:
        """Return a table with some rows changed or added; raise ValueError naming what is wrong."""
        if not isinstance(overrides, Mapping):
            message = "it must be an object: code → fields"
            raise ValueError(message)
        rules = dict(self.rules)
        for code, changes in overrides.items():
            base = rules.get(code) or ErrorRule(
                code, Outcome.REJECTED, Scope.MESSAGE, f"Code {code}", ""
            )
            rules[code] = replace(base, **_checked(code, changes))
        return ErrorTable(rules, self.overridden | frozenset(overrides))


def _checked(code: str, changes: Any) -> dict[str, Any]:
    if not isinstance(changes, Mapping):
        message = f"{code}: give an object of fields"
        raise ValueError(message)
    known = {item.name for item in fields(ErrorRule)} - {"code"}
    checked: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in known:
            message = f"{code}: there is no field {name}; use {', '.join(sorted(known))}"
            raise ValueError(message)
        checked[name] = _converted(code, name, value)
    return checked


def _converted(code: str, name: str, value: Any) -> Any:
    expected = _TYPES[name]
    try:
        if expected is Outcome:
            return Outcome(value)
        if expected is Scope:
            return Scope(value)
    except ValueError:
        message = f"{code}: {name} is not one of its words"
        raise ValueError(message) from None
    is_bool_as_number = isinstance(value, bool) and expected is not bool
    if not isinstance(value, expected) or is_bool_as_number:
        message = f"{code}: {name} has the wrong type"
        raise ValueError(message)
    return value


DEFAULT_TABLE = ErrorTable({rule.code: rule for rule in error_rules.RULES})
