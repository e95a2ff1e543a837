"""Rows of the orgs app."""

from __future__ import annotations

import factory
from django.contrib.auth.models import Permission, User

from orgs.models import Membership, Organization


class OrganizationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Organization

    org_id = factory.Sequence(lambda n: f"org-{n}")
    name = factory.LazyAttribute(lambda o: o.org_id.title())


def staff_user(*codenames: str, orgs: tuple[Organization, ...] = ()) -> User:
    """Make somebody who may log in and has these rights, limited to ``orgs`` if there are any."""
    user = User.objects.create_user(f"staff-{User.objects.count()}", password="x", is_staff=True)
    rights = [*codenames, *(() if orgs else ("reach_every_organization",))]
    permissions = Permission.objects.filter(codename__in=rights)
    assert permissions.count() == len(set(rights))
    user.user_permissions.set(permissions)
    Membership.objects.bulk_create(Membership(user=user, org=org) for org in orgs)
    return user
