"""Who did something, for people to read: the audit trail names staff by their ids."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.db.models import CharField, F, OuterRef, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Concat

_STAFF = "user:"


def names(actors: Iterable[str]) -> dict[str, str]:
    """Return what to show for each actor: the log-in name of staff, others as they are."""
    shown = {actor: actor for actor in actors}
    ids = [actor.removeprefix(_STAFF) for actor in shown if actor.startswith(_STAFF)]
    numbers = [each for each in ids if each.isdigit()]
    if numbers:
        for user in get_user_model().objects.filter(pk__in=numbers):
            shown[f"{_STAFF}{user.pk}"] = user.get_username()
    return shown


def shown(column: str) -> Coalesce:
    """Return the same as an expression over a column of actors, for lists of many rows."""
    key = Concat(Value(_STAFF), Cast("pk", CharField()))
    found = get_user_model().objects.annotate(key=key).filter(key=OuterRef(column))
    return Coalesce(Subquery(found.values("username")[:1]), F(column))
