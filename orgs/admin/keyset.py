"""Lists of large tables: pages by key instead of by number, so that millions of rows open at once.

Keys grow with time, so the newest page is the end of the primary key's index and every further one
begins where the last ended. How many rows there are is guessed by the database, never counted.
What no index leads to is looked for in so many rows at a time, and the page says how far it has
looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django.contrib.admin import ShowFacets
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from orgs import database, staff

BEFORE, AFTER = "before", "after"
# What no index finds is looked for in this many rows at a time.
LOOKED_AT = 50_000
# Lists of middling size are counted, and paged, no further.
COUNTED = 10_000


class FarEnd(NamedTuple):
    """The last row of a look, and the one after it."""

    last: Any
    next: Any


class KeysetPaginator(Paginator[Any]):
    """Carries the template that draws the links; the list itself turns the pages."""

    template_name = "admin/orgs/pages.html"


class BoundedPaginator(Paginator[Any]):
    """For lists that are seldom long: it counts, and leads, no further than COUNTED rows."""

    @cached_property
    def count(self) -> int:
        """Return how many rows the pages have."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count())


class KeysetChangeList(ChangeList):
    """The list with its filters; the newest rows first."""

    before: Any = None
    after: Any = None
    # For the template: where the neighbouring pages begin; "" when there is none.
    older = ""
    newer = ""
    further = ""
    looked_back_to: datetime | None = None
    counted = 0
    is_estimate = False
    # Whether an action may take all that match, not only what is seen.
    selects_all = True

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """Take the position out of the parameters, then filter as every list does."""
        self.reach = staff.reach(request.user)
        others = request.GET.copy()
        for name in (BEFORE, AFTER):
            others.pop(name, None)
            if name in self.params:
                setattr(self, name, self._key(self.params.pop(name)))
                self.filter_params.pop(name, None)
        # The filters' form hands on every parameter: another filter begins with the newest.
        request.GET = others  # type: ignore[assignment]  # as good as the immutable one
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, _request: HttpRequest, _queryset: Any) -> list[str]:
        """Order as the primary key's index does."""
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and whether there is more on either side."""
        del request
        rows = self.page()
        self.dress(rows)
        self.result_list = rows
        self.result_count = max(self.counted, len(rows)) if self.selects_all else len(rows)
        self.full_result_count = self.result_count
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = False
        self.multi_page = False
        self.paginator = KeysetPaginator(rows, self.list_per_page)

    def dress(self, rows: list[Any]) -> None:
        """Add what the lines of a page need beyond their rows."""

    def page(self) -> list[Any]:
        """Return the rows of the page."""
        self.counted, self.is_estimate = database.estimate(self.queryset), True
        rows = self.queryset
        end = self.far_end() if self.may_look_long else None
        if end is not None:
            rows = self._beyond(rows, end.next)
        page = self.cut(self._beside(rows))
        if end is not None:
            self._look_further(end.last)
        elif not (self.older or self.newer):
            self.counted, self.is_estimate = len(page), False
        return page

    @property
    def may_look_long(self) -> bool:
        """Say whether matches may lie far apart, with no index that leads from one to the next."""
        if self.query:
            return False  # searches are exact and look up an index
        led_to = self.model_admin.led_to
        among_others = self.reach is not None and not (len(self.reach) == 1 and "org" in led_to)
        return among_others or any(
            name.split("__")[0] not in led_to
            for name, value in self.get_filters_params().items()
            if value not in ("", [""])
        )

    def whole(self) -> QuerySet[Any]:
        """Return the rows among which matches are looked for."""
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows

    def time_of(self, key: Any) -> datetime | None:
        """Return the time of a row, to say how far a look has come."""
        rows = self.model._default_manager.filter(pk=key)
        found: datetime | None = rows.values_list(self.model_admin.told_by, flat=True).first()
        return found

    def older_than(self, rows: Any, place: Any) -> Any:
        """Keep what follows that row in the list."""
        return rows.filter(pk__lt=place)

    def newer_than(self, rows: Any, place: Any) -> Any:
        """Keep what comes before that row in the list."""
        return rows.filter(pk__gt=place)

    def lines(self, ids: Sequence[Any]) -> list[Any]:
        """Return the rows with these keys, in the list's order, with all that a line shows."""
        return list(self.queryset.filter(pk__in=ids))

    def cut(self, rows: list[Any]) -> list[Any]:
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

    def _key(self, text: str) -> Any:
        """Return the key in the address; None for what can be none."""
        try:
            return self.lookup_opts.pk.to_python(text)
        except ValidationError:
            return None

    def _from_here(self, rows: Any) -> Any:
        """Return the rows from the position on, in the direction in which the page is read."""
        if self.after:
            return self.newer_than(rows, self.after).reverse()
        return self.older_than(rows, self.before) if self.before else rows

    def _beside(self, rows: Any) -> list[Any]:
        """Return one row more than a page, from the position on and in the list's order."""
        most = self.list_per_page + 1
        # The keys first: with all that a line shows joined to it, the way may be another.
        return self.lines(list(self._from_here(rows).values_list("pk", flat=True)[:most]))

    def _beyond(self, rows: Any, place: Any) -> Any:
        """Keep what comes before that place in the direction in which the page is read."""
        return self.older_than(rows, place) if self.after else self.newer_than(rows, place)

    def far_end(self) -> FarEnd | None:
        """Return where a look at LOOKED_AT rows ends; None when that takes in all."""
        rows = self._from_here(self.whole().order_by(*self.queryset.query.order_by))
        found = list(rows.values_list("pk", flat=True)[LOOKED_AT - 1 : LOOKED_AT + 1])
        return FarEnd(*found) if len(found) > 1 else None

    def _look_further(self, last: Any) -> None:
        """Offer to go on from where the look ended, when that is what ended the page."""
        if self.after:
            self.newer = self.newer or str(last)
        elif not self.older:
            self.further = str(last)
            self.looked_back_to = self.time_of(last)

    def _address_of(self, name: str, place: str) -> str:
        return str(self.get_query_string({name: place})) if place else ""

    @property
    def older_url(self) -> str:
        """Return where the next older page is."""
        return self._address_of(BEFORE, self.older)

    @property
    def newer_url(self) -> str:
        """Return where the next newer page is."""
        return self._address_of(AFTER, self.newer)

    @property
    def further_url(self) -> str:
        """Return where the look goes on."""
        return self._address_of(BEFORE, self.further)

    @property
    def newest_url(self) -> str:
        """Return the first page, when this is not it."""
        return str(self.get_query_string()) if self.before or self.after else ""

    @property
    def what(self) -> str:
        """Return what is listed, in a word."""
        opts = self.opts
        return str(opts.verbose_name if self.counted == 1 else opts.verbose_name_plural)


class ByKey(ModelAdmin[Any]):
    """Mixed into the pages of large tables; the key of such a table grows with time."""

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by: ClassVar[list[str]] = []
    # Names of the filters that an index serves together with the key.
    led_to: frozenset[str] = frozenset()
    # The field that says when a row was written.
    told_by = "created_at"

    def get_changelist(self, _request: HttpRequest, **_extra: Any) -> type[KeysetChangeList]:
        """Return the list that turns its pages by key."""
        return KeysetChangeList
