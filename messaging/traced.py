"""Which parts of a message's life become spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from messaging import tracing
from messaging.candidates import Claimed
from messaging.models import OutboundMessage, WebhookDelivery, WebhookEvent
from messaging.providers.base import Outcome, Result
from messaging.tracing import Span

if TYPE_CHECKING:
    from messaging.events import Noted

_MATCHED = frozenset({WebhookEvent.Result.APPLIED, WebhookEvent.Result.UNCHANGED})


def accepted(messages: Iterable[OutboundMessage], begun: int) -> None:
    """Trace the acceptance of new messages, which began at that ``tracing.now()``."""
    if begun and tracing.is_on():
        ended = tracing.now()
        tracing.emit(
            Span(
                message.pk,
                "accept",
                begun,
                ended,
                {"outbound.channel": message.channel, "outbound.kind": message.kind},
                is_first=True,
            )
            for message in messages
        )


def claimed(messages: Sequence[Claimed], begun: int) -> None:
    """Trace a claim, which began at that ``tracing.now()``, for each of its messages."""
    if begun and tracing.is_on():
        ended = tracing.now()
        tracing.emit(
            Span(
                message.pk,
                "claim",
                begun,
                ended,
                {
                    "outbound.attempt": message.last_attempt_number,
                    "outbound.batch_size": len(messages),
                },
            )
            for message in messages
        )


def recorded(answers: Sequence[tuple[Claimed, Result]], begun: int) -> None:
    """Trace the calls to the provider, each ended when its answer came in, and their record.

    The record began at that ``tracing.now()``.
    """
    if begun and tracing.is_on():
        tracing.emit(_calls(answers, begun, tracing.now()))


def _calls(answers: Sequence[tuple[Claimed, Result]], begun: int, ended: int) -> Iterator[Span]:
    for message, result in answers:
        facts: dict[str, str | int] = {
            "outbound.attempt": message.last_attempt_number,
            "outbound.outcome": result.outcome.value,
        }
        if result.error_code:
            facts["outbound.error_code"] = result.error_code[:32]
        if result.http_status is not None:
            facts["http.response.status_code"] = result.http_status
        answered = min(result.answered_at or begun, begun)
        yield Span(
            message.pk,
            "provider call",
            answered - result.duration_ms * 1_000_000,
            answered,
            facts,
            is_error=result.outcome != Outcome.ACCEPTED,
        )
        yield Span(message.pk, "record", begun, ended, {"outbound.batch_size": len(answers)})


def received(deliveries: Iterable[WebhookDelivery], rows: Iterable[Noted], now: datetime) -> None:
    """Trace the receipts of messages, from their arrival to their being applied."""
    if not tracing.is_on():
        return
    arrivals = {delivery.pk: delivery.received_at for delivery in deliveries}
    tracing.emit(
        Span(
            row.message_id,
            "receipt",
            tracing.moment(arrivals[row.delivery_id]),
            tracing.moment(now),
            {"outbound.status": row.topic, "outbound.result": str(row.result)},
            is_error=row.topic == "failed",
        )
        for row in rows
        if row.message_id is not None and row.result in _MATCHED
    )
