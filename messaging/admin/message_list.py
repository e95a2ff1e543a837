"""The list of messages: pages by key instead of by number, so that millions open at once.

Ids sort by time, so the newest page is the end of the primary key's index and every further one
begins where the last ended; one organisation's messages have an index of their own. What no
index finds is looked for in so many messages at a time, and the page says how far it has looked.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from django.core.paginator import Paginator
from django.db.models import QuerySet, prefetch_related_objects
from django.http import HttpRequest
from unfold.views import ChangeList

from messaging.admin import message_filters
from messaging.models import OutboundMessage
from messaging.states import Status
from messaging.waiting import Board
from orgs import database, staff
from orgs.ids import time_of
from orgs.models import Organization

BEFORE, AFTER = "before", "after"
# Where a listed message keeps what it waits for.
WAITING = "waiting"
# What no index finds is looked for in this many messages at a time.
LOOKED_AT = 50_000
# Sets that have an index of their own are read whole up to this size.
SMALL = 5_000
# Statuses with a partial index: few messages are in them, however many there are in all.
INDEXED = frozenset({Status.QUEUED, Status.SENDING, Status.FAILED})


class FarEnd(NamedTuple):
    """The last message of a look, and the one after it."""

    last: uuid.UUID
    next: uuid.UUID


class KeysetPaginator(Paginator[OutboundMessage]):
    """Carries the template that draws the links; the list itself turns the pages."""

    template_name = "admin/messaging/pages.html"


class MessageChangeList(ChangeList):
    """The list with its filters; the newest messages first."""

    of_org: int | None = None
    is_limited = False  # to some organisations: those of others lie between
    before: str | None = None
    after: str | None = None
    # For the template: where the neighbouring pages begin; "" when there is none.
    older = ""
    newer = ""
    further = ""
    looked_back_to: datetime | None = None
    counted = 0
    is_estimate = False

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """Take the position out of the parameters, then filter as every list does."""
        self.is_limited = not staff.reaches_all(request.user)
        self.of_org = self._one_org(request)
        others = request.GET.copy()
        for name in (BEFORE, AFTER):
            others.pop(name, None)
            if name in self.params:
                setattr(self, name, _uuid(self.params.pop(name)))
                self.filter_params.pop(name, None)
        # The filters' form hands on every parameter: another filter begins with the newest.
        request.GET = others  # type: ignore[assignment]  # as good as the immutable one
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, _request: HttpRequest, _queryset: Any) -> list[str]:
        """Order as the index does that leads to one organisation's messages, or to all."""
        return ["-created_at", "-pk"] if self.of_org else ["-pk"]

    def _one_org(self, request: HttpRequest) -> int | None:
        """Return the organisation whose messages alone are shown; None: there may be others."""
        chosen, reached = self.params.get("org"), staff.reach(request.user)
        if chosen and "\0" not in chosen:
            rows = staff.visible(Organization.objects.filter(org_id=chosen), request.user)
            return rows.values_list("pk", flat=True).first()
        return next(iter(reached)) if reached is not None and len(reached) == 1 else None

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and whether there is more on either side."""
        del request
        rows = self._page()
        board = Board.at(database.now())
        # People lie scattered over a large table: only those are read who are asked about.
        prefetch_related_objects([row for row in rows if board.needs_person(row)], "contact")
        for message in rows:
            setattr(message, WAITING, board.of(message))
        self.result_list = rows
        # What is selected is what is seen: there is no "all that match" here.
        self.result_count = len(rows)
        self.full_result_count = len(rows)
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = False
        self.multi_page = False
        self.paginator = KeysetPaginator(rows, self.list_per_page)

    def _page(self) -> list[OutboundMessage]:
        small = self._small_set()
        if small is not None:
            self.counted = len(small)
            return self._cut(self._among(small))
        self.counted, self.is_estimate = database.estimate(self.queryset), True
        rows = self.queryset
        end = self._far_end() if self._may_look_long else None
        if end is not None:
            rows = self._beyond(rows, end.next)
        page = self._cut(self._beside(rows))
        if end is not None:
            self._look_further(end.last)
        elif not (self.older or self.newer):
            self.counted, self.is_estimate = len(page), False
        return page

    def _small_set(self) -> list[uuid.UUID] | None:
        """Return the ids of all that match where an index finds them and they are few."""
        led_by = self._led_by()
        if not self.query and (led_by is None or database.estimate(led_by) > 10 * SMALL):
            return None
        ids = list(self.queryset.order_by().values_list("pk", flat=True)[: SMALL + 1])
        return sorted(ids, reverse=True) if len(ids) <= SMALL else None

    def _led_by(self) -> QuerySet[Any] | None:
        """Return the rows of the index that leads to all that match, if there is one."""
        if self._status in INDEXED:
            return OutboundMessage.objects.filter(status=self._status)
        return message_filters.moves(self.params)

    @property
    def _status(self) -> str:
        if self.model is not OutboundMessage:
            return Status.FAILED  # the dead letter queue
        if self.params.get("waits"):
            return Status.QUEUED
        return str(self.params.get("status", ""))

    @property
    def _may_look_long(self) -> bool:
        """Say whether matches may lie far apart, with no index that leads from one to the next."""
        led_to = {"org", "since", "day"}
        among_others = self.is_limited and self.of_org is None
        return bool(self.query or among_others) or any(
            value not in ("", [""])
            for name, value in self.get_filters_params().items()
            if name not in led_to
        )

    def _beside(self, rows: Any) -> list[OutboundMessage]:
        """Return one row more than a page, from the position on and in the list's order."""
        most = self.list_per_page + 1
        if self.after:
            rows = self._newer_than(rows, uuid.UUID(self.after)).reverse()
        elif self.before:
            rows = self._older_than(rows, uuid.UUID(self.before))
        # The ids first: with all that a line shows joined to it, the way may be another.
        return self._lines(list(rows.values_list("pk", flat=True)[:most]))

    def _lines(self, ids: Sequence[uuid.UUID]) -> list[OutboundMessage]:
        return list(self.queryset.filter(pk__in=ids))

    def _older_than(self, rows: Any, place: uuid.UUID) -> Any:
        if not self.of_org:
            return rows.filter(pk__lt=place)
        at = _created_at(place)
        # Said so that the index finds its place by the time alone.
        return rows.filter(created_at__lte=at).exclude(created_at=at, pk__gte=place)

    def _newer_than(self, rows: Any, place: uuid.UUID) -> Any:
        if not self.of_org:
            return rows.filter(pk__gt=place)
        at = _created_at(place)
        return rows.filter(created_at__gte=at).exclude(created_at=at, pk__lte=place)

    def _beyond(self, rows: Any, place: uuid.UUID) -> Any:
        """Keep what comes before that place in the direction in which the page is read."""
        return self._older_than(rows, place) if self.after else self._newer_than(rows, place)

    def _far_end(self) -> FarEnd | None:
        """Return where a look at LOOKED_AT messages ends; None when that takes in all."""
        rows = OutboundMessage.objects.order_by(*self.queryset.query.order_by)
        if self.of_org:
            rows = rows.filter(org=self.of_org)
        if self.after:
            rows = self._newer_than(rows, uuid.UUID(self.after)).reverse()
        elif self.before:
            rows = self._older_than(rows, uuid.UUID(self.before))
        found = list(rows.values_list("pk", flat=True)[LOOKED_AT - 1 : LOOKED_AT + 1])
        return FarEnd(*found) if len(found) > 1 else None

    def _among(self, ids: Sequence[uuid.UUID]) -> list[OutboundMessage]:
        """Do the same when all ids are known already."""
        most = self.list_per_page + 1
        if self.after:
            chosen = [pk for pk in ids if pk > uuid.UUID(self.after)][-most:]
        elif self.before:
            chosen = [pk for pk in ids if pk < uuid.UUID(self.before)][:most]
        else:
            chosen = list(ids[:most])
        return sorted(self._lines(chosen), key=attrgetter("pk"), reverse=True)

    def _cut(self, rows: list[OutboundMessage]) -> list[OutboundMessage]:
        """Note whether there is more, and return the page."""
        more = len(rows) > self.list_per_page
        if self.after:
            page = rows[1:] if more else rows
            self.newer = str(page[0].pk) if more else ""
            self.older = str(page[-1].pk) if page else ""
        else:
            page = rows[: self.list_per_page]
            self.older = str(page[-1].pk) if more else ""
            self.newer = str(page[0].pk) if page and self.before else ""
        return page

    def _look_further(self, last: uuid.UUID) -> None:
        """Offer to go on from where the look ended, when that is what ended the page."""
        if self.after:
            self.newer = self.newer or str(last)
        elif not self.older:
            self.further = str(last)
            self.looked_back_to = time_of(last)

    def address_of(self, name: str, place: str) -> str:
        """Return the address of the page on that side of a message."""
        return str(self.get_query_string({name: place}))

    @property
    def older_url(self) -> str:
        """Return where the next older page is."""
        return self.address_of(BEFORE, self.older) if self.older else ""

    @property
    def newer_url(self) -> str:
        """Return where the next newer page is."""
        return self.address_of(AFTER, self.newer) if self.newer else ""

    @property
    def further_url(self) -> str:
        """Return where the look goes on."""
        return self.address_of(BEFORE, self.further) if self.further else ""

    @property
    def newest_url(self) -> str:
        """Return the first page, when this is not it."""
        return str(self.get_query_string()) if self.before or self.after else ""


def _created_at(place: uuid.UUID) -> datetime:
    """Return when the message was accepted; its id tells when it is not there any more."""
    known = OutboundMessage.objects.filter(pk=place).values_list("created_at", flat=True).first()
    return known or time_of(place)


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
