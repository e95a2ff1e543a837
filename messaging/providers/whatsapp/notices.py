"""Reading what Meta tells of templates, numbers and accounts (webhook fields but ``messages``)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from messaging.providers.base import AccountNews, Notice, NumberNews, TemplateNews
from messaging.providers.whatsapp.values import moment, text

News = TemplateNews | NumberNews | AccountNews | None
Value = Mapping[str, Any]

# Words of a status update that are not themselves a status.
_STATUS_OF = {"REINSTATED": "APPROVED", "UNPAUSED": "APPROVED"}
_NO_STATUS = frozenset({"", "FLAGGED", "UNFLAGGED"})
# Events of ``account_update`` after which the token no longer reaches the account.
_LOST = frozenset(
    {"ACCOUNT_DELETED", "ACCOUNT_OFFBOARDED", "PARTNER_REMOVED", "PARTNER_APP_UNINSTALLED"}
)
_REGAINED = frozenset({"ACCOUNT_RECONNECTED", "PARTNER_ADDED", "PARTNER_APP_INSTALLED"})
# The restriction under which the account may not begin conversations, and the one that caps its
# utility messages; others concern what we do not do, and show as error codes of single messages.
_STOPPING = "RESTRICTED_BIZ_INITIATED_MESSAGING"
_CAPPING_UTILITY = "RATE_LIMITED_UTILITY_TEMPLATE_MESSAGING"
_UTILITY_RECOVERED = "UTILITY_TEMPLATE_ABUSE_RATE_LIMIT_RECOVERY"
# The words we know; another one is kept, with no effect.
_WORDS = {
    "account_update": _LOST
    | _REGAINED
    | {
        "ACCOUNT_RESTRICTION",
        "ACCOUNT_VIOLATION",
        "AD_ACCOUNT_LINKED",
        "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
        "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
        "DISABLED_UPDATE",
        "MM_LITE_TERMS_SIGNED",
        "VOLUME_BASED_PRICING_TIER_UPDATE",
    },
    "account_review_update": frozenset({"APPROVED", "REJECTED", "PENDING", "DEFERRED"}),
}
_UNLIMITED = frozenset({"TIER_UNLIMITED", "UNLIMITED", "-1"})
_TIER_UNITS = {"K": 1_000, "M": 1_000_000}
LONGEST_DETAIL = 300


def read(topic: str, value: Value, account_id: str, time: object) -> Notice:
    """Return the notice of one change; raise ValueError when its time is missing or wrong."""
    read_news, event_name = _READERS[topic]
    event = text(value.get(event_name))[:64]
    told = orjson.dumps([topic, account_id, time, value], option=orjson.OPT_SORT_KEYS)
    return Notice(
        topic=topic,
        event=event,
        at=moment(time),
        account_id=account_id,
        digest=hashlib.sha256(told).hexdigest(),
        detail=_detail(value)[:LONGEST_DETAIL],
        news=read_news(value),
        is_known=topic not in _WORDS or event.upper() in _WORDS[topic],
        raw=value,
    )


def _status(value: Value) -> TemplateNews:
    event = text(value.get("event")).upper()
    return _template(
        value,
        status=None if event in _NO_STATUS else _STATUS_OF.get(event, event)[:32],
        category=text(value.get("message_template_category"))[:32] or None,
        reason=_detail(value)[:LONGEST_DETAIL],
    )


def _quality(value: Value) -> TemplateNews:
    return _template(value, quality=text(value.get("new_quality_score"))[:16])


def _category(value: Value) -> TemplateNews:
    """Return the category now, and the one that is coming, if the change is announced."""
    now, coming = text(value.get("new_category"))[:32], text(value.get("correct_category"))[:32]
    return _template(value, category=now or None, next_category=coming if coming != now else "")


def _detected(value: Value) -> TemplateNews:
    coming = text(value.get("correct_category"))[:32]
    return _template(value, next_category=coming if coming != value.get("category") else "")


def _template(
    value: Value,
    *,
    status: str | None = None,
    category: str | None = None,
    next_category: str | None = None,
    quality: str | None = None,
    reason: str | None = None,
) -> TemplateNews:
    """Return the news; webhooks write the language with a hyphen, the API with an underscore."""
    name = text(value.get("message_template_name"))[:512]
    if not name:
        message = "A template's name is missing."
        raise ValueError(message)
    return TemplateNews(
        name=name,
        language=text(value.get("message_template_language")).replace("-", "_")[:16],
        template_id=text(value.get("message_template_id"))[:32] or None,
        status=status,
        category=category,
        next_category=next_category,
        quality=quality,
        reason=reason,
    )


def _number_quality(value: Value) -> NumberNews:
    """Return the rating an older event implies, or the upgrade, and the portfolio's limit."""
    event = text(value.get("event")).upper()
    return NumberNews(
        text(value.get("display_phone_number"))[:32],
        quality_rating={"FLAGGED": "RED", "UNFLAGGED": "GREEN"}.get(event),
        throughput_level="HIGH" if event == "THROUGHPUT_UPGRADE" else None,
        tier=tier(value.get("max_daily_conversations_per_business", value.get("current_limit"))),
    )


