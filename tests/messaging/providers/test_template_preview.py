"""What the phone shows of a template."""

from __future__ import annotations

from messaging.providers.whatsapp import template_preview, template_values
from messaging.providers.whatsapp.template_preview import Run


def body(text, **example):
    return template_preview.draw([{"type": "BODY", "text": text, "example": example}]).body


def shown(text, **example):
    return "".join(run.text for run in body(text, **example))


def test_examples_stand_in_the_placeholders():
    assert shown("Hi {{1}}, order {{2}}", body_text=[["Ana", "#1"]]) == "Hi Ana, order #1"
    named = [{"param_name": "day", "example": "Monday"}]
    assert shown("On {{day}}", body_text_named_params=named) == "On Monday"


def test_without_an_example_the_placeholder_stays():
    assert shown("Hi {{1}}") == "Hi {{1}}"


def test_whatsapps_marks_set_the_text():
    assert body("a *b* _c_ ~d~ ```e```") == [
        Run("a "),
        Run("b", "strong"),
        Run(" "),
        Run("c", "em"),
        Run(" "),
        Run("d", "s"),
        Run(" "),
        Run("e", "pre"),
    ]


def test_marks_that_touch_no_text_are_text():
    assert body("2 * 3 * 4") == [Run("2 * 3 * 4")]
    assert body("snake_case_name") == [Run("snake_case_name")]


def test_the_parts_are_drawn_in_order():
    drawn = template_preview.draw(
        [
            {"type": "HEADER", "format": "IMAGE"},
            {"type": "BODY", "text": "x"},
            {"type": "FOOTER", "text": "Reply STOP"},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Stop"}]},
            {"type": "CAROUSEL", "cards": [{"components": [{"type": "BODY", "text": "card"}]}]},
        ]
    )
    assert (drawn.media, drawn.footer, drawn.buttons) == ("image", "Reply STOP", ["Stop"])
    assert drawn.cards[0].body == [Run("card")]


def test_what_a_message_says_stands_in_place_of_the_examples():
    template = [
        {
            "type": "HEADER",
            "format": "TEXT",
            "text": "For {{1}}",
            "example": {"header_text": ["x"]},
        },
        {"type": "BODY", "text": "{{name}} owes {{sum}}"},
        {"type": "CAROUSEL", "cards": [{"components": [{"type": "BODY", "text": "c {{1}}"}]}] * 2},
    ]
    amount = {"fallback_value": "5 €", "code": "EUR", "amount_1000": 5000}
    payload = {
        "components": [
            {"type": "header", "parameters": [{"type": "text", "text": "Ana"}]},
            {
                "type": "body",
                "parameters": [
                    {"type": "text", "parameter_name": "name", "text": "Bo"},
                    {"type": "currency", "parameter_name": "sum", "currency": amount},
                ],
            },
            {
                "type": "carousel",
                "cards": [
                    {
                        "card_index": 1,
                        "components": [
                            {"type": "body", "parameters": [{"type": "text", "text": "two"}]}
                        ],
                    }
                ],
            },
            {"type": "button", "parameters": "nonsense"},
            "nonsense",
        ]
    }
    values = template_values.read(payload)
    drawn = template_preview.draw(template, values.texts, values.cards)
    assert drawn.header == "For Ana"
    assert drawn.body == [Run("Bo owes 5 €")]
    assert [card.body for card in drawn.cards] == [[Run("c {{1}}")], [Run("c two")]]
