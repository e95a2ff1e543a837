"""The filters of the list of messages; their choices come from small tables."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import DateField
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from messaging import activity, queries, waiting
from messaging.dead_letters.selection import NO_ERROR, moment
from messaging.models import MessageEvent, MessageTemplate, OutboundMessage, PhoneNumber
from messaging.states import Status
from orgs import database, staff
from orgs.ids import first_uuid7
from orgs.models import Organization

Messages = QuerySet[OutboundMessage]
Choices = Iterable[tuple[str, str]]

# What can be a primary key; more digits no database takes.
KEY = re.compile(r"[0-9]{1,18}")
# A list to choose from is no longer than this; the search finds the others.
MOST = 500
# Ids are made by the clocks of the web's machines, which may differ a little from the database's.
SLACK = timedelta(minutes=5)
SPANS = {
    "1h": ("The last hour", timedelta(hours=1)),
    "24h": ("The last 24 hours", timedelta(hours=24)),
    "7d": ("The last 7 days", timedelta(days=7)),
    "30d": ("The last 30 days", timedelta(days=30)),
}


class Chosen(DropdownFilter):
    """A filter by one chosen value; an empty one, as the form sends it, is none."""

    def queryset(self, request: HttpRequest, queryset: Messages) -> Messages:
        """Keep what has the chosen value; no database keeps the character NUL."""
        value = self.value()
        if value and "\0" in value:
            return queryset.none()
        return self.keep(request, queryset, value) if value else queryset

    @abstractmethod
    def keep(self, request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep what has this value."""

    def has_output(self) -> bool:
        """Also a list of one is worth seeing: it says what the filter is."""
        return True


class StatusFilter(Chosen):
    """One status, or the two of what the provider has taken."""

    title = "status"
    parameter_name = "status"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the statuses."""
        both = (f"{Status.SENT},{Status.DELIVERED}", "Sent or delivered")
        return [*Status.choices, both]

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep the messages in that status, or those."""
        wanted = value.split(",")
        return (
            queryset.filter(status=value)
            if len(wanted) == 1
            else queryset.filter(status__in=wanted)
        )


class WaitsFilter(Chosen):
    """Queued messages by what they wait for."""

    title = "what it waits for"
    parameter_name = "waits"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the reasons there are."""
        return list(waiting.REASONS.items())

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep the queued messages that wait for it, perhaps among other things."""
        if value not in waiting.REASONS:
            return queryset.none()
        return queryset.filter(waiting.condition(value, database.now()), status=Status.QUEUED)


