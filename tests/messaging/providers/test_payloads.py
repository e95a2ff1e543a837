from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from messaging.providers.base import Outgoing, Sender
from messaging.providers.whatsapp import callback, payloads

pytestmark = pytest.mark.core

OUTGOING = Outgoing(
    key="k",
    sender=Sender("200000000000001", "token"),
    to="+12025550123",
    to_is_bsuid=False,
    kind="text",
    payload={"body": "hi"},
    reply_to="",
    callback_data=callback.encode("outbound", "0" * 32, 1),
    deadline=0.0,
)


def build(**fields: object) -> dict[str, object]:
    return orjson.loads(payloads.build(replace(OUTGOING, **fields)))


def test_the_request_is_exactly_what_meta_documents():
    assert build() == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+12025550123",
        "type": "text",
        "text": {"body": "hi"},
        "biz_opaque_callback_data": OUTGOING.callback_data,
    }


def test_a_business_scoped_id_goes_under_recipient():
    body = build(to="US.13491208655302741918", to_is_bsuid=True)
    assert body["recipient"] == "US.13491208655302741918"
    assert "to" not in body


def test_a_reply_quotes_its_message():
    assert build(reply_to="wamid.1")["context"] == {"message_id": "wamid.1"}


def test_a_reaction_is_never_a_reply():
    reaction = {"message_id": "wamid.1", "emoji": ""}
    assert "context" not in build(kind="reaction", payload=reaction, reply_to="wamid.2")


@pytest.mark.parametrize(
    "fields", [{"kind": "hologram"}, {"to": ""}, {"callback_data": "x" * 513}, {"payload": {1j}}]
)
def test_what_cannot_be_built_says_so(fields):
    with pytest.raises(payloads.PayloadError):
        build(**fields)


def test_neither_token_nor_person_is_in_the_repr():
    text = repr(OUTGOING)
    assert "token" not in text.replace("access_token", "")
    assert "+1202" not in text
