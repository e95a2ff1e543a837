"""Several workers and clients at once, on real connections."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from consent import ledger
from consent.models import Source
from messaging import channels, claims, intake, operations, rescue
from messaging.api import bodies
from messaging.models import MessageEvent, OutboundAttempt, OutboundMessage
from messaging.operations import Instruction
from messaging.states import Cause, Status
from tests.drive import send_due
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.fakes import ScriptedProvider

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def at_once(count: int, deed: Callable[[int], object]) -> list[object]:
    """Run the deed in threads that start together; return what each gave."""
    start = threading.Barrier(count, timeout=10)
    given: list[object] = [None] * count

    def run(place: int) -> None:
        try:
            start.wait()
            given[place] = deed(place)
        except Exception as error:  # noqa: BLE001 - handed to the test
            given[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return given


def due(count: int, **fields: object) -> list[OutboundMessage]:
    number = PhoneNumberFactory()
    contact = ContactFactory(org=number.org)
    ConsentFactory(contact=contact)
    return [MessageFactory(phone_number=number, contact=contact, **fields) for _ in range(count)]


def test_workers_share_the_queue_and_send_nothing_twice(monkeypatch, settings):
    settings.OUTBOUND_SEND_CONCURRENCY = 7
    providers: list[ScriptedProvider] = []

    def provider(_channel: str) -> ScriptedProvider:
        providers.append(ScriptedProvider())
        return providers[-1]

    monkeypatch.setattr(channels, "provider", provider)
    messages = due(40)

    def work(_place: int) -> int:
        taken = 0
        while count := send_due():
            taken += count
        return taken

    given = at_once(4, work)
    assert sum(given) == 40
    assert set(Counter(sent.key for provider in providers for sent in provider.sent).values()) == {
        1
    }
    assert OutboundMessage.objects.filter(status=Status.SENT).count() == len(messages)
    assert OutboundAttempt.objects.count() == 40


def test_a_claim_passes_over_what_another_holds():
    first, second = due(2)
    with transaction.atomic():
        OutboundMessage.objects.select_for_update().get(pk=first.pk)
        (claim,) = at_once(1, lambda _place: claims.claim_due(10))
        assert [message.pk for message in claim.messages] == [second.pk]


def test_no_send_follows_a_revocation_committed_before_the_claim():
    """The revocation commits while the claim already holds the row's lock."""
    (message,) = due(1)
    revoked = threading.Event()
    real = ledger.check

    def check(asks, at):
        # The claim has locked its rows; another connection revokes now and commits.
        at_once(1, lambda _place: ledger.revoke(message.org, [entry]))
        revoked.set()
        return real(asks, at)

    entry = ledger.Entry(
        message.contact_id, "WHATSAPP", "transactional", Source.PERSON, "system", timezone.now()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims.ledger, "check", check)
        claim = claims.claim_due(10)
    assert revoked.is_set()
    assert claim.messages == []
    message.refresh_from_db()
    assert message.error_code == "CONSENT_REVOKED"


def test_one_key_used_by_many_at_once_makes_one_message():
    number = PhoneNumberFactory()
    ConsentFactory(contact=ContactFactory(org=number.org, phone="+12025550123"))
    raw = (
        b'{"to": "+12025550123", "type": "template", "category": "utility", '
        b'"template": {"name": "a", "language": "en"}}'
    )

    def post(_place: int) -> object:
        (answer,) = intake.accept(number.org, [bodies.parse(raw, "same-key")], "key:x")
        return answer

    answers = at_once(8, post)
    assert {answer.message.pk for answer in answers} == {OutboundMessage.objects.get().pk}
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    assert MessageEvent.objects.count() == 1


def test_batches_with_the_same_keys_in_any_order_make_each_message_once():
    number = PhoneNumberFactory()
    ConsentFactory(contact=ContactFactory(org=number.org, phone="+12025550123"))
    raw = (
        b'{"to": "+12025550123", "type": "template", "category": "utility", '
        b'"template": {"name": "a", "language": "en"}}'
    )
    requests = [bodies.parse(raw, f"key-{n}") for n in range(50)]

    def post(place: int) -> object:
        return intake.accept(number.org, requests[:: 1 if place % 2 else -1], "key:x")

    given = at_once(6, post)
    assert not [batch for batch in given if isinstance(batch, Exception)]
    answers = [answer for batch in given for answer in batch]
    assert len(answers) == 300
    assert sum(not answer.replayed for answer in answers) == 50
    assert OutboundMessage.objects.count() == MessageEvent.objects.count() == 50


def test_a_key_whose_first_use_is_rolled_back_is_taken_by_the_one_who_waited():
    number = PhoneNumberFactory()
    ConsentFactory(contact=ContactFactory(org=number.org, phone="+12025550123"))
    raw = (
        b'{"to": "+12025550123", "type": "template", "category": "utility", '
        b'"template": {"name": "a", "language": "en"}}'
    )
    request = bodies.parse(raw, "same-key")
    given: list[object] = []

    def second(_place: int) -> object:
        return intake.accept(number.org, [request], "b")

    waiting = threading.Thread(target=lambda: given.extend(at_once(1, second)))
    with transaction.atomic():
        intake.accept(number.org, [request], "a")
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        transaction.set_rollback(True)
    waiting.join(10)
    ((answer,),) = given
    assert not answer.replayed
    assert OutboundMessage.objects.get().pk == answer.message.pk


def test_requeued_by_many_at_once_is_requeued_once():
    (message,) = due(1, status=Status.FAILED)
    instruction = Instruction("user:1", Cause.STAFF, "again")
    given = at_once(6, lambda _place: operations.requeue([message.pk], instruction))
    assert sorted(len(done) for done in given) == [0] * 5 + [1]


def test_cancelled_or_claimed_but_never_both():
    messages = due(20)
    instruction = Instruction("key:x", Cause.CLIENT, "stop")
    ids = [message.pk for message in messages]

    def deed(place: int) -> object:
        return claims.claim_due(10) if place % 2 else operations.cancel(ids, instruction)

    given = at_once(6, deed)
    assert not [item for item in given if isinstance(item, Exception)]
    claimed = {m.pk for claim in given[1::2] if claim for m in claim.messages}
    cancelled = {pk for done in given[0::2] for pk in done}
    assert not claimed & cancelled
    for message in OutboundMessage.objects.all():
        assert message.status == (
            Status.SENDING if message.pk in claimed else Status.CANCELLED
        ) or message.pk not in (claimed | cancelled)


def test_two_sweeps_at_once_rescue_each_claim_once(settings):
    settings.OUTBOUND_UNKNOWN_WINDOW_SECONDS = 3600
    past = timezone.now() - timedelta(minutes=5)
    for message in due(10, status=Status.SENDING, last_attempt_number=1, lease_expires_at=past):
        OutboundAttempt.objects.create(
            message=message, attempt_number=1, claim_id=message.claim_id, started_at=past
        )
    given = at_once(4, lambda _place: rescue.rescue_overdue())
    assert sum(given) == 10
    assert set(OutboundMessage.objects.values_list("attempt_count", flat=True)) == {1}


def test_the_api_says_when_to_come_back_while_the_database_is_away(client, monkeypatch):
    def away(_secret: str) -> None:
        raise OperationalError

    monkeypatch.setattr("orgs.auth.keys.find", away)
    answer = client.get("/api/v1/outbound-messages", headers={"Authorization": "Bearer ob_x"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["code"] == "unavailable"
