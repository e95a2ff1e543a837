"""What acceptance costs and stores, whichever database it runs on."""

from __future__ import annotations

import json
from datetime import timedelta

import orjson
import pytest
from django.forms.models import model_to_dict
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from consent.contacts import Recipient
from consent.models import Decision
from messaging import intake, wake
from messaging.api import rendering
from messaging.api.serializers import MessageSerializer
from messaging.intake import Accepted, MessageRequest, statement
from messaging.intake.refusals import refusal
from messaging.intake.requests import Submission
from messaging.models import MessageEvent, OutboundMessage, ServiceWindow
from messaging.states import Status
from orgs.problems import Problem
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PHONE = "+12025550123"
BSUID = "US.13491208655302741918"


@pytest.fixture
def consent(org, number):
    return ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))


def request(**fields: object) -> MessageRequest:
    template = {"name": "order_update", "language": {"code": "en_US"}}
    given = {
        "recipient": Recipient(PHONE, None),
        "kind": "template",
        "content": template,
        "category": "utility",
        "fingerprint": "f" * 64,
    }
    return MessageRequest(**{**given, **fields})


def accept(org, *requests: MessageRequest) -> list[intake.Answer]:
    return intake.accept(org, requests, "key:abc")


def code(answer: intake.Answer) -> str:
    return answer.code if isinstance(answer, Problem) else "accepted"


def full() -> MessageRequest:
    now = timezone.now()
    return request(
        sender="",
        priority=OutboundMessage.Priority.BULK,
        reply_to="wamid.x",
        scheduled_at=now + timedelta(hours=1),
        ttl_seconds=60,
        on_unknown="hold",
        idempotency_key="k",
        reference="it's 100 % \\ {} é",
        metadata={"a": [1, None, {"b": "%s"}]},
    )


@pytest.mark.parametrize("make", [request, full])
def test_the_answer_is_what_was_stored(org, consent, make):
    (answer,) = accept(org, make())
    stored = OutboundMessage.objects.get()
    assert isinstance(answer, Accepted)
    for field in OutboundMessage._meta.concrete_fields:
        assert getattr(answer.message, field.attname) == getattr(stored, field.attname), field.name
    assert model_to_dict(answer.message) == model_to_dict(stored)


def test_the_timeline_says_who_had_it_accepted(org, consent):
    (answer,) = accept(org, request())
    event = MessageEvent.objects.get()
    assert event.message_id == answer.message.pk
    assert (event.org_id, event.kind, event.cause) == (org.pk, "accepted", "intake")
    assert (event.from_status, event.to_status) == ("", Status.QUEUED)
    assert (event.actor, event.code, event.reason, event.attempt_number) == (
        "key:abc",
        "",
        "",
        None,
    )
    assert event.at == answer.message.created_at


@pytest.mark.parametrize("make", [request, full])
def test_a_fresh_message_is_rendered_as_the_serializer_shows_it(org, consent, make):
    (answer,) = accept(org, make())
    shown = JSONRenderer().render(MessageSerializer(answer.message).data)
    assert rendered(answer.message) == json.loads(shown)


@pytest.mark.parametrize("status", Status)
def test_a_later_message_is_rendered_as_the_serializer_shows_it(status):
    message = MessageFactory(status=status, accepted_at=timezone.now(), sent_at=timezone.now())
    assert rendered(message) == dict(MessageSerializer(message).data)
    message.to_recipient = BSUID
    assert rendered(message) == dict(MessageSerializer(message).data)


def rendered(message: OutboundMessage) -> object:
    response = rendering.json_answer(rendering.message(message)).as_response()
    return orjson.loads(response.content)


def test_a_person_is_found_by_business_scoped_id(org, number):
    ConsentFactory(contact=ContactFactory(org=org, phone=None, bsuid=BSUID))
    (answer,) = accept(org, request(recipient=Recipient(None, BSUID)))
    assert answer.message.to_recipient == BSUID


def test_a_phone_goes_before_a_business_scoped_id(org, consent):
    ContactFactory(org=org, phone=None, bsuid=BSUID)
    (answer,) = accept(org, request(recipient=Recipient(PHONE, BSUID)))
    assert answer.message.contact_id == consent.contact_id


def test_refusals_are_told_in_one_order(org, consent, number):
    past = timezone.now() - timedelta(days=1)
    wrong = {"expires_at": past, "sender": "999", "category": "marketing", "kind": "text"}
    seen = []
    while wrong:
        (answer,) = accept(org, request(**wrong))
        seen.append(code(answer))
        wrong.pop(next(iter(wrong)))
    assert seen == ["expired", "unknown_number", "consent_required", "outside_service_window"]


def test_without_a_number_nothing_is_accepted(org):
    ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))
    assert code(*accept(org, request())) == "no_number"
    PhoneNumberFactory(org=org, is_active=False)
    assert code(*accept(org, request())) == "no_number"


