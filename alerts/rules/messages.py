"""The specification's rules: dead letters, stuck messages, queue depth, failures, escalation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from alerts.facts import Escalation, Expiring, Failures, Group, QueueDepth
from alerts.rules.base import Finding, Moment, at_least, messages, moment, span
from alerts.severity import Severity
from alerts.thresholds import Thresholds
from messaging.queries import DlqReport

MESSAGES, DEAD = "messaging_outboundmessage", "messaging_deadletter"
SHOWN = 5  # of codes or organisations in a notice

_Make = Callable[[Sequence[Group], str], Finding]


def dead_letters(report: DlqReport, limits: Thresholds, seen: Moment) -> list[Finding]:
    """Find a dead letter queue that has grown too large; as a whole and by organisation."""
    found = []
    is_whole = seen.exceeds(report.total, limits.dead_letters)
    if is_whole:
        found.append(
            Finding(
                severity=Severity.CRITICAL,
                title="The dead letter queue has grown",
                summary=f"{messages(report.total)} have failed and wait for somebody to decide; "
                f"the threshold is {limits.dead_letters:,}.",
                size=report.total,
                figures=(
                    ("Dead letters", f"{report.total:,}"),
                    *((channel, f"{count:,}") for channel, count in report.by_channel.items()),
                    *_by_org(report.by_org),
                    ("Failed in 24 hours", f"{report.trend.last_24h:,}"),
                    ("In the 24 hours before", f"{report.trend.previous_24h:,}"),
                    ("Oldest", moment(report.oldest_failed_at)),
                ),
                table=_codes(report),
                advice="Correct the cause of the most frequent codes, then requeue what it cost.",
                page=DEAD,
                labels=((),),
            )
        )
    return found + [
        Finding(
            severity=Severity.CRITICAL,
            title=f"The dead letter queue of {org} has grown",
            summary=f"{messages(count)} have failed and wait for somebody to decide.",
            size=count,
            key=org,
            org=org,
            is_part=is_whole,
            figures=(("Dead letters", f"{count:,}"),),
            advice="Look at the error codes, correct the cause, then requeue or discard them.",
            page=DEAD,
            query=_of(org),
        )
        for org, count in report.by_org.items()
        if seen.exceeds(count, limits.dead_letters, org)
    ]


def stuck(groups: Sequence[Group], limits: Thresholds, seen: Moment) -> list[Finding]:
    """Find messages that were tried often and are still not sent after hours."""

    def finding(part: Sequence[Group], org: str) -> Finding:
        count = _total(part)
        oldest = min((group.oldest for group in part if group.oldest is not None), default=None)
        return Finding(
            severity=Severity.WARNING,
            title=f"Messages of {org} are stuck" if org else "Messages are stuck",
            summary=f"{messages(count)} had {limits.stuck_attempts} attempts or more and "
            f"{'is' if count == 1 else 'are'} not sent after {span(limits.stuck_age)}.",
            size=count,
            key=org,
            org=org,
            is_part=bool(org),
            figures=(
                ("Stuck", f"{count:,}"),
                *_by_status(part),
                *(() if org else _by_org(_orgs(part))),
                ("Oldest", moment(oldest)),
                ("Waiting for", span(seen.at - oldest) if oldest else "–"),
            ),
            advice="Open one: its timeline shows why each attempt failed.",
            page=MESSAGES,
            query={"status": "QUEUED", **_of(org)},
            labels=() if org else tuple(sorted({(g.channel, g.status) for g in part})),
        )

    return _whole_and_parts(groups, finding)


def queue_depth(depth: QueueDepth, limits: Thresholds, seen: Moment) -> list[Finding]:
    """Find a queue that is longer than the workers should let it become."""
    total = depth.queued + depth.sending
    if not seen.exceeds(total, limits.queue_depth):
        return []
    size = at_least(total, is_bounded=depth.is_bounded)
    return [
        Finding(
            severity=Severity.WARNING,
            title="The queue is long",
            summary=f"{size} messages wait or are on their way; the threshold is "
            f"{limits.queue_depth:,}. Those scheduled for more than an hour ahead are not counted.",
            size=total,
            figures=(
                ("Waiting", at_least(depth.queued, is_bounded=depth.is_bounded)),
                ("On their way", f"{depth.sending:,}"),
            ),
            advice="Look for holds and used-up quotas first; then whether the workers keep up, "
            "and add one.",
            page=MESSAGES,
            query={"status": "QUEUED"},
            labels=((),),
        )
    ]


def failure_rate(channels: Sequence[Failures], limits: Thresholds, seen: Moment) -> list[Finding]:
    """Find channels on which too large a share of messages fails."""
    return [
        Finding(
            severity=Severity.CRITICAL,
            title=f"Many messages fail ({each.channel})",
            summary=f"{each.rate:.0%} of {messages(each.total)} that ended in the last "
            f"{span(limits.window)} failed; the threshold is {limits.failure_rate:.0%}.",
            size=each.rate,
            key=each.channel,
            figures=(
                ("Failure rate", f"{each.rate:.1%}"),
                ("Failed", f"{each.failed:,}"),
                ("Sent or delivered", f"{each.went:,}"),
                ("Codes", ", ".join(f"{code} ({count:,})" for code, count in each.top_codes)),
            ),
            advice="The codes say whether it is the content, the number, or Meta.",
            page=DEAD,
            labels=((each.channel,),),
        )
        for each in channels
        if each.total >= limits.failure_minimum
        and seen.exceeds(each.rate, limits.failure_rate, each.channel)
    ]


def escalation(groups: Escalation, limits: Thresholds, _seen: Moment) -> list[Finding]:
    """Find messages whose attempts are used up, or that go on after very many."""

    def finding(part: Sequence[Group], org: str) -> Finding:
        used_up = _total(group for group in part if group.status == "FAILED")
        going_on = _total(part) - used_up
        return Finding(
            severity=Severity.CRITICAL,
            title=f"Messages{_for(org)} have used up their attempts",
            summary=f"{messages(used_up)} failed for good in the last {span(limits.window)} after "
            f"every attempt; {going_on:,} more had {limits.escalation_attempts} attempts or more "
            "and have not ended.",
            size=used_up + going_on,
            key=org,
            org=org,
            is_part=bool(org),
            figures=(
                ("Attempts used up", f"{used_up:,}"),
                ("Going on", f"{going_on:,}"),
                *(() if org else _by_org(_orgs(part))),
            ),
            advice="Repeating did not help: look at the error, correct the cause, then requeue.",
            page=DEAD,
            query=_of(org),
            labels=() if org else tuple(sorted({(group.channel,) for group in part})),
        )

    return _whole_and_parts([*groups.used_up, *groups.going_on], finding)


def expiring(found: Expiring, limits: Thresholds, seen: Moment) -> list[Finding]:
    """Find messages that have waited long and are about to be given up unsent."""
    if not seen.exceeds(found.count, limits.expiring):
        return []
    count = at_least(found.count, is_bounded=found.is_bounded)
    return [
        Finding(
            severity=Severity.WARNING,
            title="Messages are about to expire unsent",
            summary=f"{count} messages have waited for more than an hour and expire within the "
            "next; they are cancelled then.",
            size=found.count,
            figures=(("About to expire", count), ("First", moment(found.first))),
            advice="Lift the hold or raise the quota they wait for.",
            page=MESSAGES,
            query={"status": "QUEUED"},
        )
    ]


def _whole_and_parts(groups: Sequence[Group], finding: _Make) -> list[Finding]:
    """Return one finding of all, and one of each organisation for its own staff."""
    if not groups:
        return []
    by_org: dict[str, list[Group]] = {}
    for group in groups:
        by_org.setdefault(group.org, []).append(group)
    return [finding(groups, ""), *(finding(part, org) for org, part in sorted(by_org.items()))]


def _total(groups: Iterable[Group]) -> int:
    return sum(group.count for group in groups)


def _orgs(groups: Iterable[Group]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.org] += group.count
    return counts


def _by_org(counts: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    largest = Counter(counts).most_common(SHOWN)
    return tuple((f"Organisation {org}", f"{count:,}") for org, count in largest)


def _by_status(groups: Iterable[Group]) -> tuple[tuple[str, str], ...]:
    counts: Counter[str] = Counter()
    for group in groups:
        counts[f"{group.channel} {group.status}"] += group.count
    return tuple((name, f"{count:,}") for name, count in sorted(counts.items()))


def _codes(report: DlqReport) -> tuple[tuple[str, ...], ...]:
    rows = [
        (each.code or "none", f"{each.count:,}", each.title, each.advice)
        for each in report.top_codes
        if not each.campaign
    ]
    return (("Code", "In 24 h", "Meaning", "What to do"), *rows[:SHOWN]) if rows else ()


def _of(org: str) -> dict[str, str]:
    return {"org": org} if org else {}


def _for(org: str) -> str:
    return f" of {org}" if org else ""
