"""Messages that may only go inside the customer service window, but for the interactive ones."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from messaging.providers.whatsapp.content_rules import (
    Id,
    Latitude,
    Longitude,
    Media,
    Part,
    Text1024,
    Text4096,
)

# More are refused by Meta.
MOST_CONTACTS = 257

Short = Annotated[str, Meta(max_length=1024)]


class Text(Part):
    """A plain text."""

    body: Text4096
    preview_url: bool = False


class Captioned(Media):
    """An image or video."""

    caption: Text1024 | None = None


class Audio(Media):
    """A recording; voice makes it a voice message."""

    voice: bool = False


class Document(Captioned):
    """A file."""

    filename: Annotated[str, Meta(min_length=1, max_length=240)] | None = None


class Sticker(Media):
    """A sticker."""


class Location(Part):
    """A place."""

    latitude: Latitude
    longitude: Longitude
    name: Short | None = None
    address: Short | None = None


class PersonName(Part):
    """A person's name; formatted_name is what is shown."""

    formatted_name: Annotated[str, Meta(min_length=1, max_length=512)]
    first_name: Short | None = None
    last_name: Short | None = None
    middle_name: Short | None = None
    suffix: Short | None = None
    prefix: Short | None = None


class Phone(Part):
    """A phone number on a card."""

    phone: Short
    type: Short | None = None
    wa_id: Short | None = None


class Email(Part):
    """An e-mail address on a card."""

    email: Short
    type: Short | None = None


class Url(Part):
    """A web address on a card."""

    url: Short
    type: Short | None = None


class Address(Part):
    """A postal address on a card."""

    street: Short | None = None
    city: Short | None = None
    state: Short | None = None
    zip: Short | None = None
    country: Short | None = None
    country_code: Short | None = None
    type: Short | None = None


class Company(Part):
    """Where somebody works."""

    company: Short | None = None
    department: Short | None = None
    title: Short | None = None


class Card(Part):
    """A contact card."""

    name: PersonName
    phones: list[Phone] | None = None
    emails: list[Email] | None = None
    urls: list[Url] | None = None
    addresses: list[Address] | None = None
    org: Company | None = None
    birthday: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None


class Reaction(Struct, forbid_unknown_fields=True, kw_only=True):
    """A reaction to a message; an empty emoji takes it back."""

    message_id: Id
    emoji: Annotated[str, Meta(max_length=32)] = field(default="")


Cards = Annotated[list[Card], Meta(min_length=1, max_length=MOST_CONTACTS)]

FREE_FORM: dict[str, Any] = {
    "text": Text,
    "image": Captioned,
    "video": Captioned,
    "audio": Audio,
    "document": Document,
    "sticker": Sticker,
    "location": Location,
    "contacts": Cards,
    "reaction": Reaction,
}
