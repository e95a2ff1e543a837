"""Template messages: name, language and the values for their placeholders."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from messaging.providers.whatsapp.content_rules import (
    ContentError,
    HttpsLink,
    Id,
    Latitude,
    Longitude,
    Media,
    Part,
    Text1024,
    check_parameter_text,
)

MOST_CARDS = 10
MOST_PARAMETERS = 100
# A template has at most ten buttons; the index counts from 0.
_INDEX = Annotated[str, Meta(pattern=r"^[0-9]$")]
_INDEX_NUMBER = Annotated[int, Meta(ge=0, le=9)]


class Language(Part):
    """The language the template was made in; Meta has no fallback."""

    code: Annotated[str, Meta(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")]
    policy: Literal["deterministic"] | None = None


class TemplateMedia(Media):
    """A medium in a header."""

    filename: Annotated[str, Meta(max_length=240)] | None = None


class Currency(Part):
    """An amount of money."""

    fallback_value: Text1024
    code: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
    amount_1000: int


class DateTime(Part):
    """A date or time, as text."""

    fallback_value: Text1024


class Place(Part):
    """A place in a header."""

    latitude: Latitude
    longitude: Longitude
    name: Text1024 | None = None
    address: Text1024 | None = None


class Product(Part):
    """A product in a header."""

    product_retailer_id: Id
    catalog_id: Id | None = None


class _Parameter(Part, tag_field="type"):
    """A value for a placeholder."""

    def check(self, path: str) -> None:
        """Raise ContentError for a value Meta refuses."""


class TextParameter(_Parameter, tag="text"):
    """A text; with a name for templates whose placeholders are named."""

    text: Text1024
    parameter_name: Annotated[str, Meta(min_length=1, max_length=128)] | None = None

    def check(self, path: str) -> None:
        """Raise ContentError for a text Meta refuses."""
        check_parameter_text(f"{path}.text", self.text)


class CurrencyParameter(_Parameter, tag="currency"):
    """An amount of money."""

    currency: Currency
    parameter_name: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class DateTimeParameter(_Parameter, tag="date_time"):
    """A date or time."""

    date_time: DateTime
    parameter_name: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class ImageParameter(_Parameter, tag="image"):
    """An image in a header."""

    image: TemplateMedia

    def check(self, path: str) -> None:
        """Raise ContentError unless id or link is given."""
        self.image.check(f"{path}.image")


class VideoParameter(_Parameter, tag="video"):
    """A video in a header."""

    video: TemplateMedia

    def check(self, path: str) -> None:
        """Raise ContentError unless id or link is given."""
        self.video.check(f"{path}.video")


class DocumentParameter(_Parameter, tag="document"):
    """A document in a header."""

    document: TemplateMedia

    def check(self, path: str) -> None:
        """Raise ContentError unless id or link is given."""
        self.document.check(f"{path}.document")


class GifParameter(_Parameter, tag="gif"):
    """A moving picture in a header."""

    gif: TemplateMedia

    def check(self, path: str) -> None:
        """Raise ContentError unless id or link is given."""
        self.gif.check(f"{path}.gif")


class LocationParameter(_Parameter, tag="location"):
    """A place in a header."""

    location: Place


class ProductParameter(_Parameter, tag="product"):
    """A product in a header."""

    product: Product


class PayloadParameter(_Parameter, tag="payload"):
    """What a quick-reply button sends back."""

    payload: Annotated[str, Meta(min_length=1, max_length=256)]


class CouponParameter(_Parameter, tag="coupon_code"):
    """The code a button copies."""

    coupon_code: Annotated[str, Meta(min_length=1, max_length=20)]


class ActionParameter(_Parameter, tag="action"):
    """What a flow, catalogue or order button does; its shape is the button's own."""

    action: dict[str, Any]


class Offer(Part):
    """When an offer ends."""

    expiration_time_ms: Annotated[int, Meta(ge=0)]


class OfferParameter(_Parameter, tag="limited_time_offer"):
    """The end of a limited-time offer."""

    limited_time_offer: Offer


class TapTarget(Part):
    """Where a tap leads."""

    url: HttpsLink
    title: Text1024


class TapTargetParameter(_Parameter, tag="tap_target_configuration"):
    """The link of a picture."""

    tap_target_configuration: Annotated[list[TapTarget], Meta(min_length=1, max_length=1)]