@pytest.mark.parametrize(
    ("status", "expires", "expected"),
    [
        (Decision.GRANTED, None, "accepted"),
        (Decision.GRANTED, timedelta(hours=1), "accepted"),
        (Decision.GRANTED, timedelta(hours=-1), "consent_required"),
        (Decision.DENIED, None, "consent_required"),
        (Decision.REVOKED, timedelta(hours=1), "consent_required"),
    ],
)
def test_only_a_valid_grant_allows(org, number, status, expires, expected):
    until = timezone.now() + expires if expires else None
    ConsentFactory(contact=ContactFactory(org=org, phone=PHONE), status=status, expires_at=until)
    assert code(*accept(org, request())) == expected
    assert OutboundMessage.objects.exists() is (expected == "accepted")


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(hours=23, minutes=54), "accepted"),
        (timedelta(hours=23, minutes=56), "outside_service_window"),
    ],
)
def test_free_form_needs_an_open_window_of_that_number(org, number, consent, age, expected):
    ServiceWindow.objects.create(
        org=org,
        phone_number=number,
        contact=consent.contact,
        last_inbound_at=timezone.now() - age,
    )
    other = PhoneNumberFactory(org=org)
    text = {"kind": "text", "content": {"body": "hi"}}
    here = request(sender=number.phone_number_id, **text)
    there = request(sender=other.phone_number_id, **text)
    assert [code(one) for one in accept(org, here, there)] == [expected, "outside_service_window"]


def test_workers_are_told_only_of_new_messages(org, consent, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(wake, "on_commit", told.append)
    accept(org, request(idempotency_key="k"))
    accept(org, request(idempotency_key="k"))
    accept(org, request(sender="999"))
    assert told == [wake.SEND]


def test_nothing_is_asked_for_nothing(org, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert accept(org) == []


@pytest.mark.postgres
class TestStatements:
    """On PostgreSQL each journey counts."""

    def test_one_message_takes_one_statement(self, api, consent, django_assert_num_queries):
        def post():
            template = {"name": "order_update", "language": "en_US"}
            body = {"to": PHONE, "type": "template", "category": "utility", "template": template}
            headers = {"Idempotency-Key": "k2"} if warm else {}
            return api.post("/api/v1/outbound-messages", body, format="json", headers=headers)

        warm = False
        post()  # the key is cached from here on
        warm = True
        with django_assert_num_queries(1):
            answer = post()
        assert answer.status_code == 201

    @pytest.mark.parametrize("size", [2, 300])
    def test_a_batch_takes_one_statement_whatever_its_size(
        self, org, consent, size, django_assert_num_queries
    ):
        requests = [request(idempotency_key=f"k{n}") for n in range(size)]
        accept(org, request())  # the template is remembered from here on
        with django_assert_num_queries(3):  # savepoint, statement, release
            answers = accept(org, *requests)
        assert {code(answer) for answer in answers} == {"accepted"}

    def test_a_replay_takes_one_more(self, org, consent, django_assert_num_queries):
        accept(org, request(idempotency_key="k"))
        with django_assert_num_queries(2):
            (answer,) = accept(org, request(idempotency_key="k"))
        assert answer.replayed


@pytest.mark.postgres
def test_requests_of_several_organizations_in_one_statement_stay_apart(org, other_org, number):
    mine = ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))
    theirs = ContactFactory(org=other_org, phone=PHONE)
    asked = request(idempotency_key="same")
    named = request(sender=number.phone_number_id, idempotency_key="another")
    found = statement.insert(
        [
            Submission(org, asked, "key:mine"),
            Submission(other_org, asked, "key:theirs"),  # no number, no consent
            Submission(other_org, named, "key:theirs"),  # the number is not theirs
        ]
    )
    assert [item.message is not None for item in found] == [True, False, False]
    assert [item.facts.contact_id for item in found] == [mine.contact_id, theirs.pk, theirs.pk]
    assert [item.facts.senders for item in found] == [1, 0, 0]
    assert [item.facts.number for item in found][1:] == [None, None]
    message = OutboundMessage.objects.get()
    assert (message.org, message.phone_number) == (org, number)
    assert message.events.get().actor == "key:mine"

    ConsentFactory(contact=theirs)
    PhoneNumberFactory(org=other_org)
    (again,) = statement.insert([Submission(other_org, asked, "key:theirs")])
    assert again.message is not None  # the same key of another organisation is another key
    assert again.message.org == other_org


@pytest.mark.postgres
def test_of_requests_in_one_statement_each_has_its_own_fate(org, number, consent):
    stranger = request(recipient=Recipient("+12025550199", None), idempotency_key="other")
    same = request(idempotency_key="same")
    found = statement.insert([Submission(org, each, "key:1") for each in (same, stranger, same)])
    assert [item.message is not None for item in found] == [True, False, False]
    assert [item.taken for item in found] == [False, False, False]
    assert code(refusal(stranger, found[1].facts)) == "consent_required"
    assert refusal(same, found[2].facts) is None  # the second look finds what the first has made
    assert accept(org, same)[0].replayed
