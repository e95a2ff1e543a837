"""Why a message does not go now: every rule the claim asks, with its answer and when it changes.

The answers come from the functions that the claim itself uses; nothing is locked or counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from consent import ledger
from messaging import limits, templates, windows
from messaging.models import OutboundMessage
from messaging.states import Status
from messaging.waiting import Board, Waiting, own_time
from ratelimit import foresight, quota, rules
from ratelimit.models import Hold
from ratelimit.rules import Limit

# So many messages that go before it are counted, and no more.
AHEAD_MOST = 10_000

_SCOPES = {
    Hold.Scope.APP: "Meta app",
    Hold.Scope.ACCOUNT: "WhatsApp account",
    Hold.Scope.NUMBER: "phone number",
    Hold.Scope.ORGANIZATION: "organisation",
    Hold.Scope.TEMPLATE: "template",
}
# In the order in which they are asked.
_LIMITS = {
    Limit.THROTTLED: "Not throttled by Meta as a whole",
    Limit.QUOTA: "Quota of the organisation",
    Limit.PAIR: "Limit of messages to one person",
    Limit.THROUGHPUT: "Rate of the number",
    Limit.CONTACTS: "People the portfolio may reach",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: whether the message passes, what the answer rests on, and when it changes."""

    name: str
    passed: bool
    detail: str
    until: datetime | None = None  # a rule that fails without it waits for somebody
    is_final: bool = False  # it ends the message instead of holding it


def explain(message: OutboundMessage, now: datetime) -> list[Rule]:
    """Return the rules in the order in which a claim meets them.

    The message is loaded with its contact and its number, that with account, app and organisation.
    Of a message that has ended this says what would be if it were requeued.
    """
    board = Board.at(now)
    return [
        _active(message),
        *_holds(message, board),
        _due(message, now),
        _quiet(message, board),
        *_refusals(message, now),
        *_limits(message, now),
        _turn(message, now),
    ]


def _active(message: OutboundMessage) -> Rule:
    number = message.phone_number
    active = number.is_active and number.org.is_active
    return Rule(
        "Number and organisation are active",
        active,
        "Both are." if active else "One of them is switched off in the console.",
    )


def _holds(message: OutboundMessage, board: Board) -> list[Rule]:
    held: dict[str, list[Waiting]] = {}
    for hold, waiting in board.held(message):
        held.setdefault(hold.scope, []).append(waiting)
    found = []
    for scope, word in _SCOPES.items():
        if scope == Hold.Scope.TEMPLATE and not message.template_name:
            continue
        name = f"No hold on the {word}"
        found += [
            Rule(name, passed=False, detail=f"{_words(each)}: {each.detail}", until=each.until)
            for each in held.get(scope, [])
        ] or [Rule(name, passed=True, detail="There is none.")]
    return found


def _due(message: OutboundMessage, now: datetime) -> Rule:
    waiting = own_time(message, now)
    if waiting is None:
        return Rule("Its time has come", passed=True, detail=_at("Due since", message.due_at))
    detail = f"{_words(waiting)}: {waiting.detail}".rstrip(": ")
    return Rule("Its time has come", passed=False, detail=detail, until=waiting.until)


def _quiet(message: OutboundMessage, board: Board) -> Rule:
    waiting = board.quiet(message)
    if waiting is None:
        return Rule("Outside quiet hours", passed=True, detail="They do not hold it now.")
    return Rule("Outside quiet hours", passed=False, detail=waiting.detail, until=waiting.until)


def _refusals(message: OutboundMessage, now: datetime) -> list[Rule]:
    """Ask what would end the message instead of holding it."""
    ask = ledger.Ask(message.contact_id, message.channel, message.purpose)
    answer = ledger.check([ask], now)[ask]
    found = [
        Rule(
            "Not expired",
            passed=message.expires_at > now,
            detail=_at("Expires", message.expires_at),
            is_final=True,
        ),
        Rule(
            f"Consent for {message.purpose}",
            passed=answer.allowed,
            detail=f"It is {answer.status}.",
            is_final=True,
        ),
    ]
    if windows.needs_window(message.kind):
        is_open = not windows.closed([message], now)
        text = "The person wrote in the last 24 hours." if is_open else "It has closed."
        found.append(Rule("Customer service window", is_open, text, is_final=True))
    if message.template_name:
        key = (
            message.phone_number.account_id,
            message.template_name,
            message.template_language,
        )
        over = templates.unsendable([key]).get(key)
        text = f"Meta has it as {over}." if over else "Nothing is known against it."
        found.append(Rule("The template may be sent", not over, text, is_final=True))
    return found


def _limits(message: OutboundMessage, now: datetime) -> list[Rule]:
    number = message.phone_number
    ask = limits.asks([message], {number.pk: number}, now)[message.pk]
    verdict = foresight.foresee(ask, rules.micros(now))
    passed = [
        Rule(name, passed=True, detail=_passes(message, limit, now))
        for limit, name in takewhile(lambda item: item[0] != verdict.limit, _LIMITS.items())
    ]
    if verdict.limit is None:
        return passed
    until = rules.moment(verdict.at)
    failed = Rule(_LIMITS[verdict.limit], passed=False, detail="It is used up.", until=until)
    return [*passed, failed]


def _passes(message: OutboundMessage, limit: Limit, now: datetime) -> str:
    if limit != Limit.QUOTA:
        return "It has room."
    used = quota.status(message.org, now)
    return f"{used.sent:,} of {used.limit:,} are used."


def _turn(message: OutboundMessage, now: datetime) -> Rule:
    """Say how many messages of its number go first."""
    name = "Its turn among the messages of its number"
    if message.status != Status.QUEUED or message.due_at is None or message.due_at > now:
        return Rule(name, passed=True, detail="That is seen once it is queued and due.")
    due = OutboundMessage.objects.due(now).filter(phone_number=message.phone_number_id)
    ahead = due.filter(priority__lt=message.priority)[:AHEAD_MOST].count()
    ahead += due.filter(priority=message.priority, due_at__lt=message.due_at)[:AHEAD_MOST].count()
    more = " or more" if ahead >= AHEAD_MOST else ""
    return Rule(name, passed=not ahead, detail=f"{ahead:,}{more} due messages go before it.")


def _words(waiting: Waiting) -> str:
    return waiting.reason.replace("_", " ").capitalize()


def _at(text: str, at: datetime | None) -> str:
    return f"{text} {at:%Y-%m-%d %H:%M:%S} UTC." if at else "Not queued."