BodyParameter = TextParameter | CurrencyParameter | DateTimeParameter
HeaderParameter = (
    TextParameter
    | CurrencyParameter
    | DateTimeParameter
    | ImageParameter
    | VideoParameter
    | DocumentParameter
    | GifParameter
    | LocationParameter
    | ProductParameter
)
ButtonParameter = TextParameter | PayloadParameter | CouponParameter | ActionParameter

# Which parameter each kind of button takes.
_BUTTON_TAKES: dict[str, type[_Parameter]] = {
    "quick_reply": PayloadParameter,
    "url": TextParameter,
    "copy_code": CouponParameter,
    "flow": ActionParameter,
    "catalog": ActionParameter,
    "mpm": ActionParameter,
    "order_details": ActionParameter,
}


def _check_all(path: str, parameters: Any) -> None:
    for position, parameter in enumerate(parameters):
        parameter.check(f"{path}.parameters[{position}]")


class HeaderComponent(Part, tag_field="type", tag="header"):
    """The value of the header."""

    parameters: Annotated[list[HeaderParameter], Meta(min_length=1, max_length=1)]

    def check(self, path: str) -> None:
        """Check the value."""
        _check_all(path, self.parameters)


class BodyComponent(Part, tag_field="type", tag="body"):
    """The values of the text."""

    parameters: Annotated[list[BodyParameter], Meta(min_length=1, max_length=MOST_PARAMETERS)]

    def check(self, path: str) -> None:
        """Check the values; either all of them have names, or none."""
        _check_all(path, self.parameters)
        named = [parameter.parameter_name is not None for parameter in self.parameters]
        if any(named) and not all(named):
            detail = "Either every parameter has a parameter_name, or none."
            raise ContentError(f"{path}.parameters", "invalid", detail)


class ButtonComponent(
    Struct, tag_field="type", tag="button", forbid_unknown_fields=True, kw_only=True
):
    """The value of one button."""

    sub_type: Literal["quick_reply", "url", "copy_code", "flow", "catalog", "mpm", "order_details"]
    index: _INDEX | _INDEX_NUMBER
    parameters: Annotated[list[ButtonParameter], Meta(min_length=1, max_length=1)]

    def __post_init__(self) -> None:
        """Bring the index into the one form Meta shows in its examples."""
        self.index = str(self.index)

    def check(self, path: str) -> None:
        """Raise ContentError when the parameter is not the button's."""
        _check_all(path, self.parameters)
        if not isinstance(self.parameters[0], _BUTTON_TAKES[self.sub_type]):
            detail = f"A {self.sub_type} button takes another type of parameter."
            raise ContentError(f"{path}.parameters[0].type", "invalid", detail)


class OfferComponent(Part, tag_field="type", tag="limited_time_offer"):
    """The end of a limited-time offer."""

    parameters: Annotated[list[OfferParameter], Meta(min_length=1, max_length=1)]

    def check(self, path: str) -> None:
        """Nothing beyond its form."""


class TapTargetComponent(Part, tag_field="type", tag="tap_target_configuration"):
    """The link of a picture."""

    parameters: Annotated[list[TapTargetParameter], Meta(min_length=1, max_length=1)]

    def check(self, path: str) -> None:
        """Nothing beyond its form."""


class CarouselCard(Part):
    """One card."""

    card_index: Annotated[int, Meta(ge=0, lt=MOST_CARDS)]
    components: list[HeaderComponent | BodyComponent | ButtonComponent]


class CarouselComponent(Part, tag_field="type", tag="carousel"):
    """Cards to scroll through."""

    cards: Annotated[list[CarouselCard], Meta(min_length=1, max_length=MOST_CARDS)]

    def check(self, path: str) -> None:
        """Check every component of every card."""
        for position, card in enumerate(self.cards):
            for place, component in enumerate(card.components):
                component.check(f"{path}.cards[{position}].components[{place}]")


Component = (
    HeaderComponent
    | BodyComponent
    | ButtonComponent
    | OfferComponent
    | TapTargetComponent
    | CarouselComponent
)


class Template(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A template with its values."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]+$", max_length=512)]
    language: Language | Annotated[str, Meta(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")]
    components: Annotated[list[Component], Meta(max_length=20)] | None = None

    def __post_init__(self) -> None:
        """Bring the language into Meta's form."""
        code = self.language if isinstance(self.language, str) else self.language.code
        self.language = Language(code=code)

    def check(self, path: str) -> None:
        """Check every component."""
        for position, component in enumerate(self.components or []):
            component.check(f"{path}.components[{position}]")
