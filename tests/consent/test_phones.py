from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.phones import mask, searched, to_e164

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("+12025550123", "+12025550123"),
        (" +1 (202) 555-0123 ", "+12025550123"),
        ("+49 151 12345678", "+4915112345678"),
        ("+41 79 123 45 67", "+41791234567"),
    ],
)
def test_a_number_is_brought_into_e164(text, wanted):
    assert to_e164(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "+12025550123",
        "12025550123",
        "0012025550123",
        " 1 202 555 0123 ",
        "+1 (202) 555-0123",
        "(001) 202.555.0123",
        "1\u00a0202\u00a0555\u00a00123",
    ],
)
def test_whoever_searches_may_write_a_number_as_it_stands_on_a_letter(text):
    assert searched(text) == "+12025550123"


@pytest.mark.parametrize(
    "text", ["", "+", "order-1042", "1042", "2025550123x", "wamid.1", "x" * 99]
)
def test_what_is_no_number_is_none_to_search_for(text):
    assert searched(text) == ""


@pytest.mark.parametrize(
    "text", ["", "+", "12025550123", "+1202", "+999123456789", "+1 202 555 0123 0123", "x" * 100]
)
def test_anything_else_is_refused_without_repeating_it(text):
    with pytest.raises(ValueError, match=r".") as caught:
        to_e164(text)
    assert not any(letter.isdigit() for letter in str(caught.value))


@given(text=st.text(max_size=50) | st.text(alphabet="+0123456789 ()-", max_size=30))
def test_whatever_is_given_is_a_number_or_a_value_error(text):
    try:
        number = to_e164(text)
    except ValueError:
        return
    assert number.startswith("+")
    assert number[1:].isdigit()
    assert to_e164(number) == number


@pytest.mark.parametrize(
    ("recipient", "shown"),
    [("+12025550123", "+1202•••0123"), ("US.13491208655302", "US.•••302"), ("", "")],
)
def test_lists_show_a_mask(recipient, shown):
    assert mask(recipient) == shown
