"""Which organisations a person who logs in to the console may see, and what of the people in them.

Roles say what somebody may do; *reach* says for whom:

- a superuser reaches every organisation;
- somebody with memberships reaches those organisations and no other, whatever the groups say;
- somebody without any reaches every organisation with ``orgs.reach_every_organization``, else none.

What belongs to no organisation (users, Meta apps, a webhook that touches two) is for those who
reach every one.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model, QuerySet

from orgs.models import Membership
from orgs.tenancy import TenantQuerySet

EVERY_ORGANIZATION = "orgs.reach_every_organization"

User = AbstractBaseUser | AnonymousUser

_Rows = TypeVar("_Rows", bound=QuerySet[Any])
_REMEMBERED = "_outbound_reach"


def reach(user: User) -> frozenset[int] | None:
    """Return the ids of the organisations this person may see; None means every one.

    Asked once for each user object, and a request has its own.
    """
    if not hasattr(user, _REMEMBERED):
        setattr(user, _REMEMBERED, _reach(user))
    found: frozenset[int] | None = getattr(user, _REMEMBERED)
    return found


def reaches_all(user: User) -> bool:
    """Say whether this person may see every organisation and what belongs to none."""
    return reach(user) is None


def reaches(user: User, org_id: int | None) -> bool:
    """Say whether this person may see what belongs to the organisation, or to none (None)."""
    found = reach(user)
    return found is None or org_id in found


def visible(rows: _Rows, user: User) -> _Rows:
    """Keep the rows this person may see.

    A model whose default manager is no TenantQuerySet belongs to the installation.
    """
    found = reach(user)
    if found is None:
        return rows
    if isinstance(rows, TenantQuerySet):
        return rows.of_any(found)
    return rows.none()


def may_unmask(user: User) -> bool:
    """Say whether this person may see whole phone numbers and ids; each look is audited."""
    return _has(user, "orgs.unmask_person")


def may_open(user: User) -> bool:
    """Say whether this person may read what messages say; each look is audited."""
    return _has(user, "orgs.open_content")


def actor(user: User) -> str:
    """Return how the audit trail names this person."""
    return f"user:{user.pk}"


def org_id_of(row: Model) -> int | None:
    """Return the organisation an audit row about this row belongs to; None: the installation."""
    found: int | None = row.pk if row._meta.label == "orgs.Organization" else None
    return getattr(row, "org_id", found)


def _reach(user: User) -> frozenset[int] | None:
    if not user.is_active:
        return frozenset()
    if getattr(user, "is_superuser", False):
        return None
    member_of = frozenset(Membership.objects.filter(user=user.pk).values_list("org_id", flat=True))
    if not member_of and _has(user, EVERY_ORGANIZATION):
        return None
    return member_of


def _has(user: User, permission: str) -> bool:
    # Whoever may log in to the console is a user with permissions.
    return bool(user.has_perm(permission))  # type: ignore[union-attr]
