"""Letting our picture of accounts, numbers and templates follow what the provider tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from messaging import numbers, stops, template_sync, templates, utility_caps, wake
from messaging.models import BusinessAccount, PhoneNumber, ProviderNotice
from messaging.numbers import Source
from messaging.providers.base import AccountNews, Notice, NumberNews, TemplateNews
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold


def apply(received: Sequence[tuple[Notice, BusinessAccount]], now: datetime) -> list[bool]:
    """Note each in the account's timeline and do what it implies; say which were new.

    In a transaction, before messages are locked. One told before changes nothing, so repeated
    deliveries and replays do no harm.
    """
    if not received:
        return []
    # Notices of one account come one after the other, and so do its readings of templates.
    pks = {account.pk for _notice, account in received}
    locked = BusinessAccount.objects.select_for_update().filter(pk__in=pks).order_by("pk")
    accounts = {account.pk: account for account in locked}
    told_before = set(
        ProviderNotice.objects.filter(
            digest__in=[notice.digest for notice, _account in received]
        ).values_list("digest", flat=True)
    )
    fresh: dict[str, tuple[Notice, BusinessAccount]] = {}
    is_new = []
    for notice, account in received:
        is_new.append(notice.digest not in told_before and notice.digest not in fresh)
        if is_new[-1]:
            fresh[notice.digest] = notice, accounts[account.pk]
    ProviderNotice.objects.bulk_create(_row(*item, now) for item in fresh.values())
    in_order = sorted(fresh.values(), key=lambda item: item[0].at)
    for account in accounts.values():
        _follow_templates([notice for notice, of in in_order if of == account], account, now)
    for notice, account in in_order:
        _follow(notice, account, now)
    return is_new


def _row(notice: Notice, account: BusinessAccount, now: datetime) -> ProviderNotice:
    return ProviderNotice(
        org_id=account.org_id,
        account=account,
        topic=notice.topic,
        event=notice.event,
        subject=notice.subject,
        detail=notice.detail,
        occurred_at=notice.at,
        recorded_at=now,
        digest=notice.digest,
    )


def _follow_templates(notices: Sequence[Notice], account: BusinessAccount, now: datetime) -> None:
    """Let the templates of one account follow what is told of them, all at once."""
    read_at = account.templates_synced_at
    told = [(notice.at, notice.news) for notice in notices if isinstance(notice.news, TemplateNews)]
    if told:
        # What was read since is younger; and what is told may be a part only.
        fresh = [news for at, news in told if read_at is None or at > read_at]
        templates.apply(account, fresh, now)
        template_sync.ask_for(BusinessAccount.objects.filter(pk=account.pk))


def _follow(notice: Notice, account: BusinessAccount, now: datetime) -> None:
    news = notice.news
    if isinstance(news, NumberNews):
        _follow_number(news, account, notice)
    elif isinstance(news, AccountNews):
        _follow_account(news, account, notice, now)


def _follow_number(news: NumberNews, account: BusinessAccount, notice: Notice) -> None:
    said = {
        "quality_rating": news.quality_rating,
        "verified_name": news.verified_name,
        "throughput_level": news.throughput_level,
    }
    digits = _digits(news.display_phone_number)
    of_account = PhoneNumber.objects.filter(account=account)
    meant = [row for row in of_account if digits and _digits(row.display_phone_number) == digits]
    for number in meant:
        numbers.follow(number, said, notice.at, _source(notice))
    numbers.ask_for(PhoneNumber.objects.filter(pk__in=[number.pk for number in meant]))
    if news.tier is not None:
        _follow_tier(news.tier, account, notice)


def _follow_tier(tier: int, account: BusinessAccount, notice: Notice) -> None:
    numbers.follow_tier(tier, account, notice.at, _source(notice))
    numbers.ask_for(PhoneNumber.objects.filter(account=account))


def _source(notice: Notice) -> Source:
    return Source(notice.topic, notice.detail)


def _follow_account(
    news: AccountNews, account: BusinessAccount, notice: Notice, now: datetime
) -> None:
    if news.tier is not None:
        _follow_tier(news.tier, account, notice)
    if news.stop:
        # Asked at once whether it is so: the health of the account decides.
        stop = HoldRequest(
            scope=Hold.Scope.ACCOUNT,
            key=account.waba_id,
            cause=news.stop,
            until=news.until,
            code=notice.event[:32],
            detail=f"Meta: {notice.event}. {notice.detail}".strip()[:500],
            org_id=account.org_id,
            probe_at=now,
        )
        holds.place([stop], now)
    if news.utility_until is not None:
        utility_caps.begin(account, news.utility_until, notice, now)
    if news.utility_is_free:
        utility_caps.end(account)
    if news.may_go_on:
        stops.look_soon(account)
        wake.on_commit(wake.SEND)


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))
