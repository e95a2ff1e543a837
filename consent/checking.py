"""Proving that the present answers follow from the recorded decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from consent import history
from consent.models import Consent, ConsentEvent

# Consents in memory at once, with their history.
BATCH = 500
# Ids kept of each kind of finding, so that a broken ledger does not fill the memory.
EXAMPLES = 20

WITHOUT_HISTORY = "without history"
NOT_FOLLOWING = "not following from its history"
OTHER_ORGANIZATION = "mixing organisations"


@dataclass(slots=True)
class Report:
    """What was looked at and what is wrong, in numbers and ids."""

    consents: int = 0
    events: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[int]] = field(default_factory=dict)

    def add(self, finding: str, consent_id: int) -> None:
        """Count a finding and remember the first few."""
        self.wrong[finding] += 1
        known = self.examples.setdefault(finding, [])
        if len(known) < EXAMPLES:
            known.append(consent_id)


def check_all() -> Report:
    """Compare every consent with its history; memory stays the same however many there are.

    What seems wrong is read again under its lock: somebody may be deciding this moment.
    """
    report = Report()
    for batch in _batches():
        suspects = [row for row, known in _with_history(batch, report) if _finding(row, known)]
        for row in suspects:
            with transaction.atomic():
                locked = list(Consent.objects.select_for_update().filter(pk=row.pk))
                for again, known in _with_history(locked, Report()):
                    finding = _finding(again, known)
                    if finding:
                        report.add(finding, again.pk)
    return report


def _batches() -> Iterator[list[Consent]]:
    last = 0
    while True:
        batch = list(
            Consent.objects.filter(pk__gt=last).select_related("contact").order_by("pk")[:BATCH]
        )
        if not batch:
            return
        yield batch
        last = batch[-1].pk


def _with_history(
    rows: Iterable[Consent], report: Report
) -> Iterator[tuple[Consent, list[ConsentEvent]]]:
    found: dict[int, tuple[Consent, list[ConsentEvent]]] = {row.pk: (row, []) for row in rows}
    for event in ConsentEvent.objects.filter(consent_id__in=found).order_by("pk"):
        found[event.consent_id][1].append(event)
        report.events += 1
    report.consents += len(found)
    yield from found.values()


def _finding(row: Consent, known: Sequence[ConsentEvent]) -> str:
    if not known:
        return WITHOUT_HISTORY
    if row.contact.org_id != row.org_id or {event.org_id for event in known} != {row.org_id}:
        return OTHER_ORGANIZATION
    decided = history.present(known)
    if decided is None or _says(row) != (
        decided.status,
        decided.expires_at,
        decided.source,
        decided.proof,
        decided.occurred_at,
    ):
        return NOT_FOLLOWING
    return ""


def _says(row: Consent) -> tuple[object, ...]:
    return row.status, row.expires_at, row.source, row.proof, row.decided_at
