from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.providers.whatsapp import content
from messaging.providers.whatsapp.content_rules import ContentError

pytestmark = pytest.mark.core


def template(*components: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "order_update", "language": "en_US", "components": list(components), **fields}


def body(*texts: str) -> dict[str, Any]:
    return {"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}


def button(**fields: Any) -> dict[str, Any]:
    return {
        "type": "button",
        "sub_type": "url",
        "index": "0",
        "parameters": [{"type": "text", "text": "1042"}],
        **fields,
    }


def buttons(*replies: tuple[str, str]) -> dict[str, Any]:
    return {
        "type": "button",
        "body": {"text": "Sure?"},
        "action": {
            "buttons": [{"type": "reply", "reply": {"id": i, "title": t}} for i, t in replies]
        },
    }


def menu(*counts: int, titled: bool = True) -> dict[str, Any]:
    sections = []
    for place, count in enumerate(counts):
        section: dict[str, Any] = {
            "rows": [{"id": f"{place}-{n}", "title": f"row {n}"} for n in range(count)]
        }
        if titled:
            section["title"] = f"section {place}"
        sections.append(section)
    return {
        "type": "list",
        "body": {"text": "Choose"},
        "action": {"button": "Open", "sections": sections},
    }


GOOD = [
    ("text", {"body": "hi", "preview_url": True}),
    ("text", {"body": "x" * 4096}),
    ("image", {"link": "https://example.com/a.jpg", "caption": "x" * 1024}),
    ("video", {"id": "123"}),
    ("audio", {"id": "123", "voice": True}),
    ("document", {"link": "https://example.com/a.pdf", "filename": "a.pdf", "caption": "c"}),
    ("sticker", {"id": "123"}),
    ("location", {"latitude": 37.44, "longitude": -122.16, "name": "n", "address": "a"}),
    (
        "contacts",
        [
            {
                "name": {"formatted_name": "A B", "first_name": "A"},
                "phones": [{"phone": "+12025550124", "type": "CELL", "wa_id": "12025550124"}],
                "emails": [{"email": "a@example.com", "type": "WORK"}],
                "urls": [{"url": "https://example.com"}],
                "addresses": [{"city": "Bern", "country_code": "ch"}],
                "org": {"company": "C"},
                "birthday": "2000-01-31",
            }
        ],
    ),
    ("reaction", {"message_id": "wamid.1", "emoji": "👍"}),
    ("reaction", {"message_id": "wamid.1", "emoji": ""}),
    ("interactive", buttons(("yes", "Yes"), ("no", "No"))),
    ("interactive", menu(10)),
    ("interactive", menu(5, 5)),
    (
        "interactive",
        {
            "type": "cta_url",
            "body": {"text": "b"},
            "action": {
                "name": "cta_url",
                "parameters": {"display_text": "Open", "url": "https://example.com"},
            },
        },
    ),
    (
        "interactive",
        {
            "type": "location_request_message",
            "body": {"text": "Where?"},
            "action": {"name": "send_location"},
        },
    ),
    ("template", template(body("Ana", "#1042"))),
    ("template", template(body("Ana"), button())),
    (
        "template",
        template(
            {
                "type": "header",
                "parameters": [{"type": "image", "image": {"id": "1234567890"}}],
            },
            button(sub_type="quick_reply", parameters=[{"type": "payload", "payload": "OPT_OUT"}]),
            button(sub_type="copy_code", parameters=[{"type": "coupon_code", "coupon_code": "A"}]),
            button(sub_type="flow", parameters=[{"type": "action", "action": {"flow_token": "t"}}]),
        ),
    ),
    (
        "template",
        template(
            {
                "type": "limited_time_offer",
                "parameters": [
                    {
                        "type": "limited_time_offer",
                        "limited_time_offer": {"expiration_time_ms": 1_794_700_000_000},
                    }
                ],
            }
        ),
    ),
    (
        "template",
        template(
            {
                "type": "carousel",
                "cards": [{"card_index": 0, "components": [body("a"), button()]}],
            }
        ),
    ),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_what_meta_documents_is_taken(kind, value):
    assert content.parse(kind, value)


def test_nothing_is_added_and_nothing_lost():
    value = {"link": "https://example.com/a.pdf", "filename": "a.pdf"}
    assert content.parse("document", value) == value


def test_the_language_is_brought_into_metas_form():
    wanted = {"code": "pt_BR"}
    for language in ("pt_BR", {"code": "pt_BR"}, {"code": "pt_BR", "policy": "deterministic"}):
        assert content.parse("template", template(language=language))["language"] == wanted


def test_a_button_index_becomes_text():
    parsed = content.parse("template", template(button(index=3)))
    assert parsed["components"][0]["index"] == "3"


LINK = "https://example.com/a"
BAD = [
    ("text", {}, "text.body", "required"),
    ("text", {"body": ""}, "text.body", "invalid"),
    ("text", {"body": "x" * 4097}, "text.body", "too_long"),
    ("text", {"body": "x", "colour": 1}, "text.colour", "unexpected"),
    ("text", [], "text", "invalid"),
    ("image", {}, "image", "one_of"),
    ("image", {"id": "1", "link": LINK}, "image", "one_of"),
    ("image", {"link": "http://example.com/a"}, "image.link", "invalid"),
    ("image", {"link": LINK, "caption": "x" * 1025}, "image.caption", "too_long"),
    ("location", {"latitude": 91, "longitude": 0}, "location.latitude", "invalid"),
    ("contacts", [], "contacts", "invalid"),
    ("contacts", [{"name": {"formatted_name": "A"}}] * 258, "contacts", "too_long"),
    ("contacts", [{"name": {}}], "contacts[0].name.formatted_name", "required"),
    ("interactive", buttons(("a", "A"), ("a", "B")), "interactive.action.buttons", "not_unique"),
    ("interactive", buttons(("a", "A"), ("b", "A")), "interactive.action.buttons", "not_unique"),
    (
        "interactive",
        buttons(*((str(n), str(n)) for n in range(4))),
        "interactive.action.buttons",
        "too_long",
    ),
    (
        "interactive",
        buttons(("a", "x" * 21)),
        "interactive.action.buttons[0].reply.title",
        "too_long",
    ),
    ("interactive", menu(6, 5), "interactive.action.sections", "too_many"),
    ("interactive", menu(2, 2, titled=False), "interactive.action.sections", "required"),
    ("interactive", {"type": "poll"}, "interactive.type", "invalid"),
    ("template", {"language": "en_US"}, "template.name", "required"),
    ("template", {"name": "x"}, "template.language", "required"),
    ("template", template(language="en-US"), "template.language", "invalid"),
    ("template", template(name="Order Update"), "template.name", "invalid"),
    ("template", template(body("")), "template.components[0].parameters[0].text", "invalid"),
    ("template", template(body("a\nb")), "template.components[0].parameters[0].text", "invalid"),
    ("template", template(body("a\rb")), "template.components[0].parameters[0].text", "invalid"),
    ("template", template(body("a\tb")), "template.components[0].parameters[0].text", "invalid"),
    (
        "template",
        template(body("a" + " " * 5 + "b")),
        "template.components[0].parameters[0].text",
        "invalid",
    ),
    ("template", template(button(index=10)), "template.components[0].index", "invalid"),
    (
        "template",
        template(button(sub_type="copy_code")),
        "template.components[0].parameters[0].type",
        "invalid",
    ),
    ("template", template({"type": "hat"}), "template.components[0].type", "invalid"),
]


@pytest.mark.parametrize(("kind", "value", "field", "code"), BAD)
def test_a_wrong_part_is_named(kind, value, field, code):
    with pytest.raises(ContentError) as caught:
        content.parse(kind, value)
    assert (caught.value.field, caught.value.code) == (field, code)


def test_four_spaces_in_a_row_are_allowed():
    assert content.parse("template", template(body("a    b")))


def test_an_error_never_repeats_the_value():
    secret = "4915112345678"
    for value in ({"body": [secret]}, {secret: 1}, {"body": "x", "preview_url": secret}):
        with pytest.raises(ContentError) as caught:
            content.parse("text", value)
        assert secret not in caught.value.detail


def test_every_kind_has_a_schema_that_stands_alone():
    schemas = content.json_schemas()
    assert set(schemas) == set(content.KINDS)
    assert "$ref" not in str(schemas)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("US.13491208655302741918", True),
        ("US.ENT.13491208655302741918", True),
        ("us.1", False),
        ("US.", False),
        ("US." + "a" * 129, False),
        ("+12025550123", False),
    ],
)
def test_the_form_of_a_bsuid(text, valid):
    assert content.is_bsuid(text) is valid


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(kind=st.sampled_from(content.KINDS), value=json_values)
def test_any_json_is_taken_or_refused(kind, value):
    with suppress(ContentError):
        content.parse(kind, value)
