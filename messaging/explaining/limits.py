"""The limits in words: how much of each is used, and when that counts no more."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from messaging import limits
from messaging.explaining.rule import Rule, at
from messaging.models import BusinessAccount, OutboundMessage
from ratelimit import foresight, rules
from ratelimit.foresight import Outlook
from ratelimit.rules import Limit

_NAMES = {
    Limit.THROTTLED: "Not throttled by Meta as a whole",
    Limit.QUOTA: "Quota of the organisation",
    Limit.PAIR: "Limit of messages to one person",
    Limit.THROUGHPUT: "Rate of the number",
    Limit.CONTACTS: "People the portfolio may reach",
}
_UNTOLD = (
    "Organisations out of your reach share the portfolio: how many it has reached is not told."
)


def explain(message: OutboundMessage, now: datetime, reach: Collection[int] | None) -> list[Rule]:
    """Return the limits in the order in which a claim asks them."""
    number = message.phone_number
    ask = limits.asks([message], {number.pk: number}, now)[message.pk]
    outlooks = foresight.foresee(ask, rules.micros(now))
    told = {each.limit: _rule(each, message, now) for each in outlooks}
    if _is_shared_beyond(number.account, reach):
        whole = told[Limit.CONTACTS]
        until = None if whole.passed else whole.until
        told[Limit.CONTACTS] = replace(whole, detail=_UNTOLD, until=until)
    return list(told.values())


def _is_shared_beyond(account: BusinessAccount, reach: Collection[int] | None) -> bool:
    """Say whether the account's portfolio is that of organisations out of reach as well."""
    if reach is None or not account.portfolio_id:
        return False
    accounts = BusinessAccount.objects.filter(portfolio_id=account.portfolio_id)
    return accounts.exclude(org__in=reach).exists()


def _rule(outlook: Outlook, message: OutboundMessage, now: datetime) -> Rule:
    changes_at = outlook.held_until or outlook.clears_at
    return Rule(
        _NAMES[outlook.limit],
        passed=not outlook.held_until,
        detail=_detail(outlook, message, now),
        until=rules.moment(changes_at) if changes_at else None,
    )


def _detail(outlook: Outlook, message: OutboundMessage, now: datetime) -> str:
    used, most = outlook.used, outlook.most
    match outlook.limit:
        case Limit.THROTTLED:
            return "Meta throttles it." if outlook.held_until else "Meta does not throttle it."
        case Limit.QUOTA:
            return f"{used:,} of {most:,} messages of the window are sent.{_resets(outlook)}"
        case Limit.PAIR:
            return (
                f"{used} of the {most} messages that may go to one person at once are used; "
                f"one more every {rules.PAIR_STEP / rules.SECOND:g} seconds."
            )
        case Limit.THROUGHPUT:
            return _throughput(outlook, message, now)
        case Limit.CONTACTS:
            return _contacts(outlook, message)


def _resets(outlook: Outlook) -> str:
    if outlook.clears_at:
        return f" The count begins anew at {at(rules.moment(outlook.clears_at))}."
    return " A new window begins with the next message."


def _throughput(outlook: Outlook, message: OutboundMessage, now: datetime) -> str:
    number = message.phone_number
    share = rules.recovered(number.rate_share, number.rate_lowered_at, now)
    rate = number.messages_per_second * share / rules.FULL_SHARE
    text = f"{rate:g} messages a second"
    if share < rules.FULL_SHARE:
        text += f", lowered from {number.messages_per_second} after Meta refused some"
    return f"{text}; {outlook.used:,} of {outlook.most:,} start slots are given out ahead."


def _contacts(outlook: Outlook, message: OutboundMessage) -> str:
    if outlook.most:
        return f"{outlook.used:,} of {outlook.most:,} people were reached in the last 24 hours."
    if message.phone_number.account.portfolio_tier:
        return "An answer inside the customer service window does not count towards it."
    return "The portfolio's tier is not known, or it has none."
