"""What counts as STOP and START, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consent import ledger, policies, wishes, words
from consent.models import Consent, ConsentEvent, ConsentPolicy
from consent.wishes import BUTTON, PREFERENCE, REFUSAL, TEXT, Expressed, Said
from tests.factories.consent import ContactFactory

pytestmark = pytest.mark.core

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
EVERYTHING = ("marketing", "transactional")


def understood(means: str, *texts: str, **fields: object) -> wishes.Wish | None:
    return wishes.understand(Said(means, texts), replace(policies.DEFAULT, **fields))


@pytest.mark.parametrize(
    "text",
    [
        *("STOP", " stop\n", "Stop!", "UNSUBSCRIBE", "baja", "Sair", "ARRÊT", "arre\u0302t"),
        *("Abmelden", "disiscrivimi", "Uitschrijven", "WYPISZ", "iptal", "İPTAL", "Отписаться"),
        *("توقف", "Berhenti"),
    ],
)
def test_stop_is_heard_in_many_languages_and_spellings(text):
    wish = understood(TEXT, text)
    assert wish is not None
    assert (wish.stop, tuple(wish.purposes), wish.source) == (True, EVERYTHING, "person")


@pytest.mark.parametrize(
    "text", ["", "please stop it", "bus stop", "nonstop", "stop " * 50, "OPT_OUT_MARKETING", "👍"]
)
def test_other_texts_are_no_commands(text):
    assert understood(TEXT, text) is None


def test_start_is_heard():
    wish = understood(TEXT, "Start")
    assert wish is not None
    assert not wish.stop


def test_an_opt_out_button_is_about_marketing_unless_set_otherwise():
    assert tuple(understood(BUTTON, "OPT_OUT_MARKETING", "Stop promotions").purposes) == (
        "marketing",
    )
    wide = understood(BUTTON, "stop", button_scope="everything")
    assert tuple(wide.purposes) == EVERYTHING
    assert understood(BUTTON, "yes", "Yes, please") is None


def test_the_scope_of_words_can_be_marketing_only():
    assert tuple(understood(TEXT, "stop", stop_scope="marketing").purposes) == ("marketing",)


@pytest.mark.parametrize(("value", "stop"), [("stop", True), ("resume", False), ("signup", False)])
def test_preferences_in_whatsapp_are_about_marketing(value, stop):
    wish = understood(PREFERENCE, value)
    assert (wish.stop, tuple(wish.purposes), wish.source) == (stop, ("marketing",), "provider")


def test_a_preference_we_do_not_know_is_left_alone():
    assert understood(PREFERENCE, "maybe") is None


def test_a_refusal_by_meta_is_a_stop():
    assert understood(REFUSAL).stop


@pytest.mark.django_db
def test_an_organization_may_have_its_own_words(org):
    ConsentPolicy.objects.create(org=org, stop_words=["Genug "], opt_out_payloads=["BYE"])
    policy = policies.of([org.pk])[org.pk]
    assert wishes.understand(Said(TEXT, ["genug"]), policy).stop
    assert wishes.understand(Said(TEXT, ["stop"]), policy) is None
    assert wishes.understand(Said(BUTTON, ["bye"]), policy).stop
    assert policy.start_words == policies.DEFAULT.start_words


def test_no_word_means_both():
    assert not policies.DEFAULT.stop_words & policies.DEFAULT.start_words
    assert len(words.STOP) == len(set(words.STOP))


@pytest.mark.django_db
class TestRecording:
    @pytest.fixture
    def person(self, org):
        return ContactFactory(org=org)

    def say(self, org, person, word: str, hour: int = 0, means: str = TEXT) -> set[int]:
        at = AT + timedelta(hours=hour)
        proof = {"means": means, "message_id": f"wamid.{word}{hour}"}
        wish = understood(means, word)
        return wishes.record(org, [Expressed(person.pk, wish, at, proof)])

    def agree(self, org, person, purpose: str) -> None:
        entry = ledger.Entry(
            person.pk, "WHATSAPP", purpose, "api", "key:x", AT - timedelta(days=9), {"form": "a"}
        )
        ledger.grant(org, [entry])

    def state(self, person) -> dict[str, str]:
        return dict(Consent.objects.filter(contact=person).values_list("purpose", "status"))

    def test_a_stop_is_kept_for_people_we_have_no_consent_of(self, org, person):
        assert self.say(org, person, "stop") == {person.pk}
        assert self.state(person) == dict.fromkeys(EVERYTHING, "REVOKED")

    def test_a_start_brings_back_what_was_agreed_to_and_nothing_else(self, org, person):
        self.agree(org, person, "transactional")
        self.say(org, person, "stop")
        assert self.say(org, person, "start", 1) == {person.pk}
        assert self.state(person) == {"transactional": "GRANTED", "marketing": "REVOKED"}

    def test_a_start_of_somebody_unknown_grants_nothing(self, org, person):
        assert self.say(org, person, "start") == set()
        assert self.state(person) == {}

    def test_a_start_that_overtakes_its_stop_still_counts(self, org, person):
        self.agree(org, person, "marketing")
        self.say(org, person, "start", 2)
        self.say(org, person, "stop", 1)
        assert self.state(person)["marketing"] == "GRANTED"

    def test_resume_lifts_only_what_was_stopped_at_meta(self, org, person):
        self.agree(org, person, "marketing")
        self.say(org, person, "stop", 1, PREFERENCE)
        assert self.state(person) == {"marketing": "REVOKED"}
        self.say(org, person, "resume", 2, PREFERENCE)
        assert self.state(person) == {"marketing": "GRANTED"}
        assert Consent.objects.get().source == "api"
        self.say(org, person, "stop", 3)
        self.say(org, person, "resume", 4, PREFERENCE)
        assert self.state(person)["marketing"] == "REVOKED"

    def test_each_is_recorded_once_however_often_it_is_seen(self, org, person):
        self.agree(org, person, "marketing")
        for _ in range(3):
            for word, hour in (("stop", 1), ("start", 2), ("stop", 3)):
                self.say(org, person, word, hour)
        assert ConsentEvent.objects.filter(consent__purpose="marketing").count() == 4
        assert self.state(person)["marketing"] == "REVOKED"
