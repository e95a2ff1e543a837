"""Rows of the orgs app."""

from __future__ import annotations

import factory

from orgs.models import Organization


class OrganizationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Organization

    org_id = factory.Sequence(lambda n: f"org-{n}")
    name = factory.LazyAttribute(lambda o: o.org_id.title())
