"""Interactive messages: reply buttons, lists, links, flows, location requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from messaging.providers.whatsapp.content_rules import (
    ContentError,
    HttpsLink,
    Media,
    Part,
    Text20,
    Text24,
    Text60,
    Text72,
    Text256,
    Text1024,
    Text4096,
    check_unique,
)

MOST_ROWS = 10  # over all sections of a list


class Header(Part):
    """What stands above the text."""

    type: Literal["text", "image", "video", "document"]
    text: Text60 | None = None
    image: Media | None = None
    video: Media | None = None
    document: Media | None = None

    def check(self, path: str) -> None:
        """Raise ContentError unless what the type names is there, and nothing else."""
        for name in ("text", "image", "video", "document"):
            value = getattr(self, name)
            if (value is not None) != (name == self.type):
                code = "required" if name == self.type else "unexpected"
                raise ContentError(
                    f"{path}.{name}", code, f"A {self.type} header holds {self.type}."
                )
            if isinstance(value, Media):
                value.check(f"{path}.{name}")


class Body(Part):
    """The text itself."""

    text: Text1024


class LongBody(Part):
    """The text of a list, which may be longer."""

    text: Text4096


class Footer(Part):
    """Small print."""

    text: Text60


class Reply(Part):
    """What a button sends back."""

    id: Text256
    title: Text20


class Button(Struct, forbid_unknown_fields=True, kw_only=True):
    """A reply button."""

    type: Literal["reply"]
    reply: Reply


class Row(Part):
    """A line of a list."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    title: Text24
    description: Text72 | None = None


class Section(Part):
    """A group of lines."""

    rows: Annotated[list[Row], Meta(min_length=1, max_length=MOST_ROWS)]
    title: Text24 | None = None


class UrlParameters(Part):
    """A button that opens a page."""

    display_text: Text20
    url: HttpsLink


class FlowParameters(Part):
    """A button that starts a flow."""

    flow_message_version: Annotated[str, Meta(max_length=8)]
    flow_cta: Annotated[str, Meta(min_length=1, max_length=30)]
    flow_token: Annotated[str, Meta(max_length=512)] | None = None
    flow_id: Annotated[str, Meta(max_length=64)] | None = None
    flow_name: Annotated[str, Meta(max_length=512)] | None = None
    mode: Literal["draft", "published"] | None = None
    flow_action: Literal["navigate", "data_exchange"] | None = None
    flow_action_payload: dict[str, Any] | None = None


class ReplyButtons(Part):
    """Up to three buttons."""

    buttons: Annotated[list[Button], Meta(min_length=1, max_length=3)]


class ListMenu(Part):
    """A menu that opens at a button."""

    button: Text20
    sections: Annotated[list[Section], Meta(min_length=1, max_length=10)]


class OpenUrl(Part):
    """One link as a button."""

    name: Literal["cta_url"]
    parameters: UrlParameters


class StartFlow(Part):
    """One flow."""

    name: Literal["flow"]
    parameters: FlowParameters


class AskLocation(Part):
    """The person is asked for their place."""

    name: Literal["send_location"]


class _WithHeader(Part, kw_only=True):
    """What most interactive messages may have around their text."""

    header: Header | None = None
    footer: Footer | None = None

    def check(self, path: str) -> None:
        """Raise ContentError for a header that does not hold what its type says."""
        if self.header is not None:
            self.header.check(f"{path}.header")


class ButtonMessage(_WithHeader, kw_only=True, tag_field="type", tag="button"):
    """A text with reply buttons."""

    body: Body
    action: ReplyButtons

    def check(self, path: str) -> None:
        """Raise ContentError also for buttons that cannot be told apart."""
        super().check(path)
        replies = [button.reply for button in self.action.buttons]
        check_unique(f"{path}.action.buttons", [reply.id for reply in replies], "button id")
        check_unique(f"{path}.action.buttons", [reply.title for reply in replies], "button title")


class ListMessage(_WithHeader, kw_only=True, tag_field="type", tag="list"):
    """A text with a menu."""

    body: LongBody
    action: ListMenu

    def check(self, path: str) -> None:
        """Raise ContentError also for too many rows, or rows that cannot be told apart."""
        super().check(path)
        if self.header is not None and self.header.type != "text":
            raise ContentError(f"{path}.header.type", "invalid", "A list has a text header.")
        sections = self.action.sections
        where = f"{path}.action.sections"
        rows = [row for section in sections for row in section.rows]
        if len(rows) > MOST_ROWS:
            detail = f"At most {MOST_ROWS} rows over all sections."
            raise ContentError(where, "too_many", detail)
        if len(sections) > 1 and any(section.title is None for section in sections):
            raise ContentError(where, "required", "With several sections each needs a title.")
        check_unique(where, [row.id for row in rows], "row id")


class UrlMessage(_WithHeader, kw_only=True, tag_field="type", tag="cta_url"):
    """A text with a link as a button."""

    body: Body
    action: OpenUrl


class FlowMessage(_WithHeader, kw_only=True, tag_field="type", tag="flow"):
    """A text with a flow."""

    body: Body
    action: StartFlow

    def check(self, path: str) -> None:
        """Raise ContentError also unless exactly one flow is named."""
        super().check(path)
        flow = self.action.parameters
        if (flow.flow_id is None) == (flow.flow_name is None):
            where = f"{path}.action.parameters"
            raise ContentError(where, "one_of", "Give either flow_id or flow_name.")


class LocationRequest(Part, tag_field="type", tag="location_request_message"):
    """A text with a button to send one's place."""

    body: Body
    action: AskLocation


Interactive = ButtonMessage | ListMessage | UrlMessage | FlowMessage | LocationRequest