def _number_name(value: Value) -> NumberNews:
    approved = text(value.get("decision")).upper() == "APPROVED"
    name = text(value.get("requested_verified_name"))[:200]
    return _number(value, verified_name=name if approved and name else None)


def _number(value: Value, verified_name: str | None = None) -> NumberNews:
    return NumberNews(text(value.get("display_phone_number"))[:32], verified_name=verified_name)


def _capability(value: Value) -> AccountNews:
    return AccountNews(tier=tier(value.get("max_daily_conversations_per_business")))


def _account(value: Value) -> AccountNews:
    event = text(value.get("event")).upper()
    if event in _LOST:
        return AccountNews(stop="credentials")
    if event in _REGAINED:
        return AccountNews(may_go_on=True)
    if event == "DISABLED_UPDATE":
        state = text(_inner(value, "ban_info").get("waba_ban_state")).upper()
        return AccountNews(
            stop="policy" if state == "DISABLE" else "", may_go_on=state == "REINSTATE"
        )
    return _restriction(value) if event == "ACCOUNT_RESTRICTION" else AccountNews()


def _restriction(value: Value) -> AccountNews:
    restrictions = value.get("restriction_info")
    if not isinstance(restrictions, list) or not restrictions:
        violation = text(_inner(value, "violation_info").get("violation_type"))
        # A warning, or one that was lifted.
        return AccountNews(may_go_on=True, utility_is_free=violation == _UTILITY_RECOVERED)
    ends = {
        text(item.get("restriction_type")): _expiration(item)
        for item in restrictions
        if isinstance(item, dict)
    }
    return AccountNews(
        stop="policy" if _STOPPING in ends else "",
        until=ends.get(_STOPPING),
        utility_until=ends.get(_CAPPING_UTILITY),
    )


def _expiration(restriction: Value) -> datetime | None:
    told = restriction.get("expiration")
    return moment(told) if text(told) else None


def _review(value: Value) -> AccountNews:
    decision = text(value.get("decision")).upper()
    return AccountNews(
        stop="policy" if decision == "REJECTED" else "", may_go_on=decision == "APPROVED"
    )


def _nothing(_value: Value) -> None:
    """Return nothing: it is for people to read."""


def tier(value: object) -> int | None:
    """Return a messaging limit as people per 24 hours, 0 for none, None when not understood.

    Meta writes it as a whole number (-1: no limit) or as TIER_2K.
    """
    word = text(value).upper()
    if word in _UNLIMITED:
        return 0
    word = word.removeprefix("TIER_")
    unit = _TIER_UNITS.get(word[-1:], 1)
    digits = word[:-1] if unit > 1 else word
    return int(digits) * unit if digits.isascii() and digits.isdigit() and len(digits) < 9 else None


def _detail(value: Value) -> str:
    """Return Meta's own words on why, those that hold no personal data."""
    other, rejected = _inner(value, "other_info"), _inner(value, "rejection_info")
    alert, violation = _inner(value, "alert_info"), _inner(value, "violation_info")
    restrictions = value.get("restriction_info")
    reason = text(value.get("reason"))
    parts = [
        "" if reason == "NONE" else reason,
        text(other.get("title")),
        text(other.get("description")),
        text(rejected.get("reason")),
        text(rejected.get("recommendation")),
        text(value.get("rejection_reason")),
        text(alert.get("alert_severity")),
        text(alert.get("alert_type")),
        text(alert.get("alert_description")),
        text(violation.get("violation_type")),
        text(_inner(value, "ban_info").get("waba_ban_state")),
        *(
            text(item.get("restriction_type"))
            for item in (restrictions if isinstance(restrictions, list) else [])
            if isinstance(item, dict)
        ),
    ]
    return " · ".join(dict.fromkeys(part for part in parts if part))


def _inner(value: Value, name: str) -> Value:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


# Each field: who reads it, and under what name stands what happened.
_READERS: dict[str, tuple[Callable[[Value], News], str]] = {
    "message_template_status_update": (_status, "event"),
    "message_template_quality_update": (_quality, "new_quality_score"),
    "message_template_components_update": (_template, "event"),
    "template_category_update": (_category, "new_category"),
    "template_correct_category_detection": (_detected, "correct_category"),
    "phone_number_quality_update": (_number_quality, "event"),
    "phone_number_name_update": (_number_name, "decision"),
    "business_capability_update": (_capability, "event"),
    "account_update": (_account, "event"),
    "account_review_update": (_review, "decision"),
    "account_alerts": (_nothing, "event"),
    "security": (_number, "event"),
}
TOPICS = frozenset(_READERS)
