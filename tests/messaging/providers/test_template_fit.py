"""Values against the template they are for: what fits passes, the rest is named exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.providers.whatsapp import content, template_fit, template_shape
from messaging.providers.whatsapp.content_rules import ContentError

BODY = {"type": "BODY", "text": "Hi {{1}}, order {{2}} has been shipped."}
NAMED_BODY = {"type": "BODY", "text": "Hello {{first_name}}, we expect you on {{day}}."}
IMAGE = {"type": "HEADER", "format": "IMAGE"}
LINK = {"type": "URL", "text": "Track", "url": "https://example.com/{{1}}"}
REPLY = {"type": "QUICK_REPLY", "text": "Stop promotions"}
CODE = [
    {"type": "BODY", "text": "{{1}} is your code."},
    {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy"}]},
]


def buttons(*rows):
    return {"type": "BUTTONS", "buttons": list(rows)}


def text(value, name=None):
    return {"type": "text", "text": value, **({"parameter_name": name} if name else {})}


def body(*values):
    return {"type": "body", "parameters": [v if isinstance(v, dict) else text(v) for v in values]}


def button(sub_type, index, **parameter):
    return {
        "type": "button",
        "sub_type": sub_type,
        "index": index,
        "parameters": [parameter],
    }


def header(kind, value):
    return {"type": "header", "parameters": [{"type": kind, kind: value}]}


def link(value, index="0"):
    return button("url", index, type="text", text=value)


PICTURE = header("image", {"link": "https://example.com/a.jpg"})
OFFER = {
    "type": "limited_time_offer",
    "parameters": [
        {
            "type": "limited_time_offer",
            "limited_time_offer": {"expiration_time_ms": 1_794_700_000_000},
        }
    ],
}
COUPON = {"type": "coupon_code", "coupon_code": "SAVE10"}


def problem(components, *given, fmt="POSITIONAL", category="UTILITY"):
    """Return field and code of what does not fit; None when all does."""
    shape = template_shape.read(components, fmt, category)
    template = {"name": "t", "language": "en_US", "components": list(given)}
    checked = content.parse("template", template)
    try:
        template_fit.check(shape, checked.get("components") or ())
    except ContentError as error:
        return error.field, error.code
    return None


def card(*components):
    return {"components": list(components)}


CARDS = [
    {"type": "BODY", "text": "Look at {{1}}"},
    {"type": "CAROUSEL", "cards": [card(IMAGE, buttons(LINK)), card(IMAGE, buttons(LINK))]},
]


def given_card(index, *components):
    return {"card_index": index, "components": list(components)}


def carousel(*cards):
    return {"type": "carousel", "cards": list(cards)}


FITS = [
    ([BODY], [body("Ana", "#1042")]),
    ([{"type": "BODY", "text": "No variable."}], []),
    ([BODY, {"type": "FOOTER", "text": "Reply STOP"}], [body("Ana", "#1042")]),
    ([IMAGE, BODY], [PICTURE, body("Ana", "#1042")]),
    ([{"type": "HEADER", "format": "TEXT", "text": "Welcome!"}], []),
    (
        [{"type": "HEADER", "format": "TEXT", "text": "Hi {{1}}"}],
        [{"type": "header", "parameters": [text("Ana")]}],
    ),
    ([buttons(LINK, REPLY)], [link("1042?t=abc")]),
    ([buttons(REPLY)], []),
    ([buttons(REPLY)], [button("quick_reply", 0, type="payload", payload="OUT")]),
    ([buttons({"type": "COPY_CODE", "text": "Copy"})], [button("copy_code", "0", **COUPON)]),
    ([buttons({"type": "PHONE_NUMBER", "text": "Call"})], []),
    (
        CARDS,
        [
            body("this"),
            carousel(given_card(1, PICTURE, link("b")), given_card(0, PICTURE, link("a"))),
        ],
    ),
    ([{"type": "SOMETHING_NEW", "x": 1}], []),
]

MISFITS = [
    ([BODY], [], ("template.components", "required")),
    ([BODY], [body("Ana")], ("template.components[0].parameters", "wrong_count")),
    ([BODY], [body("a", "b", "c")], ("template.components[0].parameters", "wrong_count")),
    (
        [BODY],
        [body("a", "b"), body("c", "d")],
        ("template.components[1]", "unexpected"),
    ),
    (
        [BODY],
        [body(text("a", "x"), text("b", "y"))],
        ("template.components[0].parameters[0].parameter_name", "unexpected"),
    ),
    ([BODY], [body("a" * 1000, "b")], ("template.components[0].parameters", "too_long")),
    ([{"type": "BODY", "text": "None."}], [body("a")], ("template.components[0]", "unexpected")),
    ([IMAGE], [], ("template.components", "required")),
    (
        [IMAGE],
        [header("video", {"id": "1"})],
        ("template.components[0].parameters[0].type", "invalid"),
    ),
    (
        [{"type": "HEADER", "format": "TEXT", "text": "Hi {{1}}"}],
        [PICTURE],
        ("template.components[0].parameters[0].type", "invalid"),
    ),
    (
        [{"type": "HEADER", "format": "TEXT", "text": "Hi {{1}}"}],
        [{"type": "header", "parameters": [text("x" * 58)]}],
        ("template.components[0].parameters", "too_long"),
    ),
    ([buttons(LINK)], [], ("template.components", "required")),
    ([buttons(LINK)], [link("a", "1")], ("template.components[0].index", "invalid")),
    ([buttons(LINK)], [link("a b")], ("template.components[0].parameters[0].text", "invalid")),
    ([buttons(LINK)], [link("a"), link("b")], ("template.components[1].index", "unexpected")),
    (
        [buttons(LINK)],
        [button("quick_reply", 0, type="payload", payload="x")],
        ("template.components[0].sub_type", "invalid"),
    ),
    (
        [buttons({"type": "URL", "text": "Site", "url": "https://example.com"})],
        [link("a")],
        ("template.components[0]", "unexpected"),
    ),
    ([buttons({"type": "COPY_CODE"})], [], ("template.components", "required")),
    (CARDS, [body("this")], ("template.components", "required")),
    (
        CARDS,
        [body("this"), carousel(given_card(0, PICTURE, link("a")))],
        ("template.components[1].cards", "wrong_count"),
    ),
    (
        CARDS,
        [
            body("this"),
            carousel(given_card(0, PICTURE, link("a")), given_card(0, PICTURE, link("a"))),
        ],
        ("template.components[1].cards[1].card_index", "invalid"),
    ),
    (
        CARDS,
        [body("this"), carousel(given_card(0, PICTURE, link("a")), given_card(1, PICTURE))],
        ("template.components[1].cards[1].components", "required"),
    ),
    (
        [{"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"has_expiration": True}}],
        [],
        ("template.components", "required"),
    ),
    (
        [BODY, {"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"has_expiration": False}}],
        [body("Ana", "#1"), OFFER],
        ("template.components[1]", "unexpected"),
    ),
    ([BODY], [body("Ana", "#1"), OFFER], ("template.components[1]", "unexpected")),
]


@pytest.mark.parametrize(("components", "values"), FITS)
def test_what_fits_passes(components, values):
    assert problem(components, *values) is None


@pytest.mark.parametrize(("components", "values", "expected"), MISFITS)
def test_what_does_not_fit_is_named(components, values, expected):
    assert problem(components, *values) == expected


class TestNamedParameters:
    def test_they_may_come_in_any_order(self):
        values = body(text("Monday", "day"), text("Ana", "first_name"))
        assert problem([NAMED_BODY], values, fmt="NAMED") is None

    @pytest.mark.parametrize(
        "names", [("day", "day"), ("day", "surname"), (None, None)], ids=["twice", "other", "none"]
    )
    def test_each_is_wanted_once(self, names):
        values = body(*[text("x", name) for name in names])
        field, code = problem([NAMED_BODY], values, fmt="NAMED")
        assert code == "invalid"
        assert field.endswith(".parameter_name")


class TestCodes:
    def test_the_button_repeats_the_code(self):
        given = [body("123456"), link("123456")]
        assert problem(CODE, *given, category="AUTHENTICATION") is None

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (
                [body("123456"), link("654321")],
                ("template.components[1].parameters[0].text", "invalid"),
            ),
            (
                [body("1" * 16), link("1" * 16)],
                ("template.components[1].parameters[0].text", "too_long"),
            ),
            ([body("123456")], ("template.components", "required")),
        ],
    )
    def test_another_or_a_long_one_is_refused(self, values, expected):
        assert problem(CODE, *values, category="AUTHENTICATION") == expected


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_part = st.dictionaries(
    st.sampled_from(["type", "format", "text", "buttons", "cards", "components", "url"]),
    _json | st.sampled_from(["HEADER", "BODY", "BUTTONS", "CAROUSEL", "IMAGE", "{{1}}"]),
)


@given(st.lists(_part, max_size=4))
def test_whatever_meta_lists_is_read(components):
    template_shape.read(components)
