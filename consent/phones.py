"""Phone numbers in their one form: E.164 with a plus."""

from __future__ import annotations

import re

import phonenumbers

LONGEST = 40
_MASK = "•••"
_TYPED = re.compile(r"[+(]*[0-9][0-9 ()./\u00a0-]*")
_NO_DIGITS = re.compile(r"[^0-9]")


def to_e164(text: str) -> str:
    """Return the number in E.164, such as +12025550123.

    Raises ValueError, whose text repeats no digits. A country code is required: without one
    Meta would put the sender's own in front and reach a stranger.
    """
    trimmed = text.strip()
    if not trimmed.startswith("+"):
        message = "A phone number must begin with + and the country code."
        raise ValueError(message)
    if len(trimmed) > LONGEST:
        message = "A phone number is not that long."
        raise ValueError(message)
    try:
        number = phonenumbers.parse(trimmed, None)
    except phonenumbers.NumberParseException:
        message = "This is not a phone number."
        raise ValueError(message) from None
    if not phonenumbers.is_valid_number(number):
        message = "This phone number does not exist in its country's numbering plan."
        raise ValueError(message)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def searched(text: str) -> str:
    """Return the number that somebody looks for, in E.164; "" when it is none.

    People type what stands on a letter: without the plus, with 00 before the country code, with
    spaces and brackets. Only a search may guess so: it reaches nobody.
    """
    trimmed = text.strip()
    if not _TYPED.fullmatch(trimmed):
        return ""
    digits = _NO_DIGITS.sub("", trimmed)
    try:
        return to_e164("+" + (digits.removeprefix("00")))
    except ValueError:
        return ""


def mask(recipient: str) -> str:
    """Return a phone number or BSUID with its middle hidden, for lists."""
    if not recipient:
        return ""
    if recipient.startswith("+"):
        return f"{recipient[:-7][:5]}{_MASK}{recipient[-4:]}"
    return f"{recipient[:3]}{_MASK}{recipient[-3:]}"
