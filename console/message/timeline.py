"""What happened to a message, from every table that knows something, in order of time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter

from consent.models import ConsentEvent
from console import incidents, links
from console.message import request, standstill
from console.message.entries import MOST, Entry
from messaging import queries
from messaging.models import (
    MessageEvent,
    OutboundAttempt,
    OutboundMessage,
    WebhookEvent,
)
from messaging.providers.base import Outcome
from messaging.states import Cause, Status
from orgs import actors
from orgs.models import AuditEvent

_TONES = {
    Status.DELIVERED: "success",
    Status.SENT: "info",
    Status.FAILED: "danger",
    Status.CANCELLED: "warning",
}
_OUTCOME_TONES = {
    Outcome.ACCEPTED.value: "success",
    Outcome.REJECTED.value: "danger",
    Outcome.UNKNOWN.value: "danger",
    OutboundAttempt.STARTED: "info",
}
_TITLES = {
    (Cause.INTAKE, "accepted"): "Accepted through the API",
    (Cause.CLAIM, "sending"): "Taken by a worker",
    (Cause.RESULT, "accepted"): "Taken by the provider",
    (Cause.RESULT, "retry"): "Refused for now; it is tried again",
    (Cause.RESULT, "throttled"): "Throttled; it waits and no attempt is spent",
    (Cause.RESULT, "not_sent"): "Not sent: the request never left",
    (Cause.RESULT, "unknown"): "The answer was lost; evidence is waited for",
    (Cause.RESULT, "rejected"): "Refused by the provider",
    (Cause.RESCUE, "unknown"): "The worker was lost; evidence is waited for",
    (Cause.RESCUE, "resend"): "No evidence came; it is sent again",
    (Cause.STAFF, "requeued"): "Requeued by staff",
    (Cause.STAFF, "cancelled"): "Cancelled by staff",
    (Cause.STAFF, "discarded"): "Discarded by staff",
    (Cause.STAFF, "restored"): "Discard undone by staff",
    (Cause.CLIENT, "requeued"): "Retried by the client",
    (Cause.CLIENT, "cancelled"): "Cancelled by the client",
    (Cause.CLIENT, "discarded"): "Discarded by the client",
    (Cause.CLIENT, "restored"): "Discard undone by the client",
    (Cause.EXPIRY, "cancelled"): "Expired before it could be sent",
    (Cause.CONSENT, "cancelled"): "Withdrawn: there is no consent",
}
# Told by the message's own timeline already.
_TOLD = (
    *("message.requeued", "message.cancelled"),
    *("message.discarded", "message.discard_undone"),
)


def read(
    message: OutboundMessage,
    reach: Collection[int] | None,
    now: datetime,
    *,
    whole: bool = False,
) -> list[Entry]:
    """Return the entries up to now, the oldest first, for somebody with that reach (None: all).

    ``whole`` with recipient and content of requests.
    """
    sources = (
        _consents(message),
        _events(message),
        _attempts(message, whole=whole),
        _webhooks(message),
        standstill.read(message, reach, now),
        _deeds(message),
        _incidents(message, reach),
    )
    # Each gives its latest first; of the same moment the order here is kept.
    entries = [entry for source in sources for entry in reversed(list(source))]
    entries.sort(key=attrgetter("place"))
    return _named(entries)


def _events(message: OutboundMessage) -> Iterator[Entry]:
    for event in MessageEvent.objects.filter(message=message.pk).order_by("-id")[:MOST]:
        lines = []
        if event.to_status:
            lines.append(("Status", f"{event.from_status or 'new'} → {event.to_status}"))
        if event.code:
            lines += _error(event.code)
        if event.reason:
            lines.append(("Reason", event.reason))
        label = f"{event.kind.replace('_', ' ').capitalize()}: {event.get_cause_display()}"
        yield Entry(
            event.at,
            "Message",
            _TITLES.get((Cause(event.cause), event.kind), label),
            _TONES.get(Status(event.to_status), "default") if event.to_status else "default",
            event.actor,
            lines,
            learned_at=event.recorded_at,
        )


def _attempts(message: OutboundMessage, *, whole: bool) -> Iterator[Entry]:
    rows = OutboundAttempt.objects.filter(message=message.pk).order_by("-attempt_number")[:MOST]
    for attempt in rows:
        took = f", {attempt.duration_ms:,} ms" if attempt.duration_ms is not None else ""
        lines = [
            ("Counts as an attempt", "yes" if attempt.charged else "no"),
            ("HTTP status", str(attempt.http_status or "none")),
        ]
        if attempt.provider_message_id:
            lines.append(("wamid", attempt.provider_message_id))
        if attempt.error_code:
            lines += _error(attempt.error_code, attempt.error_message)
        lines += [
            (name, text)
            for name, text in (
                ("Trace id for Meta's support", attempt.trace_id),
                ("Answer", attempt.excerpt),
                ("Statuses since", attempt.receipts.replace(" ", ", ")),
            )
            if text
        ]
        yield Entry(
            attempt.started_at,
            "Attempt",
            f"Attempt {attempt.attempt_number}: {attempt.get_outcome_display().lower()}{took}",
            _OUTCOME_TONES.get(attempt.outcome, "warning"),
            lines=lines,
            body=request.shown(message, attempt.attempt_number, whole=whole),
        )


def _error(code: str, text: str = "") -> list[tuple[str, str]]:
    title, advice = queries.explain(code)
    told = [("Told", text)] if text else []
    return [("Error", f"{code} · {title}"), *told, ("What to do", advice)]


def _consents(message: OutboundMessage) -> Iterator[Entry]:
    """Return the decisions about what this message needed, up to now."""
    events = ConsentEvent.objects.filter(
        consent__contact=message.contact_id,
        consent__channel=message.channel,
        consent__purpose=message.purpose,
    )
    for event in events.select_related("consent").order_by("-id")[:MOST]:
        lines = [("Source", event.get_source_display())]
        if event.expires_at:
            lines.append(("Expires", f"{event.expires_at:%Y-%m-%d %H:%M} UTC"))
        yield Entry(
            event.occurred_at,
            "Consent",
            f"Consent for {message.purpose}: {event.get_status_display().lower()}",
            "default" if event.status == "GRANTED" else "warning",
            event.actor,
            lines,
            url=links.page("consent_consent_change", event.consent_id),
        )


def _webhooks(message: OutboundMessage) -> Iterator[Entry]:
    events = WebhookEvent.objects.filter(message_id=message.pk).order_by("-id")[:MOST]
    for event in events:
        lines = [("Result", event.get_result_display())]
        if event.occurred_at:
            lines.append(("Time by Meta", f"{event.occurred_at:%Y-%m-%d %H:%M:%S} UTC"))
        if event.error:
            lines.append(("Trouble", event.error))
        yield Entry(
            event.recorded_at,
            "Webhook",
            f"Webhook: {event.topic}",
            lines=lines,
            url=links.page("messaging_webhookdelivery_change", event.delivery_id),
        )


def _deeds(message: OutboundMessage) -> Iterator[Entry]:
    """Return what people did that is no change of the message, such as opening it."""
    events = AuditEvent.objects.filter(target=f"message:{message.pk}").exclude(action__in=_TOLD)
    for event in events.order_by("-id")[:MOST]:
        yield Entry(
            event.at,
            "Staff",
            event.action.replace(".", " ").replace("_", " ").capitalize(),
            who=event.actor,
            lines=[("Reason", event.reason)] if event.reason else [],
        )


def _incidents(message: OutboundMessage, reach: Collection[int] | None) -> Iterator[Entry]:
    for alert in incidents.beside(message, reach).order_by("-opened_at")[:MOST]:
        lines = [("Told", alert.summary)] if alert.summary else []
        if alert.resolved_at:
            lines.append(("Resolved", f"{alert.resolved_at:%Y-%m-%d %H:%M:%S} UTC"))
        yield Entry(
            alert.opened_at,
            "Incident",
            alert.title,
            incidents.colour_of(alert),
            lines=lines,
            url=incidents.url_of(alert),
        )


def _named(entries: Sequence[Entry]) -> list[Entry]:
    """Put the names of people in the place of their ids."""
    names = actors.names(entry.who for entry in entries)
    return [replace(entry, who=names[entry.who]) for entry in entries]
