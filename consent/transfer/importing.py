"""Working through an import part by part: first only trying it out, then recording it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from consent import ledger, taking
from consent.models import ConsentImport, Decision, ImportPart, ImportProblem
from consent.serializers import judge
from consent.transfer import table
from orgs import audit, database
from orgs.problems import FieldProblem

logger = logging.getLogger(__name__)

State = ConsentImport.State
# Nothing more is done about these.
ENDED = (State.DONE, State.DISCARDED, State.FAILED)
SYSTEM = "system:consent"
# A part that fails so often in a row never will be taken; a race with others passes.
MOST_FAILURES = 3

# Problems kept of one import; all are counted.
MOST_PROBLEMS = 1000
# An upload that broke off, or that nobody wanted in the end, is discarded after this long.
KEPT_FOR = timedelta(days=1)

# What is counted, beside the answers "granted", "denied" and "revoked" that are new or changed.
UNCHANGED = "unchanged"
OPTED_OUT = "opted_out"  # skipped: the person has said STOP
WRONG = "wrong"

_WORDS = {Decision.GRANTED: "granted", Decision.DENIED: "denied", Decision.REVOKED: "revoked"}


def start(chosen: ConsentImport, *, actor: str) -> bool:
    """Have an import recorded that has been tried out; False when it is not waiting for that."""
    return _move(chosen, State.READY, State.RECORDING, actor, "consent_import.started")


def discard(chosen: ConsentImport, *, actor: str) -> bool:
    """Drop an import that is not being recorded; False when it is too late."""
    return any(
        _move(chosen, state, State.DISCARDED, actor, "consent_import.discarded")
        for state in (State.READY, State.TRYING, State.UPLOADING)
    )


def proceed() -> int:
    """Take the open import that has waited longest one part further; return how many rows it had.

    The rows of a part are recorded in one transaction with the note that they are: a process
    that dies leaves nothing half done, and nothing is done twice. Several files take turns. A
    part that fails is tried again a few times; then the import is stopped, and says so.
    """
    chosen: ConsentImport | None = None
    try:
        with transaction.atomic():
            chosen = (
                ConsentImport.objects.select_for_update(skip_locked=True, of=("self",))
                .filter(state__in=[State.TRYING, State.RECORDING])
                .select_related("org")
                .order_by("updated_at", "pk")
                .first()
            )
            if chosen is not None:
                return _take_part(chosen)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if chosen is None:
            raise
        logger.exception("A part of an import failed", extra={"import_id": chosen.pk})
        _note_failure(chosen)
        return 0
    return _discard_old()


def _note_failure(chosen: ConsentImport) -> None:
    """Count it; end the import when it was one too many. What earlier parts brought stays."""
    ConsentImport.objects.filter(pk=chosen.pk).update(
        failures=F("failures") + 1, updated_at=database.now()
    )
    if chosen.failures + 1 < MOST_FAILURES:
        return
    for state in (State.TRYING, State.RECORDING):
        _move(chosen, state, State.FAILED, SYSTEM, "consent_import.failed")


def _take_part(chosen: ConsentImport) -> int:
    recording = chosen.state == State.RECORDING
    part = ImportPart.objects.filter(of=chosen, position=chosen.next_part).first()
    if part is None:
        _end(chosen)
        return 1
    counts, problems = _record(chosen, part, keep=recording)
    total = Counter(chosen.result if recording else chosen.preview) + Counter(counts)
    if recording:
        chosen.result = dict(total)
        part.delete()
    else:
        chosen.preview = dict(total)
        _keep_problems(chosen, problems)
    chosen.failures = 0
    chosen.done_rows += len(part.rows)
    chosen.next_part += 1
    chosen.updated_at = database.now()
    chosen.save()
    return len(part.rows)


def _end(chosen: ConsentImport) -> None:
    if chosen.state == State.TRYING:
        chosen.state, chosen.next_part, chosen.done_rows = State.READY, 0, 0
    else:
        chosen.state = State.DONE
        _audit(chosen, chosen.actor, "consent_import.finished")
    chosen.updated_at = database.now()
    chosen.save()


def _record(
    chosen: ConsentImport, part: ImportPart, *, keep: bool
) -> tuple[Counter[str], list[ImportProblem]]:
    """Record the good rows of a part, or only see what would come of it."""
    good, problems = _read(chosen, part.rows)
    counts: Counter[str] = Counter()
    if problems:
        counts[WRONG] = len({problem.line for problem in problems})
    with transaction.atomic():
        made = taking.take(
            chosen.org,
            [data for _line, data in good],
            actor=chosen.actor,
            default_at=chosen.created_at,
        )
        if not keep:
            transaction.set_rollback(True)
    for (line, data), item in zip(good, made, strict=True):
        counts[_outcome(data, item)] += 1
        if item.opted_out:
            detail = "The person has said STOP; an import never undoes that. The row is skipped."
            problems.append(_problem(chosen, line, FieldProblem("status", OPTED_OUT, detail)))
    return counts, problems


def _outcome(data: dict[str, Any], made: ledger.Recorded) -> str:
    if made.opted_out:
        return OPTED_OUT
    if made.result == ledger.REPEATED or made.was == data["status"]:
        return UNCHANGED
    return _WORDS[Decision(data["status"])]


def _read(
    chosen: ConsentImport, rows: Sequence[Any]
) -> tuple[list[tuple[int, dict[str, Any]]], list[ImportProblem]]:
    problems: list[ImportProblem] = []
    readable: list[tuple[int, dict[str, Any]]] = []
    for line, cells in rows:
        try:
            readable.append((line, table.values_of(chosen.columns, cells)))
        except ValueError as error:
            detail = f"Not readable, or not {len(chosen.columns)} cells as in the first line."
            problems.append(_problem(chosen, line, FieldProblem(str(error), "unreadable", detail)))
    good: list[tuple[int, dict[str, Any]]] = []
    judged = judge(values for _line, values in readable)
    for (line, _values), found in zip(readable, judged, strict=True):
        if isinstance(found, dict):
            good.append((line, found))
        else:
            problems += [_problem(chosen, line, problem) for problem in found]
    return good, problems


def _problem(chosen: ConsentImport, line: int, found: FieldProblem) -> ImportProblem:
    return ImportProblem(
        of=chosen,
        line=line,
        column=found.field[:64],
        code=found.code[:64],
        detail=found.detail[:300],
    )


def _keep_problems(chosen: ConsentImport, problems: Sequence[ImportProblem]) -> None:
    if problems:
        problems = sorted(problems, key=lambda problem: problem.line)
        room = MOST_PROBLEMS - ImportProblem.objects.filter(of=chosen).count()
        ImportProblem.objects.bulk_create(problems[: max(0, room)])


def _move(chosen: ConsentImport, old: State, new: State, actor: str, action: str) -> bool:
    with transaction.atomic():
        locked = ConsentImport.objects.select_for_update().get(pk=chosen.pk)
        if locked.state != old:
            return False
        locked.state = new
        locked.updated_at = database.now()
        if new == State.RECORDING:
            locked.actor = actor  # whoever gives the word answers for it
        locked.save()
        _audit(locked, actor, action)
        if new in ENDED:
            ImportPart.objects.filter(of=locked).delete()
    chosen.refresh_from_db()
    return True


def _discard_old() -> int:
    """Discard one import that nobody has touched for long."""
    stale = ConsentImport.objects.filter(
        state__in=[State.UPLOADING, State.READY], updated_at__lt=database.now() - KEPT_FOR
    ).first()
    return int(stale is not None and discard(stale, actor="system:retention"))


def _audit(chosen: ConsentImport, actor: str, action: str) -> None:
    target = f"consent_import:{chosen.pk}"
    audit.record([audit.Entry(chosen.org_id, actor, action, target, after=dict(chosen.result))])
