"""The rules, as the specification words them: figures in, findings out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts import facts
from alerts.rules import messages, surroundings
from alerts.rules.base import Moment
from alerts.severity import Severity
from alerts.thresholds import Thresholds
from messaging.queries import DlqReport, Trend

pytestmark = pytest.mark.core

AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
LIMITS = Thresholds()
FRESH = Moment(AT)


def going_on(*keys: str) -> Moment:
    return Moment(AT, frozenset(keys))


def report(total: int, **by_org: int) -> DlqReport:
    return DlqReport(
        total=total,
        campaign=7,
        by_channel={"WHATSAPP": total},
        by_org=by_org,
        top_codes=[],
        oldest_failed_at=AT - timedelta(days=1),
        trend=Trend(total, 0),
        actions=[],
        generated_at=AT,
    )


def group(count: int, status: str = "QUEUED", org: str = "acme") -> facts.Group:
    return facts.Group(org, "WHATSAPP", status, count, AT - timedelta(hours=3))


def failures(failed: int, went: int) -> list[facts.Failures]:
    return [facts.Failures("WHATSAPP", failed, went, [("131026", failed)])]


class TestDeadLetters:
    def test_only_more_than_the_threshold_is_too_much(self):
        assert messages.dead_letters(report(100), LIMITS, FRESH) == []
        (found,) = messages.dead_letters(report(101), LIMITS, FRESH)
        assert found.severity == Severity.CRITICAL
        assert ("Dead letters", "101") in found.figures

    def test_what_goes_on_ends_clearly_below_the_threshold(self):
        assert messages.dead_letters(report(81), LIMITS, going_on(""))
        assert not messages.dead_letters(report(80), LIMITS, going_on(""))

    def test_an_organization_has_a_finding_of_its_own(self):
        whole, part = messages.dead_letters(report(150, acme=120, globex=30), LIMITS, FRESH)
        assert (whole.org, part.org, part.is_part) == ("", "acme", True)
        assert "globex" not in f"{part.figures}{part.summary}"


class TestStuck:
    def test_none_is_no_finding(self):
        assert messages.stuck([], LIMITS, FRESH) == []

    def test_one_is_a_warning(self):
        whole, part = messages.stuck([group(1)], LIMITS, FRESH)
        assert whole.severity == Severity.WARNING
        assert "1 message had 3 attempts or more and is not sent after 2 h" in whole.summary
        assert whole.labels == (("WHATSAPP", "QUEUED"),)
        assert (part.org, part.labels) == ("acme", ())


class TestQueueDepth:
    @pytest.mark.parametrize(("queued", "sending", "found"), [(900, 100, 0), (900, 101, 1)])
    def test_waiting_and_sending_count_together(self, queued, sending, found):
        depth = facts.QueueDepth(queued, sending)
        assert len(messages.queue_depth(depth, LIMITS, FRESH)) == found

    def test_a_bounded_count_says_so(self):
        (found,) = messages.queue_depth(facts.QueueDepth(50_000, 0, is_bounded=True), LIMITS, FRESH)
        assert found.summary.startswith("at least 50,000")


class TestFailureRate:
    @pytest.mark.parametrize(
        ("failed", "went", "found"),
        [(3, 6, 0), (4, 6, 1), (3, 7, 0), (31, 69, 1), (30, 70, 0)],
    )
    def test_the_rate_counts_from_ten_messages(self, failed, went, found):
        assert len(messages.failure_rate(failures(failed, went), LIMITS, FRESH)) == found

    def test_nothing_sent_is_no_division_by_zero(self):
        assert messages.failure_rate(failures(0, 0), LIMITS, FRESH) == []


class TestEscalation:
    def test_used_up_and_nearly_used_up_are_critical(self):
        both = facts.Escalation([group(2, "FAILED")], [group(3, "SENDING")])
        whole, part = messages.escalation(both, LIMITS, FRESH)
        assert (whole.severity, whole.size) == (Severity.CRITICAL, 5)
        assert whole.labels == (("WHATSAPP",),)
        assert part.is_part


@pytest.mark.parametrize(
    ("sent", "severity"),
    [(799, None), (800, Severity.WARNING), (999, Severity.WARNING), (1000, Severity.CRITICAL)],
)
def test_a_quota_warns_at_80_percent_and_is_critical_at_100(sent, severity):
    used = [facts.QuotaUse("acme", sent, 1000, AT)]
    assert [found.severity for found in surroundings.quotas(used, LIMITS, FRESH)] == (
        [severity] if severity else []
    )


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [
        (10_000, 2_000, Severity.WARNING),
        (2_000, 10_000, Severity.INFO),
        (0, 100_000, Severity.WARNING),
        (100_000, 0, Severity.INFO),
    ],
)
def test_a_tier_that_falls_is_a_warning_one_that_rises_is_not(before, after, severity):
    change = facts.TierChange(1, "100", "acme", before, after)
    (found,) = surroundings.numbers(facts.Numbers(tiers=[change]), LIMITS, FRESH)
    assert (found.severity, found.is_event) == (severity, True)


@pytest.mark.parametrize(
    ("reached", "severity"),
    [(199, None), (200, Severity.WARNING), (249, Severity.WARNING), (250, Severity.CRITICAL)],
)
def test_a_tier_warns_at_80_percent_and_is_critical_at_100(reached, severity):
    use = facts.TierUse("900", "acme", "100", reached, 250)
    found = surroundings.numbers(facts.Numbers(reached=[use]), LIMITS, FRESH)
    assert [each.severity for each in found] == ([severity] if severity else [])


@pytest.mark.parametrize(("reached", "found"), [(161, 1), (160, 0)])
def test_a_tier_that_was_warned_of_ends_clearly_below(reached, found):
    use = facts.TierUse("900", "acme", "100", reached, 250)
    seen = going_on("reach/900")
    assert len(surroundings.numbers(facts.Numbers(reached=[use]), LIMITS, seen)) == found


def test_a_kind_of_process_is_missed_after_two_minutes():
    ages = {"worker": timedelta(seconds=119), "beat": timedelta(seconds=121)}
    (found,) = surroundings.processes(facts.Processes(ages), LIMITS, FRESH)
    assert (found.key, found.severity) == ("beat", Severity.CRITICAL)


def test_webhooks_that_fail_wait_or_match_nothing_are_three_findings():
    found = surroundings.inbox(
        facts.Inbox(unmatched=101, poisoned=1, unreadable=0, oldest_waiting=timedelta(minutes=6)),
        LIMITS,
        FRESH,
    )
    assert [each.key for each in found] == ["unmatched", "poisoned", "lag"]
    (gone,) = surroundings.inbox(facts.Inbox(0, 0, 0, None, lost=2), LIMITS, FRESH)
    assert (gone.key, gone.size) == ("lost", 2)
    quiet = facts.Inbox(100, 0, 0, timedelta(minutes=5))
    assert surroundings.inbox(quiet, LIMITS, FRESH) == []
