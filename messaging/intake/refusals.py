"""What may stand against a request, in the order in which it is told."""

from __future__ import annotations

from consent import ledger
from messaging import windows
from messaging.intake.requests import Facts, MessageRequest, longest_age
from orgs.problems import FieldProblem, Problem


def refusal(request: MessageRequest, facts: Facts) -> Problem | None:
    """Return what stands against the request; None when it may be queued."""
    problem = _untimely(request, facts) or _without_number(request, facts)
    if problem is not None:
        return problem
    if facts.consent != ledger.ALLOWED:
        return _without_consent(request, facts.consent)
    if windows.needs_window(request.kind) and not facts.window_open:
        return _refused(
            "outside_service_window",
            "type",
            "The person has not written to this number in the last 24 hours: "
            "only a template may be sent.",
        )
    return None


def key_conflict() -> Problem:
    """Return the refusal of a key that stands for another request."""
    return Problem(
        422,
        "idempotency_conflict",
        "Idempotency key already used",
        "This key made another message. Use a new key for a different request.",
        [FieldProblem("idempotency_key", "conflict", "Used before with another body.")],
    )


def _untimely(request: MessageRequest, facts: Facts) -> Problem | None:
    starts = request.starts_at(facts.now)
    if starts > facts.now + longest_age():
        days = longest_age().total_seconds() / 86_400
        return _refused("too_far_ahead", "scheduled_at", f"At most {days:g} days ahead.")
    if request.ends_at(facts.now) <= starts:
        if starts > facts.now:
            return _refused("expired", "scheduled_at", "It must lie before the expiry.")
        return _refused("expired", "expires_at", "It lies in the past; give a later time.")
    return None


def _without_number(request: MessageRequest, facts: Facts) -> Problem | None:
    if facts.number is not None:
        return None
    if request.sender:
        return _refused(
            "unknown_number", "from", "This organisation has no active number with that id."
        )
    if not facts.senders:
        return _refused("no_number", "from", "This organisation has no active number yet.")
    return _refused(
        "number_required", "from", "This organisation has several numbers: say which one sends."
    )


def _without_consent(request: MessageRequest, status: str) -> Problem:
    found = "No consent found" if status == ledger.MISSING else f"Consent is {status}"
    detail = f"Consent required: {found} for channel {request.channel}"
    title = "Consent required"
    advice = f"Record a consent with purpose {request.purpose} for this person first."
    return Problem(
        422, "consent_required", title, detail, [FieldProblem("to", "consent_required", advice)]
    )


def _refused(code: str, name: str, detail: str) -> Problem:
    return Problem(422, code, "Message refused", detail, [FieldProblem(name, code, detail)])
