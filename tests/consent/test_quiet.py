"""When marketing may go, by the clock where the person is."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import quiet
from consent.quiet import QuietHours

pytestmark = pytest.mark.core

NIGHT = QuietHours(time(21), time(8), "Europe/Paris")
NOON = QuietHours(time(12), time(14), "Europe/Paris")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opens(hours: QuietHours, place: str, at: str) -> str | None:
    end = quiet.opens_at(hours, (place,), utc(at))
    return end and f"{end.astimezone(UTC):%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("hours", "at", "end"),
    [
        (NIGHT, "2026-07-01T18:59", None),  # 20:59 in Paris
        (NIGHT, "2026-07-01T19:00", "2026-07-02T06:00"),
        (NIGHT, "2026-07-01T23:30", "2026-07-02T06:00"),
        (NIGHT, "2026-07-02T05:59", "2026-07-02T06:00"),
        (NIGHT, "2026-07-02T06:00", None),
        (NOON, "2026-07-01T09:59", None),
        (NOON, "2026-07-01T10:00", "2026-07-01T12:00"),
        (NOON, "2026-07-01T12:00", None),
    ],
)
def test_it_is_quiet_from_the_one_time_to_the_other(hours, at, end):
    assert opens(hours, "Europe/Paris", at) == end


@pytest.mark.parametrize(
    ("place", "at", "end"),
    [
        # Clocks go forward in the night: eight o'clock comes an hour sooner.
        ("Europe/Paris", "2026-03-28T22:00", "2026-03-29T06:00"),
        ("Europe/Paris", "2026-03-27T22:00", "2026-03-28T07:00"),
        # Clocks go back: an hour later.
        ("Europe/Paris", "2026-10-24T21:00", "2026-10-25T07:00"),
        ("America/New_York", "2026-03-08T03:00", "2026-03-08T12:00"),
        ("America/New_York", "2026-11-01T02:00", "2026-11-01T13:00"),
        # Half an hour of daylight saving.
        ("Australia/Lord_Howe", "2026-10-03T12:00", "2026-10-03T21:00"),
        # No daylight saving at all.
        ("America/Sao_Paulo", "2026-10-25T03:00", "2026-10-25T11:00"),
    ],
)
def test_the_morning_comes_by_the_local_clock_when_daylight_saving_changes(place, at, end):
    assert opens(NIGHT, place, at) == end


def test_an_end_in_the_hour_that_comes_twice_is_the_next_one_to_come():
    hours = QuietHours(time(21), time(2, 30), "UTC")
    # 02:30 comes at 00:30 and at 01:30 UTC; at 01:10 UTC the clock says 02:10 again.
    assert opens(hours, "Europe/Paris", "2026-10-25T00:10") == "2026-10-25T00:30"
    assert opens(hours, "Europe/Paris", "2026-10-25T00:40") is None
    assert opens(hours, "Europe/Paris", "2026-10-25T01:10") == "2026-10-25T01:30"


def test_an_end_in_the_hour_that_is_left_out_is_over_with_it():
    hours = QuietHours(time(21), time(2, 30), "UTC")
    end = quiet.opens_at(hours, ("Europe/Paris",), utc("2026-03-29T00:30"))
    assert end == utc("2026-03-29T01:30")  # 03:30 there
    assert quiet.opens_at(hours, ("Europe/Paris",), utc("2026-03-29T01:00")) is None


@given(
    st.integers(0, 4 * 365 * 24 * 60).map(lambda n: utc("2024-01-01") + timedelta(minutes=n)),
    st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.times(),
    st.times(),
)
def test_after_the_wait_it_is_not_quiet_and_no_wait_is_longer_than_a_day(at, place, begins, ends):
    hours = QuietHours(begins.replace(fold=0), ends.replace(fold=0), "UTC")
    end = quiet.opens_at(hours, (place,), at)
    if end is None:
        return
    assert timedelta(0) < end - at <= timedelta(hours=25)
    clock = end.astimezone(ZoneInfo(place)).time()
    assert clock >= ends.replace(fold=0)
    assert quiet.opens_at(hours, (place,), end) is None


class TestPlaces:
    @pytest.mark.parametrize(
        ("phone", "expected"),
        [
            ("+12025550123", ("America/New_York",)),
            ("+33612345678", ("Europe/Paris",)),
            (None, ("Asia/Tokyo",)),  # known by BSUID only
            ("+870123456789", ("Asia/Tokyo",)),  # a satellite phone is nowhere
        ],
    )
    def test_they_follow_from_the_number(self, phone, expected):
        assert quiet.zones(phone, "", "Asia/Tokyo") == expected

    def test_what_was_chosen_for_the_person_goes_first(self):
        assert quiet.zones("+12025550123", "Asia/Tokyo", "UTC") == ("Asia/Tokyo",)

    def test_a_number_of_a_wide_country_waits_until_it_is_morning_everywhere(self):
        places = quiet.zones("+61412345678", "", "UTC")
        assert len(places) > 1
        end = quiet.opens_at(NIGHT, places, utc("2026-07-01T12:00"))
        clocks = [end.astimezone(ZoneInfo(place)).time() for place in places]
        assert min(clocks) == time(8)
        assert max(clocks) < time(21)

    def test_a_number_that_may_be_anywhere_counts_as_the_organizations_own(self):
        places = quiet.zones("+18005550123", "", "UTC")
        hours = QuietHours(time(12), time(11), "Europe/Paris")
        assert quiet.opens_at(hours, places, utc("2026-07-01T12:00")) == utc("2026-07-02T09:00")

    def test_a_zone_that_is_no_more_counts_as_utc(self):
        assert opens(NIGHT, "Mars/Olympus", "2026-07-01T22:00") == "2026-07-02T08:00"


@given(
    at=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 1, 1)),  # noqa: DTZ001 - local times
    place=st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    hours=st.sampled_from([NIGHT, NOON, QuietHours(time(2, 30), time(5), "UTC")]),
)
def test_the_next_quiet_hours_begin_where_the_silence_does(at, place, hours):
    moment = at.replace(tzinfo=UTC, microsecond=0)
    if quiet.opens_at(hours, (place,), moment) is not None:
        return
    begins = quiet.begins_at(hours, (place,), moment)
    assert moment < begins <= moment + timedelta(days=1, hours=1)
    assert quiet.opens_at(hours, (place,), begins) is not None
    assert quiet.opens_at(hours, (place,), begins - timedelta(minutes=1)) is None or (
        begins - moment < timedelta(minutes=1)
    )
