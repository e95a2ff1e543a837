"""What operators need beside: circuits, numbers, quotas, webhooks, processes."""

from __future__ import annotations

from collections.abc import Sequence

from alerts.facts import (
    Inbox,
    Numbers,
    Processes,
    QuotaUse,
    SilentApp,
    Stop,
    TierChange,
    TierUse,
)
from alerts.rules.base import Finding, Moment, messages, moment, span
from alerts.severity import Severity
from alerts.thresholds import Thresholds
from ratelimit.rules import TIER_WARNING

QUOTA_WARNS, QUOTA_FULL = 0.8, 1.0
WEBHOOKS = "messaging_webhookdelivery"


def circuits(stops: Sequence[Stop], _limits: Thresholds, seen: Moment) -> list[Finding]:
    """Find what stands still until Meta, or staff, says that all is well."""
    return [
        Finding(
            severity=Severity.CRITICAL,
            title=f"Sending has stopped: {stop.cause_label.lower()}",
            summary=f"The {stop.scope} {stop.key} stands still since {moment(stop.opened_at)}. "
            "Its messages wait and are not lost.",
            size=1.0,
            key=f"{stop.scope}/{stop.key}/{stop.cause}",
            org=stop.org,
            figures=(
                ("Cause", stop.cause_label),
                ("Code", stop.code or "–"),
                ("Since", span(seen.at - stop.opened_at)),
                ("Details", stop.detail or "–"),
            ),
            advice=_CIRCUIT_ADVICE.get(stop.cause, "Meta is asked again by itself."),
            page="ratelimit_hold",
            query={"cause__exact": stop.cause},
        )
        for stop in stops
    ]


_CIRCUIT_ADVICE = {
    "credentials": "Enter a valid token at the WhatsApp account; Meta is then asked at once.",
    "billing": "Settle the payment method at Meta; sending goes on by itself.",
    "policy": "Look at the account in Meta's Business Manager.",
    "registration": "Register the number at Meta; sending goes on by itself.",
    "provider_unavailable": "One message at a time tries again; look at Meta's status page.",
}


def numbers(found: Numbers, _limits: Thresholds, seen: Moment) -> list[Finding]:
    """Find numbers rated RED, and portfolios whose tier has changed or is nearly used up."""
    red = [
        Finding(
            severity=Severity.CRITICAL,
            title=f"The quality of number {number.name} is RED",
            summary="People block or report this number; Meta may restrict it.",
            size=1.0,
            key=f"quality/{number.phone_number_id}",
            org=number.org,
            figures=(("Number", number.name), ("Organisation", number.org)),
            advice="Pause marketing from this number, and look at templates and opt-ins.",
            page="messaging_phonenumber",
            query={"q": number.phone_number_id},
        )
        for number in found.red
    ]
    reached = [_reached(use) for use in found.reached if _is_much(use, seen)]
    return [*red, *map(_tier, found.tiers), *reached]


def _is_much(use: TierUse, seen: Moment) -> bool:
    """Say whether a tier is nearly used up; what goes on has to fall clearly below."""
    share = use.reached / use.tier
    return share >= TIER_WARNING or seen.exceeds(share, TIER_WARNING, _reach_key(use))


def _reach_key(use: TierUse) -> str:
    return f"reach/{use.portfolio}"


def _reached(use: TierUse) -> Finding:
    is_full = use.reached >= use.tier
    return Finding(
        severity=Severity.CRITICAL if is_full else Severity.WARNING,
        title=f"The tier of account {use.waba_id} is {'used up' if is_full else 'nearly used up'}",
        summary=f"Its portfolio has reached {use.reached:,} of {use.tier:,} people in 24 hours."
        + (" Messages to new people wait." if is_full else ""),
        size=use.reached / use.tier,
        key=_reach_key(use),
        org=use.org,
        figures=(("Reached", f"{use.reached:,} of {use.tier:,} ({use.reached / use.tier:.0%})"),),
        advice="Spread campaigns over more days; Meta raises the tier of good quality by itself.",
        page="messaging_businessaccount",
        query={"q": use.waba_id},
    )


def _tier(change: TierChange) -> Finding:
    # 0 is no limit known, the highest of all.
    fell = change.after != 0 and (change.before == 0 or change.after < change.before)
    return Finding(
        severity=Severity.WARNING if fell else Severity.INFO,
        title=f"The tier of account {change.waba_id} {'fell' if fell else 'rose'}",
        summary=f"Meta lets the portfolio reach {_people(change.after)} in 24 hours; before it "
        f"were {_people(change.before)}.",
        size=1.0,
        key=f"tier/{change.change_id}",
        org=change.org,
        figures=(("Before", _people(change.before)), ("Now", _people(change.after))),
        advice="New people beyond the tier are held; spread campaigns over more days."
        if fell
        else "",
        is_event=True,
        page="messaging_businessaccount",
        query={"q": change.waba_id},
    )


def _people(tier: int) -> str:
    return f"{tier:,} people" if tier else "any number of people"


