"""The list of messages, which turns its pages by key as all lists of large tables do.

Ids sort by time; one organisation's messages have an index of their own, and so have the few in
some statuses.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db.models import QuerySet, prefetch_related_objects
from django.http import HttpRequest

from messaging.admin import message_filters
from messaging.models import OutboundMessage
from messaging.states import Status
from messaging.waiting import Board
from orgs import database, staff
from orgs.admin import keyset
from orgs.admin.keyset import FarEnd, KeysetChangeList
from orgs.ids import time_of
from orgs.models import Organization

# Where a listed message keeps what it waits for.
WAITING = "waiting"
# Sets that have an index of their own are read whole up to this size.
SMALL = 5_000
# Statuses with a partial index: few messages are in them, however many there are in all.
INDEXED = frozenset({Status.QUEUED, Status.SENDING, Status.FAILED})


class MessageChangeList(KeysetChangeList):
    """The list with its filters; the newest messages first."""

    of_org: int | None = None
    # What is selected is what is seen: there is no "all that match" here.
    selects_all = False

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """Take the position out of the parameters, then filter as every list does."""
        self.of_org = self._one_org(request)
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

    def dress(self, rows: list[Any]) -> None:
        """Say of each queued message what it waits for."""
        board = Board.at(database.now())
        # People lie scattered over a large table: only those are read who are asked about.
        prefetch_related_objects([row for row in rows if board.needs_person(row)], "contact")
        for message in rows:
            setattr(message, WAITING, board.of(message))

    def page(self) -> list[Any]:
        """Return the rows of the page; of few that an index finds, by their ids alone."""
        small = self._small_set()
        if small is None:
            return super().page()
        self.counted = len(small)
        return self.cut(self._among(small))

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
    def may_look_long(self) -> bool:
        """Say whether matches may lie far apart, with no index that leads from one to the next."""
        led_to = {"org", "since", "day"}
        return bool(self.query or self._of_some) or any(
            value not in ("", [""])
            for name, value in self.get_filters_params().items()
            if name not in led_to
        )

    def whole(self) -> QuerySet[OutboundMessage]:
        """Return the messages among which matches are looked for."""
        rows = OutboundMessage.objects.all()
        return rows.filter(org=self.of_org) if self.of_org else rows

    def time_of(self, key: Any) -> datetime | None:
        """Return when the message with that id was accepted, as the id tells."""
        return time_of(key)

    def older_than(self, rows: Any, place: uuid.UUID) -> Any:
        """Keep what follows that message in the list."""
        return _older_by_time(rows, place) if self.of_org else super().older_than(rows, place)

    def newer_than(self, rows: Any, place: uuid.UUID) -> Any:
        """Keep what comes before that message in the list."""
        return _newer_by_time(rows, place) if self.of_org else super().newer_than(rows, place)

    def far_end(self) -> FarEnd | None:
        """Return where a look ends, without a look at other organisations' messages.

        Their ids stay untold. Each organisation has an index of its own, and an equal share of the
        look is spent on it.
        """
        if not self._of_some:
            return super().far_end()
        share = max(1, keyset.LOOKED_AT // len(self._of_some))
        lasts: list[uuid.UUID] = []
        for org in self._of_some:
            rows: Any = OutboundMessage.objects.filter(org=org).order_by("-created_at", "-pk")
            if self.after:
                rows = _newer_by_time(rows, self.after).reverse()
            elif self.before:
                rows = _older_by_time(rows, self.before)
            lasts += rows.values_list("pk", flat=True)[share - 1 : share]
        if not lasts:
            return None
        # The nearest of the ends: up to there every organisation was looked at.
        last, step = (min(lasts), 1) if self.after else (max(lasts), -1)
        return FarEnd(last, uuid.UUID(int=last.int + step))

    @property
    def _of_some(self) -> frozenset[int]:
        """Return the organisations of somebody limited to several: those of others lie between."""
        return self.reach or frozenset() if self.of_org is None else frozenset()

    def _among(self, ids: Sequence[uuid.UUID]) -> list[OutboundMessage]:
        """Do the same when all ids are known already."""
        most = self.list_per_page + 1
        if self.after:
            chosen = [pk for pk in ids if pk > self.after][-most:]
        elif self.before:
            chosen = [pk for pk in ids if pk < self.before][:most]
        else:
            chosen = list(ids[:most])
        return sorted(self.lines(chosen), key=attrgetter("pk"), reverse=True)

    @property
    def what(self) -> str:
        """Return what is listed, whichever list of messages this is."""
        return "message" if self.counted == 1 else "messages"


def _older_by_time(rows: Any, place: uuid.UUID) -> Any:
    """Keep one organisation's messages before a place: by the time alone its index finds it."""
    at = _created_at(place)
    return rows.filter(created_at__lte=at).exclude(created_at=at, pk__gte=place)


def _newer_by_time(rows: Any, place: uuid.UUID) -> Any:
    at = _created_at(place)
    return rows.filter(created_at__gte=at).exclude(created_at=at, pk__lte=place)


def _created_at(place: uuid.UUID) -> datetime:
    """Return when the message was accepted; its id tells when it is not there any more."""
    known = OutboundMessage.objects.filter(pk=place).values_list("created_at", flat=True).first()
    return known or time_of(place)
