"""The tables of the app, by life cycle."""

from messaging.models.accounts import BusinessAccount, MetaApp, PhoneNumber, ServiceWindow
from messaging.models.health import HealthReport
from messaging.models.heartbeats import Heartbeat
from messaging.models.inbound import InboundMessage
from messaging.models.messages import (
    DeadLetter,
    MessageEvent,
    OutboundAttempt,
    OutboundMessage,
)
from messaging.models.notices import ProviderNotice
from messaging.models.people import Erasure
from messaging.models.templates import MessageTemplate
from messaging.models.webhooks import WebhookDelivery, WebhookEvent

__all__ = [
    "BusinessAccount",
    "DeadLetter",
    "Erasure",
    "HealthReport",
    "Heartbeat",
    "InboundMessage",
    "MessageEvent",
    "MessageTemplate",
    "MetaApp",
    "OutboundAttempt",
    "OutboundMessage",
    "PhoneNumber",
    "ProviderNotice",
    "ServiceWindow",
    "WebhookDelivery",
    "WebhookEvent",
]
