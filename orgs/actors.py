"""Who did something, for people to read: the audit trail names staff, keys and others by ids."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.db.models import CharField, F, OuterRef, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Concat

from orgs.models import ApiKey

# What Meta tells or decides stands under this name.
META = "provider:meta"

_STAFF = "user:"
_KEY = "key:"
_SYSTEM = "system:"
_KEY_NAMED = "API key "
_OTHERS = {"person": "The person", "meta": "Meta"}


def names(actors: Iterable[str]) -> dict[str, str]:
    """Return what to show for each actor, by two queries at most.

    The log-in name of staff, the name of a key, a word for everything else.
    """
    shown = {actor: in_words(actor) for actor in actors}
    numbers = [each for each in _ids(shown, _STAFF) if each.isdigit()]
    prefixes = _ids(shown, _KEY)
    if numbers:
        for user in get_user_model().objects.filter(pk__in=numbers):
            shown[f"{_STAFF}{user.pk}"] = user.get_username()
    if prefixes:
        found = ApiKey.objects.filter(prefix__in=prefixes)
        for prefix, name in found.values_list("prefix", "name"):
            shown[f"{_KEY}{prefix}"] = f"{_KEY_NAMED}{name}"
    return shown


def shown(column: str) -> Coalesce:
    """Return the same as an expression over a column of actors, for lists of many rows.

    What it leaves as it was is for `in_words`.
    """
    user_key = Concat(Value(_STAFF), Cast("pk", CharField()))
    users = get_user_model().objects.annotate(key=user_key).filter(key=OuterRef(column))
    keys = ApiKey.objects.annotate(key=Concat(Value(_KEY), "prefix")).filter(key=OuterRef(column))
    named = keys.annotate(words=Concat(Value(_KEY_NAMED), "name"))
    return Coalesce(
        Subquery(users.values("username")[:1]), Subquery(named.values("words")[:1]), F(column)
    )


def in_words(actor: str) -> str:
    """Return a word for an actor that has no name of its own, others as they are."""
    if actor.startswith(_SYSTEM):
        return f"Outbound ({actor.removeprefix(_SYSTEM).replace('_', ' ')})"
    if actor.startswith(_KEY):
        return f"{_KEY_NAMED}{actor.removeprefix(_KEY)}"
    return _OTHERS.get(actor, actor)


def _ids(actors: Iterable[str], kind: str) -> list[str]:
    return [actor.removeprefix(kind) for actor in actors if actor.startswith(kind)]
