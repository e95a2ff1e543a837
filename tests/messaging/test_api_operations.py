from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging.dead_letters import bulk
from messaging.models import BulkOperation, OutboundMessage
from messaging.states import Status
from orgs.models import AuditEvent
from tests.factories.messaging import PhoneNumberFactory
from tests.messaging.dead_letters.cast import dead, statuses, work

pytestmark = [pytest.mark.django_db, pytest.mark.core]

REQUEUE = "/api/v1/outbound-messages/dlq/requeue"
DISCARD = "/api/v1/outbound-messages/dlq/discard"
OPERATIONS = "/api/v1/operations"


def post(api, url: str, **body: object):
    return api.post(url, body, format="json")


@pytest.fixture
def two_causes(number, other_org):
    dead(number, 3)
    dead(number, 2, error_code="131026", expires_at=timezone.now() - timedelta(days=1))
    dead(PhoneNumberFactory(org=other_org), 4)


def test_a_preview_says_what_would_happen_and_does_nothing(api, two_causes):
    answer = post(api, REQUEUE, preview=True)
    assert answer.status_code == 200
    assert answer.json() == {"matched": 5, "looked_at": 5, "counts": {"send": 3, "expired": 2}}
    assert not BulkOperation.objects.exists()


def test_a_filter_is_requeued_and_the_progress_is_read(api, org, number, two_causes):
    narrow = {"error_code": "131016", "phone_number_id": number.phone_number_id}
    answer = post(api, REQUEUE, filter=narrow, rate_per_minute=6000, reason="Meta is back")
    assert answer.status_code == 202, answer.json()
    made = answer.json()
    assert (made["matched"], made["done"], made["state"]) == (3, 0, "RUNNING")
    assert made["filter"] == {"error": "131016", "number": str(number.pk)}
    for _ in range(20):
        work()
        if (now := api.get(f"{OPERATIONS}/{made['id']}").json())["state"] == "DONE":
            break
        BulkOperation.objects.update(next_at=timezone.now())
    assert (now["done"], now["counts"]) == (3, {"requeued": 3})
    assert [row["id"] for row in api.get(OPERATIONS).json()["results"]] == [made["id"]]
    assert OutboundMessage.objects.filter(org=org, status=Status.QUEUED).count() == 3
    audit = AuditEvent.objects.get(action="dead_letters.requeue_started")
    assert (audit.org, audit.reason, audit.actor[:4]) == (org, "Meta is back", "key:")


def test_a_discard_is_stopped_resumed_and_undone(api, org, two_causes):
    made = post(api, DISCARD, reason="old").json()
    url = f"{OPERATIONS}/{made['id']}"
    assert post(api, f"{url}/resume").status_code == 409
    assert post(api, f"{url}/stop").json()["state"] == "STOPPED"
    assert post(api, f"{url}/stop").status_code == 409
    assert post(api, f"{url}/undo").status_code == 409  # nothing is discarded yet
    assert post(api, f"{url}/resume").json()["state"] == "RUNNING"
    work()
    assert statuses() == {"CANCELLED": 5, "FAILED": 4}
    undo = post(api, f"{url}/undo")
    assert (undo.status_code, undo.json()["undoes"]) == (202, made["id"])
    work()
    assert statuses() == {"FAILED": 9}


def test_a_preview_of_a_discard_only_counts(api, two_causes):
    assert post(api, DISCARD, preview=True).json() == {"matched": 5, "looked_at": 0, "counts": {}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"filter": {"phone_number_id": "1"}}, 422),
        ({"filter": {"category": "spam"}}, 400),
        ({"filter": {"failed_from": "yesterday"}}, 400),
        ({"rate_per_minute": 0}, 400),
        ({"filter": {"error_code": "1\0"}}, 400),
    ],
)
def test_what_is_wrong_is_refused(api, body, status):
    assert post(api, REQUEUE, **body).status_code == status


def test_so_many_at_once_are_too_many(api, monkeypatch):
    monkeypatch.setattr(bulk, "MOST_RUNNING", 1)
    assert post(api, REQUEUE).status_code == 202
    answer = post(api, DISCARD)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_operations")


def test_it_takes_the_scope_manage(client_of, org):
    api = client_of(org, ("send", "read"))
    for url in (REQUEUE, DISCARD):
        assert post(api, url).status_code == 403
    assert api.get(OPERATIONS).status_code == 200


def test_another_organisation_sees_and_stops_nothing(api, client_of, other_org, two_causes):
    made = post(api, REQUEUE).json()
    theirs = client_of(other_org)
    url = f"{OPERATIONS}/{made['id']}"
    assert theirs.get(url).status_code == 404
    assert theirs.get(OPERATIONS).json()["results"] == []
    for step in ("stop", "resume", "undo"):
        assert post(theirs, f"{url}/{step}").status_code == 404
    number = OutboundMessage.objects.filter(org__org_id="acme").first().phone_number
    foreign = {"phone_number_id": number.phone_number_id}
    assert post(theirs, REQUEUE, filter=foreign).status_code == 422
    work()
    assert OutboundMessage.objects.filter(org=other_org, status=Status.FAILED).count() == 4


def test_one_message_is_discarded_and_restored(api, client_of, other_org, number):
    (message,) = dead(number)
    url = f"/api/v1/outbound-messages/{message.pk}"
    assert post(client_of(other_org), f"{url}/discard").status_code == 404
    assert post(api, f"{url}/restore").status_code == 409
    assert post(api, f"{url}/discard", reason="old").json()["error_code"] == "DISCARDED"
    assert post(api, f"{url}/discard").status_code == 409
    answer = post(api, f"{url}/restore").json()
    assert (answer["status"], answer["error_code"]) == ("FAILED", "131016")
