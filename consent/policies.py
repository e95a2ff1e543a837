"""The organisations' own rules, with the defaults of those that have chosen none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consent import words
from consent.models import ConsentPolicy, StopScope


@dataclass(frozen=True, slots=True)
class Policy:
    """How an organisation hears STOP and START; words as `words.normalise` gives them."""

    stop_words: frozenset[str]
    start_words: frozenset[str]
    opt_out_payloads: frozenset[str]
    stop_scope: str = StopScope.EVERYTHING
    button_scope: str = StopScope.MARKETING
    stop_confirmation: str = ""
    start_confirmation: str = ""


DEFAULT = Policy(
    words.normalised(words.STOP), words.normalised(words.START), words.normalised(words.PAYLOADS)
)


def of(org_ids: Iterable[int]) -> dict[int, Policy]:
    """Return the policy of each organisation, by one query."""
    found = dict.fromkeys(org_ids, DEFAULT)
    for row in ConsentPolicy.objects.filter(org_id__in=list(found)):
        found[row.org_id] = Policy(
            words.normalised(row.stop_words) or DEFAULT.stop_words,
            words.normalised(row.start_words) or DEFAULT.start_words,
            words.normalised(row.opt_out_payloads) or DEFAULT.opt_out_payloads,
            row.stop_scope,
            row.button_scope,
            row.stop_confirmation,
            row.start_confirmation,
        )
    return found
