"""What every page of the console has in common: whose rows it shows, and which it never changes."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib.admin import RelatedFieldListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from unfold.admin import ModelAdmin
from unfold.mixins import BaseModelAdminMixin

from orgs import staff


class _Within(BaseModelAdminMixin):
    """Rows, and the choices of relations, within the reach of whoever is logged in."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Keep what this person may see; lists, searches, counts and actions begin here."""
        return staff.visible(super().get_queryset(request), request.user)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only what this person may see; another's id sent by hand is no valid choice."""
        field = _limited(super().formfield_for_foreignkey(db_field, request, **kwargs), request)
        if field is not None and db_field.name == "org":
            field.label = "Organisation"
        return field

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only what this person may see."""
        return _limited(super().formfield_for_manytomany(db_field, request, **kwargs), request)


class ScopedInline(_Within):
    """Mixed into every inline: the rows of a page need not all belong to one organisation."""

    # What a row is called in the log says nothing that its columns do not say better.
    hide_title = True


class Scoped(_Within, ModelAdmin):
    """Mixed into every admin class of rows that belong to an organisation.

    How a row gets to its organisation stands in its queryset class (orgs.tenancy).
    """

    # What a list says in which nothing is, and no filter is the reason.
    when_empty = ""
    # Fields that may stand in the address of the list without being among its filters.
    linked_by: tuple[str, ...] = ()

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Offer in filters by relation only what this person may see."""
        return [self._filter_within(entry) for entry in super().get_list_filter(request)]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Refuse fields that are no filter: ``?phone__startswith=`` would undo the masking."""
        name, *_rest = lookup.split("__")
        try:
            field = self.opts.pk if name == "pk" else self.opts.get_field(name)
        except FieldDoesNotExist:
            return True  # a parameter of some filter's own
        filters = super().get_list_filter(request)
        named = [entry[0] if isinstance(entry, tuple | list) else entry for entry in filters]
        allowed = {text.split("__")[0] for text in named if isinstance(text, str)}
        allowed |= {self.date_hierarchy, self.opts.pk.name, *self.linked_by}
        return field.name in allowed and bool(super().lookup_allowed(lookup, value, request))

    def row_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row of an address; raise Http404 when it is out of reach, or no id at all."""
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404
        return found

    def has_unmask_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Say whether this person may see whole phone numbers and ids."""
        return staff.may_unmask(request.user)

    def has_open_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Say whether this person may read what messages say."""
        return staff.may_open(request.user)

    def _filter_within(self, entry: Any) -> Any:
        if isinstance(entry, str) and self._is_relation(entry):
            return (entry, _within(RelatedFieldListFilter))
        if isinstance(entry, tuple | list):
            name, kind = entry
            if issubclass(kind, RelatedFieldListFilter):
                return (name, _within(kind))
        return entry

    def _is_relation(self, name: str) -> bool:
        return bool(get_fields_from_path(self.model, name)[-1].is_relation)


class OfInstallation(ModelAdmin):
    """Mixed into admin classes of what belongs to no organisation, such as users and Meta apps.

    Whoever is limited to some organisations has no page of it, whatever the permissions say.
    """

    when_empty = ""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Say whether the entry is shown."""
        return staff.reaches_all(request.user) and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only with every organisation in reach."""
        return staff.reaches_all(request.user) and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only with every organisation in reach."""
        return staff.reaches_all(request.user) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only with every organisation in reach."""
        return staff.reaches_all(request.user) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only with every organisation in reach."""
        return staff.reaches_all(request.user) and super().has_delete_permission(request, obj)


class ReadOnly:
    """Mixed into an admin class or inline whose rows only the engine writes."""

    def has_add_permission(self, *_args: Any) -> bool:
        """Nobody adds a row by hand."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        """Nobody edits a row by hand."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        """Nobody deletes a row by hand."""
        return False


def _limited(field: Any, request: HttpRequest) -> Any:
    if field is not None and hasattr(field, "queryset"):
        field.queryset = staff.visible(field.queryset, request.user)
    return field


@cache
def _within(kind: type[RelatedFieldListFilter]) -> type[RelatedFieldListFilter]:
    """Return the filter with choices only of what the person may see."""

    class Within(kind):  # type: ignore[valid-type,misc]  # a class made for this one
        def field_choices(
            self, field: Any, request: HttpRequest, model_admin: Any
        ) -> list[tuple[str, str]]:
            rows = field.related_model._default_manager.all()
            limit = None if staff.reaches_all(request.user) else staff.visible(rows, request.user)
            found: list[tuple[str, str]] = field.get_choices(
                include_blank=False,
                ordering=self.field_admin_ordering(field, request, model_admin),
                limit_choices_to=limit if limit is None else {"pk__in": limit.values("pk")},
            )
            return found

    return Within
