"""The app's part of /api/v1/."""

from __future__ import annotations

from django.urls import path

from messaging.api import (
    batches,
    dlq,
    health,
    inbound,
    messages,
    quota,
    sending,
    templates,
    webhooks,
)

# Webhooks are the busiest, then new messages.
urlpatterns = [
    path("webhooks/whatsapp/inbound", webhooks.WhatsAppWebhook.as_view(), name="whatsapp-webhook"),
    path(
        "webhooks/whatsapp/inbound/<str:app_id>",
        webhooks.WhatsAppWebhook.as_view(),
        name="whatsapp-webhook-app",
    ),
    path("outbound-messages", messages.MessageList.as_view(), name="message-list"),
    path("outbound-messages/batch", batches.MessageBatch.as_view(), name="message-batch"),
    path("outbound-messages/dlq", dlq.DeadLetterList.as_view(), name="dlq-list"),
    path("outbound-messages/dlq/report", dlq.DeadLetterReport.as_view(), name="dlq-report"),
    path("outbound-messages/<uuid:pk>", messages.MessageDetail.as_view(), name="message-detail"),
    path(
        "outbound-messages/<uuid:pk>/cancel",
        messages.CancelMessage.as_view(),
        name="message-cancel",
    ),
    path(
        "outbound-messages/<uuid:pk>/retry", messages.RetryMessage.as_view(), name="message-retry"
    ),
    path("outbound-health", health.OutboundHealth.as_view(), name="outbound-health"),
    path("phone-numbers", sending.PhoneNumberList.as_view(), name="number-list"),
    path(
        "phone-numbers/<str:phone_number_id>/pause",
        sending.PausePhoneNumber.as_view(),
        name="number-pause",
    ),
    path(
        "phone-numbers/<str:phone_number_id>/resume",
        sending.ResumePhoneNumber.as_view(),
        name="number-resume",
    ),
    path("inbound-messages", inbound.InboundList.as_view(), name="inbound-list"),
    path("templates", templates.TemplateList.as_view(), name="template-list"),
    path("templates/sync", templates.SyncTemplates.as_view(), name="template-sync"),
    path("sending", sending.Sending.as_view(), name="sending"),
    path("sending/pause", sending.PauseSending.as_view(), name="sending-pause"),
    path("sending/resume", sending.ResumeSending.as_view(), name="sending-resume"),
    path("rate-limits/whatsapp/quota", quota.WhatsAppQuota.as_view(), name="whatsapp-quota"),
]
