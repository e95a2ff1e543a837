"""A template as a form: whatever is asked for can be typed in, and then fits the template."""

from __future__ import annotations

import pytest

from messaging.providers.whatsapp import content, template_fit, template_shape, template_slots

BODY = {"type": "BODY", "text": "Hi {{1}}, order {{2}}."}
URL = {"type": "URL", "text": "Track", "url": "https://shop.example/{{1}}"}
OTP = {"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy", "url": "{{1}}"}
COUPON = {"type": "COPY_CODE", "text": "Copy"}


def buttons(*given):
    return {"type": "BUTTONS", "buttons": list(given)}


CASES = {
    "text": ([BODY], "", "", ["body-1", "body-2"]),
    "named": ([{"type": "BODY", "text": "On {{day}}"}], "NAMED", "", ["body-day"]),
    "header": (
        [{"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"}, BODY],
        *("", "", ["header-1", "body-1", "body-2"]),
    ),
    "image": (
        [{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Look"}],
        *("", "", ["header-image"]),
    ),
    "buttons": (
        [{"type": "BODY", "text": "x"}, buttons({"type": "QUICK_REPLY"}, URL, COUPON)],
        *("", "", ["button-1", "button-2"]),
    ),
    "code": ([{"type": "BODY", "text": "{{1}}"}, buttons(OTP)], "", "AUTHENTICATION", ["body-1"]),
    "nothing": ([{"type": "BODY", "text": "Hello"}], "", "", []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_typed_into_each_slot_fits_the_template(case):
    components, parameter_format, category, names = case
    shape = template_shape.read(components, parameter_format, category)
    assert template_slots.not_typed(shape) == ""
    slots = template_slots.slots(shape)
    assert [slot.name for slot in slots] == names
    values = {
        slot.name: "https://shop.example/a.png" if slot.takes == "link" else "42" for slot in slots
    }
    given = {
        "name": "any",
        "language": "en_US",
        "components": template_slots.components(shape, values),
    }
    template_fit.check(shape, content.parse("template", given).get("components") or [])


@pytest.mark.parametrize(
    ("components", "says"),
    [
        ([{"type": "HEADER", "format": "LOCATION"}], "location"),
        ([{"type": "CAROUSEL", "cards": [{"components": [BODY]}]}], "carousel"),
        ([buttons({"type": "MPM"})], "mpm"),
    ],
)
def test_what_nobody_can_type_in_is_said(components, says):
    assert says in template_slots.not_typed(template_shape.read(components))
