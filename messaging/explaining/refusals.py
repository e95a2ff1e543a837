"""The rules that would end a message instead of holding it."""

from __future__ import annotations

from datetime import datetime

from consent import ledger
from consent.models import Consent
from messaging import templates, windows
from messaging.explaining.rule import Rule, at
from messaging.models import OutboundMessage


def explain(message: OutboundMessage, now: datetime) -> list[Rule]:
    """Return them in the order in which a claim asks them."""
    return [
        Rule(
            "Not expired",
            passed=message.expires_at > now,
            detail=f"Its expiry is {at(message.expires_at)}.",
            until=message.expires_at if message.expires_at > now else None,
            is_final=True,
        ),
        _consent(message, now),
        _window(message, now),
        _template(message),
    ]


def _consent(message: OutboundMessage, now: datetime) -> Rule:
    ask = ledger.Ask(message.contact_id, message.channel, message.purpose)
    answer = ledger.check([ask], now)[ask]
    kept = Consent.objects.filter(
        contact=message.contact_id, channel=message.channel, purpose=message.purpose
    ).first()
    detail = f"It is {answer.status}."
    if kept is not None:
        source = kept.get_source_display()
        detail = f"It is {answer.status}, decided at {at(kept.decided_at)} ({source})."
    return Rule(
        f"Consent for {message.purpose}",
        passed=answer.allowed,
        detail=detail,
        until=kept.expires_at if kept is not None and answer.allowed else None,
        is_final=True,
    )


def _window(message: OutboundMessage, now: datetime) -> Rule:
    name = "Customer service window"
    if not windows.needs_window(message.kind):
        return Rule(name, passed=True, detail="A template needs none.", is_final=True)
    if not windows.closed([message], now):
        closes = windows.closes_at((message.phone_number_id, message.contact_id))
        text = "The person wrote in the last 24 hours."
        return Rule(name, passed=True, detail=text, until=closes, is_final=True)
    closed = windows.closes_at((message.phone_number_id, message.contact_id))
    text = f"It closed at {at(closed)}." if closed else "The person has not written to the number."
    return Rule(name, passed=False, detail=text, changes="when the person writes", is_final=True)


def _template(message: OutboundMessage) -> Rule:
    name = "The template may be sent"
    if not message.template_name:
        return Rule(name, passed=True, detail="The message uses none.", is_final=True)
    key = (message.phone_number.account_id, message.template_name, message.template_language)
    over = templates.unsendable([key]).get(key)
    text = f"Meta has it as {over}." if over else "Nothing is known against it."
    return Rule(name, passed=not over, detail=text, is_final=True)
