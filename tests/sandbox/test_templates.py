"""Templates that change while the sandbox runs, and what is posted about it."""

from __future__ import annotations

import orjson
import pytest

TEMPLATE = {
    "name": "order_update",
    "language": {"code": "en_US"},
    "components": [
        {"type": "body", "parameters": [{"type": "text", "text": t} for t in ("Ana", "#1")]}
    ],
}


def change(sandbox, **wanted):
    return sandbox.control("POST", "template", json={"name": "order_update", **wanted})


def told(receiver, field: str):
    _headers, body = receiver.next(field)
    return orjson.loads(body)["entry"][0]["changes"][0]["value"]


def send(sandbox):
    return sandbox.send("+12025550160", type="template", template=TEMPLATE, text=None)


def test_a_paused_template_is_refused_told_and_sends_again_once_approved(
    sandbox, receiver, error_of
):
    answer = change(sandbox, status="PAUSED", reason="LOW_QUALITY").json()
    assert answer["posted"] == ["message_template_status_update"]
    value = told(receiver, "message_template_status_update")
    assert (value["event"], value["reason"]) == ("PAUSED", "LOW_QUALITY")
    assert (value["message_template_name"], value["message_template_language"]) == (
        "order_update",
        "en-US",
    )
    listed = sandbox.get("100000000000001/message_templates", name="order_update").json()["data"]
    assert listed[0]["status"] == "PAUSED"
    assert error_of(send(sandbox)) == 132015
    change(sandbox, status="APPROVED")
    assert told(receiver, "message_template_status_update")["event"] == "APPROVED"
    assert send(sandbox).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "field", "says"),
    [
        ({"quality": "RED"}, "message_template_quality_update", {"new_quality_score": "RED"}),
        ({"category": "MARKETING"}, "template_category_update", {"new_category": "MARKETING"}),
        (
            {"components": [{"type": "BODY", "text": "Shipped."}]},
            "message_template_components_update",
            {"message_template_element": "Shipped."},
        ),
    ],
)
def test_each_change_is_told_once(sandbox, receiver, wanted, field, says):
    assert change(sandbox, **wanted).json()["posted"] == [field]
    assert says.items() <= told(receiver, field).items()
    assert change(sandbox, **wanted).json()["posted"] == []


@pytest.mark.parametrize(
    "wanted", [{"status": "BROKEN"}, {"colour": "red"}, {"name": "nobody"}, {"components": {}}]
)
def test_nonsense_is_refused_with_what_there_is(sandbox, wanted):
    answer = change(sandbox, **wanted)
    assert answer.status_code == 400
    assert len(answer.json()["error"]) > 20


def test_a_reset_brings_the_templates_back(sandbox):
    change(sandbox, status="DISABLED")
    sandbox.control("POST", "reset")
    assert send(sandbox).status_code == 200