def quotas(used: Sequence[QuotaUse], _limits: Thresholds, _seen: Moment) -> list[Finding]:
    """Find organisations that have used most, or all, of their quota."""
    found = []
    for each in used:
        share = each.sent / each.limit
        if share < QUOTA_WARNS:
            continue
        is_full = share >= QUOTA_FULL
        found.append(
            Finding(
                severity=Severity.CRITICAL if is_full else Severity.WARNING,
                title=f"The quota of {each.org} is {'used up' if is_full else 'nearly used up'}",
                summary=f"{each.sent:,} of {each.limit:,} messages are sent."
                + (" The others wait for the window's end." if is_full else ""),
                size=share,
                key=each.org,
                org=each.org,
                figures=(
                    ("Used", f"{each.sent:,} of {each.limit:,} ({share:.0%})"),
                    ("The window ends", moment(each.reset_at)),
                ),
                advice="Raise the quota if the organisation should send more.",
                page="ratelimit_whatsappratelimit",
                query={"q": each.org},
            )
        )
    return found


def silent_webhooks(apps: Sequence[SilentApp], limits: Thresholds, _seen: Moment) -> list[Finding]:
    """Find Meta apps that accept messages but tell nothing of them."""
    return [
        Finding(
            severity=Severity.CRITICAL,
            title=f"No webhooks come from the app {app.name}",
            summary=f"Meta accepted messages, but for more than {span(limits.webhook_silence)} "
            "it has told nothing of them: deliveries, failures and opt-outs are not seen.",
            size=1.0,
            key=app.app_id,
            figures=(
                ("App", f"{app.name} ({app.app_id})"),
                ("Looked at", f"{messages(app.accepted)} without a status"),
            ),
            advice=f"Run manage.py check_webhook {app.app_id} https://your.server; look at the "
            "callback URL and the subscription at Meta.",
            page=WEBHOOKS,
        )
        for app in apps
    ]


def inbox(found: Inbox, limits: Thresholds, seen: Moment) -> list[Finding]:
    """Find webhooks that pile up: without a message, not understood, or not looked at."""
    findings = _lost(found, limits)
    if seen.exceeds(found.unmatched, limits.unmatched, "unmatched"):
        findings.append(
            Finding(
                severity=Severity.WARNING,
                title="Many statuses belong to no message",
                summary=f"{found.unmatched:,} statuses have found no message for minutes.",
                size=found.unmatched,
                key="unmatched",
                figures=(("Unmatched", f"{found.unmatched:,}"),),
                advice="Another system may send from the same account. If not, look whether "
                "OUTBOUND_INSTANCE was changed or messages were deleted.",
                page=WEBHOOKS,
                query={"events__result": "UNMATCHED"},
            )
        )
    broken = found.poisoned + found.unreadable
    if broken:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                title="Webhooks could not be processed",
                summary=f"{broken:,} of the last {span(limits.window)} are kept, but had no "
                "effect.",
                size=broken,
                key="poisoned",
                figures=(
                    ("Events that failed", f"{found.poisoned:,}"),
                    ("Deliveries that could not be read", f"{found.unreadable:,}"),
                ),
                advice="Look at the error. After a fault was mended: manage.py replay_webhooks.",
                page=WEBHOOKS,
                query={"events__result": "POISON"}
                if found.poisoned
                else {"status__exact": "ERROR"},
            )
        )
    lag = found.oldest_waiting
    if lag is not None and lag > limits.webhook_lag:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                title="Webhooks wait to be processed",
                summary=f"The oldest has waited for {span(lag)}: statuses show late.",
                size=lag.total_seconds(),
                key="lag",
                figures=(("Oldest", span(lag)),),
                advice="Look whether a worker runs, and at its log.",
                page=WEBHOOKS,
                query={"status__exact": "PENDING"},
            )
        )
    return findings


def _lost(found: Inbox, limits: Thresholds) -> list[Finding]:
    if not found.lost:
        return []
    return [
        Finding(
            severity=Severity.WARNING,
            title="Webhooks were lost for good",
            summary=f"In the last {span(limits.window)} Meta gave up delivering webhooks of a "
            "number that keeps no messages.",
            size=found.lost,
            key="lost",
            figures=(("Hours and numbers with such a loss", f"{found.lost:,}"),),
            advice="Statuses and messages of that time are missing: look whether the web servers "
            "answered.",
            page="messaging_providernotice",
            query={"topic": "errors"},
        )
    ]


def processes(found: Processes, _limits: Thresholds, _seen: Moment) -> list[Finding]:
    """Find kinds of processes of which none is at work."""
    return [
        Finding(
            severity=Severity.CRITICAL,
            title=f"No {kind} process is at work",
            summary=f"The last one was seen {span(age)} ago. {_WITHOUT.get(kind, '')}".strip()
            if age is not None
            else f"None was ever seen. {_WITHOUT.get(kind, '')}".strip(),
            size=1.0,
            key=kind,
            figures=(("Last seen", f"{span(age)} ago" if age is not None else "never"),),
            advice="Look at its log and start it again.",
        )
        for kind, age in found.ages.items()
        if age is None or age > found.missing_after
    ]


_WITHOUT = {
    "beat": "Without it nothing is checked on schedule; sending goes on.",
    "worker": "Without one nothing is sent.",
}
