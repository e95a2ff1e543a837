"""Rows of the consent app."""

from __future__ import annotations

from datetime import timedelta

import factory
from django.utils import timezone

from consent.models import Consent, Contact, Decision, Purpose, Source
from tests.factories.orgs import OrganizationFactory


class ContactFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Contact

    org = factory.SubFactory(OrganizationFactory)
    phone = factory.Sequence(lambda n: f"+1303555{n % 10_000:04}")


class ConsentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Consent

    org = factory.SelfAttribute("contact.org")
    contact = factory.SubFactory(ContactFactory)
    purpose = Purpose.TRANSACTIONAL
    status = Decision.GRANTED
    source = Source.API
    decided_at = factory.LazyFunction(lambda: timezone.now() - timedelta(days=1))
