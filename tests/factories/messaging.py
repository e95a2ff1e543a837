"""Rows of the messaging app."""

from __future__ import annotations

import uuid
from datetime import timedelta

import factory
from django.utils import timezone

from messaging.models import (
    BusinessAccount,
    MessageTemplate,
    MetaApp,
    OutboundAttempt,
    OutboundMessage,
    PhoneNumber,
    WebhookDelivery,
    WebhookEvent,
)
from messaging.states import Status
from tests.factories.consent import ContactFactory
from tests.factories.orgs import OrganizationFactory

APP_SECRET = "synthetic-app-secret"


class MetaAppFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = MetaApp

    app_id = factory.Sequence(lambda n: f"30000000000{n:04}")
    name = "App"
    app_secret = APP_SECRET
    verify_token = "verify-me"


class BusinessAccountFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = BusinessAccount

    org = factory.SubFactory(OrganizationFactory)
    app = factory.SubFactory(MetaAppFactory)
    waba_id = factory.Sequence(lambda n: f"10000000000{n:04}")
    access_token = "token"


class PhoneNumberFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = PhoneNumber

    org = factory.SubFactory(OrganizationFactory)
    account = factory.SubFactory(BusinessAccountFactory, org=factory.SelfAttribute("..org"))
    phone_number_id = factory.Sequence(lambda n: f"20000000000{n:04}")
    messages_per_second = 1000  # tests that are not about the rate do not wait for it


class MessageFactory(factory.django.DjangoModelFactory):
    """A queued template message; give ``status`` for one further on, shaped as the table wants."""

    class Meta:
        model = OutboundMessage

    class Params:
        at = factory.LazyFunction(timezone.now)

    org = factory.SelfAttribute("phone_number.org")
    phone_number = factory.SubFactory(PhoneNumberFactory)
    contact = factory.SubFactory(ContactFactory, org=factory.SelfAttribute("..phone_number.org"))
    to_recipient = factory.SelfAttribute("contact.phone")
    kind = "template"
    template_name = "order_update"
    template_language = "en_US"
    payload = factory.LazyFunction(lambda: {"name": "order_update", "language": {"code": "en_US"}})
    category = OutboundMessage.Category.UTILITY
    purpose = "transactional"
    status = Status.QUEUED
    max_attempts = 5
    created_at = factory.SelfAttribute("at")
    updated_at = factory.SelfAttribute("at")
    expires_at = factory.LazyAttribute(lambda o: o.at + timedelta(days=7))
    due_at = factory.LazyAttribute(lambda o: o.at if o.status == Status.QUEUED else None)
    claim_id = factory.LazyAttribute(lambda o: uuid.uuid4() if o.status == Status.SENDING else None)
    lease_expires_at = factory.LazyAttribute(
        lambda o: o.at + timedelta(seconds=60) if o.status == Status.SENDING else None
    )
    failed_at = factory.LazyAttribute(lambda o: o.at if o.status == Status.FAILED else None)
    request_fingerprint = "0" * 64


class AttemptFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = OutboundAttempt

    message = factory.SubFactory(MessageFactory)
    attempt_number = 1
    claim_id = factory.LazyFunction(uuid.uuid4)
    started_at = factory.LazyFunction(timezone.now)


class TemplateFactory(factory.django.DjangoModelFactory):
    """An approved template with two placeholders in its body."""

    class Meta:
        model = MessageTemplate

    org = factory.SelfAttribute("account.org")
    account = factory.SubFactory(BusinessAccountFactory)
    template_id = factory.Sequence(lambda n: f"40000000000{n:04}")
    name = "order_update"
    language = "en_US"
    status = MessageTemplate.Status.APPROVED
    category = "UTILITY"
    parameter_format = "POSITIONAL"
    components = factory.LazyFunction(
        lambda: [{"type": "BODY", "text": "Hi {{1}}, order {{2}} has been shipped."}]
    )
    updated_at = factory.LazyFunction(timezone.now)


class DeliveryFactory(factory.django.DjangoModelFactory):
    """A processed delivery; ``events`` are the ids of the organisations it tells of."""

    class Meta:
        model = WebhookDelivery
        skip_postgeneration_save = True

    app = factory.SubFactory(MetaAppFactory)
    received_at = factory.LazyFunction(timezone.now)
    body = b'{"entry": []}'
    status = WebhookDelivery.Status.DONE

    @factory.post_generation
    def events(self, create, org_ids, **_kwargs):
        for position, org_id in enumerate(org_ids or []):
            WebhookEvent.objects.create(
                delivery=self,
                org_id=org_id,
                topic="messages",
                result=WebhookEvent.Result.KEPT,
                recorded_at=self.received_at,
                position=position,
            )
