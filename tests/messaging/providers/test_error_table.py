"""The table against an expectation written apart from it, from Meta's reference."""

from __future__ import annotations

import pytest

from messaging.providers.base import Outcome, Scope
from messaging.providers.whatsapp.errors import DEFAULT_TABLE

pytestmark = pytest.mark.core

# class → codes, in the words of the reference: RB retry, RT throttled, PM refused, PA stopped.
EXPECTED = {
    "RB": "1 2 131000 131016 133004 134101 135000 2494100",
    "RT-app": "4 17 32 613",
    "RT-waba": "80007 80008",
    "RT-utility": "131064",
    "RT-num": "130429 131048 131057 131208",
    "RT-pair": "131056",
    "RT-tpl": "132015 132069",
    "PM": (
        "100 131008 131009 131036 131041 131047 131051 131055 131062 132000 132005 132008 132012 "
        "132018 134100 137000 131201 131203 131207 131215"
    ),
    "PM-rcp": "130403 130472 130497 131021 131026 131030 131049 131050",
    "PM-tpl": "132001 132007 132016 132068",
    "PA-credentials": "0 3 10 101 102 104 190 200 230 299 131005",
    "PA-registration": "33 803 131037 131045 133010 133016",
    "PA-billing": "131042 134011",
    "PA-policy": "368 131031 131063 139200",
}
CLASSES = {
    "RB": (Outcome.RETRY, Scope.MESSAGE),
    "RT-app": (Outcome.THROTTLED, Scope.APP),
    "RT-waba": (Outcome.THROTTLED, Scope.ACCOUNT),
    "RT-utility": (Outcome.THROTTLED, Scope.UTILITY),
    "RT-num": (Outcome.THROTTLED, Scope.NUMBER),
    "RT-pair": (Outcome.THROTTLED, Scope.PAIR),
    "RT-tpl": (Outcome.THROTTLED, Scope.TEMPLATE),
    "PM": (Outcome.REJECTED, Scope.MESSAGE),
    "PM-rcp": (Outcome.REJECTED, Scope.RECIPIENT),
    "PM-tpl": (Outcome.REJECTED, Scope.TEMPLATE),
    "PA-credentials": (Outcome.THROTTLED, Scope.ACCOUNT),
    "PA-registration": (Outcome.THROTTLED, Scope.NUMBER),
    "PA-billing": (Outcome.THROTTLED, Scope.ACCOUNT),
    "PA-policy": (Outcome.THROTTLED, Scope.ACCOUNT),
}
ROWS = [(kind, code) for kind, codes in EXPECTED.items() for code in codes.split()]


@pytest.mark.parametrize(("kind", "code"), ROWS)
def test_a_code_has_its_class(kind, code):
    rule = DEFAULT_TABLE.lookup(code)
    assert rule is not None
    assert (rule.outcome, rule.scope) == CLASSES[kind]
    assert rule.stop == (kind.removeprefix("PA-") if kind.startswith("PA-") else "")
    assert rule.title
    assert rule.advice


# What a limit pauses, for how long at first and at most, and whether the number goes slower.
LIMITS = [
    ("4", Scope.APP, 300, 3_600, False),
    ("80007", Scope.ACCOUNT, 300, 3_600, False),
    ("130429", Scope.NUMBER, 2, 60, True),
    ("131048", Scope.NUMBER, 3_600, 86_400, False),
    ("131056", Scope.PAIR, None, None, False),  # 4^X seconds: see the outcomes
    ("131057", Scope.NUMBER, 60, 300, False),
    ("131064", Scope.UTILITY, 3_600, 86_400, False),
]


@pytest.mark.parametrize(("code", "scope", "first", "longest", "slower"), LIMITS)
def test_a_limit_pauses_its_scope_for_its_time(code, scope, first, longest, slower):
    rule = DEFAULT_TABLE.lookup(code)
    assert (rule.outcome, rule.scope) == (Outcome.THROTTLED, scope)
    assert (rule.wait_seconds, rule.longest_wait_seconds) == (first, longest)
    assert rule.lowers_rate == slower


def test_campaign_outcomes_are_not_failures():
    assert DEFAULT_TABLE.campaign_codes == {"130472", "131049", "131050"}


def test_only_the_opt_out_is_an_opt_out():
    assert [code for code, rule in DEFAULT_TABLE.rules.items() if rule.opt_out] == ["131050"]


def test_template_insights_are_not_permissions():
    for code in ("200005", "200006", "200007", "300"):
        assert DEFAULT_TABLE.lookup(code) is None


def test_the_sub_code_of_a_missing_number_stops_the_number():
    rule = DEFAULT_TABLE.lookup("100", subcode=33)
    assert (rule.scope, rule.stop) == (Scope.NUMBER, "registration")


@pytest.mark.parametrize(
    ("details", "outcome"),
    [
        ("Downloading media from weblink failed with http code 503", Outcome.RETRY),
        ("Downloading media from weblink failed with http code 429", Outcome.RETRY),
        ("Downloading media from weblink timed out", Outcome.RETRY),
        ("Downloading media from weblink failed with http code 404", Outcome.REJECTED),
        ("Unsupported MIME type", Outcome.REJECTED),
    ],
)
def test_media_that_could_not_be_fetched_goes_by_the_details(details, outcome):
    assert DEFAULT_TABLE.lookup("131053", details=details).outcome == outcome


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        ({"is_transient": True, "http_status": 400}, Outcome.RETRY),
        ({"is_transient": False, "http_status": 500}, Outcome.REJECTED),
        ({"http_status": 503}, Outcome.RETRY),
        ({"http_status": 429}, Outcome.RETRY),
        ({"http_status": 400}, Outcome.REJECTED),
        ({}, Outcome.REJECTED),
    ],
)
def test_an_unknown_code_is_judged_by_what_else_is_known(known, outcome):
    rule = DEFAULT_TABLE.resolve("999999", **known)
    assert rule.outcome == outcome
    assert rule.max_attempts == (3 if outcome == Outcome.RETRY else None)


class TestOverrides:
    def test_operators_may_change_a_row(self):
        table = DEFAULT_TABLE.with_overrides({"131026": {"outcome": "RETRY", "max_attempts": 2}})
        rule = table.lookup("131026")
        assert (rule.outcome, rule.max_attempts, rule.scope) == (
            Outcome.RETRY,
            2,
            Scope.RECIPIENT,
        )
        assert DEFAULT_TABLE.lookup("131026").outcome == Outcome.REJECTED

    def test_operators_may_add_a_row(self):
        table = DEFAULT_TABLE.with_overrides({"777": {"outcome": "RETRY", "title": "New"}})
        assert table.lookup("777").title == "New"

    def test_an_overridden_row_is_taken_as_it_is(self):
        table = DEFAULT_TABLE.with_overrides({"131053": {"outcome": "REJECTED"}})
        assert table.lookup("131053", details="http code 503").outcome == Outcome.REJECTED

    @pytest.mark.parametrize(
        "overrides",
        [
            [],
            {"1": "RETRY"},
            {"1": {"colour": "red"}},
            {"1": {"outcome": "MAYBE"}},
            {"1": {"wait_seconds": "long"}},
            {"1": {"wait_seconds": True}},
            {"1": {"campaign": 1}},
        ],
    )
    def test_a_wrong_change_is_named(self, overrides):
        with pytest.raises(ValueError, match=r"1|object"):
            DEFAULT_TABLE.with_overrides(overrides)