class OrganizationFilter(Chosen):
    """One organisation, by its public id."""

    title = "organisation"
    parameter_name = "org"

    def lookups(self, request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the organisations this person may see."""
        rows = staff.visible(Organization.objects.order_by("org_id"), request.user)
        return [(org_id, org_id) for org_id in rows.values_list("org_id", flat=True)[:MOST]]

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep the organisation's messages."""
        found = Organization.objects.filter(org_id=value).values_list("pk", flat=True).first()
        return queryset.filter(org=found) if found is not None else queryset.none()


class NumberFilter(Chosen):
    """One phone number."""

    title = "number"
    parameter_name = "number"

    def lookups(self, request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the numbers this person may see, by name."""
        rows = staff.visible(PhoneNumber.objects.all(), request.user)
        rows = rows.only("display_phone_number", "phone_number_id").order_by(
            "display_phone_number", "phone_number_id"
        )
        return [(str(number.pk), str(number)) for number in rows[:MOST]]

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep what goes from that number."""
        return queryset.filter(phone_number=int(value)) if KEY.fullmatch(value) else queryset.none()


class TemplateFilter(Chosen):
    """One template by name, in all its languages and accounts."""

    title = "template"
    parameter_name = "template"

    def lookups(self, request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the names of the templates this person may see."""
        rows = staff.visible(MessageTemplate.objects.all(), request.user)
        names = rows.order_by("name").values_list("name", flat=True).distinct()
        return [(name, name) for name in names[:MOST]]

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep the messages that use it."""
        return queryset.filter(template_name=value)


class ErrorFilter(Chosen):
    """One error code, of Meta's or of ours."""

    title = "error"
    parameter_name = "error"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the codes with their meanings."""
        return [(code, f"{code} · {title}") for code, title in queries.known_codes()]

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep the messages whose last error it was."""
        return queryset.filter(error_code="" if value == NO_ERROR else value)


class PriorityFilter(Chosen):
    """High, normal or bulk."""

    title = "priority"
    parameter_name = "priority"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the priorities."""
        return [(str(value), label) for value, label in OutboundMessage.Priority.choices]

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep the messages of that priority."""
        known = {str(priority) for priority in OutboundMessage.Priority.values}
        return queryset.filter(priority=value) if value in known else queryset.none()


class SinceFilter(Chosen):
    """Accepted lately."""

    title = "time of acceptance"
    parameter_name = "since"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return the spans."""
        return [(key, text) for key, (text, _span) in SPANS.items()]

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep what was accepted in that span."""
        if value not in SPANS:
            return queryset.none()
        begin = database.now() - SPANS[value][1]
        return queryset.filter(pk__gte=first_uuid7(begin - SLACK), created_at__gte=begin)


class DayFilter(TextFilter):
    """Accepted on one day, UTC."""

    title = "day (UTC, YYYY-MM-DD)"
    parameter_name = "day"

    def queryset(self, _request: HttpRequest, queryset: Messages) -> Messages:
        """Keep what was accepted on that day."""
        text = self.value()
        if not text:
            return queryset
        try:
            day = DateField().clean(text.strip())
        except ValidationError:
            return queryset.none()
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = begin + timedelta(days=1)
        return queryset.filter(
            pk__gte=first_uuid7(begin - SLACK),
            pk__lt=first_uuid7(end + SLACK),
            created_at__gte=begin,
            created_at__lt=end,
        )


BECAME, FROM, UNTIL = "became", "became_from", "became_until"
# As the figures of the dashboard count it.
BECOMINGS = {
    "sent": "Sent",
    "delivered": "Delivered",
    "failed": "Failed, without everyday results of campaigns",
    "campaign": "Failed as an everyday result of a campaign",
}


def moves(given: Mapping[str, str]) -> QuerySet[MessageEvent] | None:
    """Return the moves that the parameters of a list ask for; None when they ask for none.

    Without a beginning it is the last day, so that not every timeline there is gets read.
    """
    became = given.get(BECAME)
    if not became:
        return None
    if became not in BECOMINGS:
        return MessageEvent.objects.none()
    try:
        begin, end = (
            moment(given[name].strip()) if given.get(name) else None for name in (FROM, UNTIL)
        )
    except ValueError:
        return MessageEvent.objects.none()
    end = end or database.now()
    return activity.counted(became, begin or end - activity.DAY, end)


class BecameFilter(Chosen):
    """What became of it in some time, whenever it was accepted."""

    title = "what became of it"
    parameter_name = BECAME

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Choices:
        """Return what is counted."""
        return list(BECOMINGS.items())

    def keep(self, request: HttpRequest, queryset: Messages, _value: str) -> Messages:
        """Keep the messages of which that became then."""
        found = moves(request.GET.dict())
        return queryset if found is None else queryset.filter(pk__in=found.values("message_id"))


class _Bound(TextFilter):
    """One end of the time; it says nothing by itself."""

    def queryset(self, _request: HttpRequest, queryset: Messages) -> Messages:
        """Leave it to what became of the messages."""
        return queryset


class BecameFromFilter(_Bound):
    """Since a day or time, UTC."""

    title = "that from (UTC, YYYY-MM-DD; else the last day)"
    parameter_name = FROM


class BecameUntilFilter(_Bound):
    """Before a day or time, UTC."""

    title = "that before (UTC, YYYY-MM-DD)"
    parameter_name = UNTIL


ALL: list[Any] = [
    StatusFilter,
    WaitsFilter,
    ErrorFilter,
    OrganizationFilter,
    NumberFilter,
    TemplateFilter,
    PriorityFilter,
    SinceFilter,
    DayFilter,
    BecameFilter,
    BecameFromFilter,
    BecameUntilFilter,
]
