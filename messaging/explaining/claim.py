"""All rules in the order of a claim, and those about what the message goes by and when.

The answers come from the functions that the claim itself uses; nothing is locked or counted. A
claim stops at the first rule that holds a message, but whoever looks for the cause wants to know
of the second one too: every rule is asked, whatever those before it say.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from messaging.explaining import limits, refusals
from messaging.explaining.rule import Rule, at
from messaging.models import OutboundMessage
from messaging.states import Status
from messaging.waiting import Board, Waiting, own_time
from ratelimit.models import Hold

# So many messages that go before it are counted, and no more.
AHEAD_MOST = 10_000

_SCOPES = {
    Hold.Scope.APP: "Meta app",
    Hold.Scope.ACCOUNT: "WhatsApp account",
    Hold.Scope.NUMBER: "phone number",
    Hold.Scope.ORGANIZATION: "organisation",
    Hold.Scope.TEMPLATE: "template",
}


def explain(
    message: OutboundMessage, board: Board, reach: Collection[int] | None = None
) -> list[Rule]:
    """Return the rules in the order in which a claim meets them, at the board's moment.

    They are told to somebody with that reach (None: everything).
    The message is loaded with its contact and its number, that with account, app and organisation.
    Of a message that has ended this says what would be if it were requeued.
    """
    now = board.now
    return [
        *_active(message),
        *_holds(message, board),
        _due(message, now),
        _quiet(message, board),
        *refusals.explain(message, now),
        *limits.explain(message, now, reach),
        _turn(message, now),
    ]


def _active(message: OutboundMessage) -> list[Rule]:
    number = message.phone_number
    return [
        Rule(
            f"The {word} is active",
            passed=is_active,
            detail="It is." if is_active else "It is switched off in the console.",
            changes="" if is_active else "when somebody switches it on",
        )
        for word, is_active in (
            ("organisation", number.org.is_active),
            ("number", number.is_active),
        )
    ]


def _holds(message: OutboundMessage, board: Board) -> list[Rule]:
    held: dict[str, list[Waiting]] = {}
    for hold, waiting in board.held(message):
        held.setdefault(hold.scope, []).append(waiting)
    found = []
    for scope, word in _SCOPES.items():
        name = f"No hold on the {word}"
        none = "There is none."
        if scope == Hold.Scope.TEMPLATE and not message.template_name:
            none = "The message uses no template."
        found += [
            Rule(
                name,
                passed=False,
                detail=f"{_words(each)}: {each.detail}",
                until=each.until,
                changes="when somebody lifts it",
            )
            for each in held.get(scope, [])
        ] or [Rule(name, passed=True, detail=none)]
    return found


def _due(message: OutboundMessage, now: datetime) -> Rule:
    name = "Its time has come"
    if message.due_at is None:
        return Rule(name, None, "It has none until it is requeued, and is due at once then.")
    waiting = own_time(message, now)
    if waiting is None:
        return Rule(name, passed=True, detail=f"Due since {at(message.due_at)}.")
    detail = f"{_words(waiting)}: {waiting.detail}".rstrip(": ")
    return Rule(name, passed=False, detail=detail, until=waiting.until)


def _quiet(message: OutboundMessage, board: Board) -> Rule:
    name = "Outside quiet hours"
    waiting = board.quiet(message)
    if waiting is not None:
        return Rule(name, passed=False, detail=waiting.detail, until=waiting.until)
    begins = board.quiet_again(message)
    text = "It is not night where the person is." if begins else "None are kept for it."
    return Rule(name, passed=True, detail=text, until=begins)


def _turn(message: OutboundMessage, now: datetime) -> Rule:
    """Say how many messages of its number go first."""
    name = "Its turn among the messages of its number"
    if message.status != Status.QUEUED or message.due_at is None or message.due_at > now:
        text = "Those before it are counted once it is queued and due."
        return Rule(name, None, text, until=message.due_at)
    due = OutboundMessage.objects.due(now).filter(phone_number=message.phone_number_id)
    ahead = due.filter(priority__lt=message.priority)[:AHEAD_MOST].count()
    ahead += due.filter(priority=message.priority, due_at__lt=message.due_at)[:AHEAD_MOST].count()
    more = " or more" if ahead >= AHEAD_MOST else ""
    detail = f"{ahead:,}{more} due messages go before it."
    return Rule(name, passed=not ahead, detail=detail, changes="as they go" if ahead else "")


def _words(waiting: Waiting) -> str:
    return waiting.reason.replace("_", " ").capitalize()
