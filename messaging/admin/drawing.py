"""A message's template as the phone shows it."""

from __future__ import annotations

from django.template.loader import render_to_string

from messaging.models import MessageTemplate, OutboundMessage
from messaging.providers.whatsapp import template_preview, template_values
from messaging.providers.whatsapp.template_preview import Picture


def with_examples(message: OutboundMessage) -> Picture | None:
    """Return it with the examples Meta has; None when the message has no template we know."""
    template = _template(message)
    return template_preview.draw(template.components) if template else None


def with_contents(message: OutboundMessage) -> str:
    """Return it with what this person is told, as HTML; for those who may open contents."""
    template = _template(message)
    if template is None:
        return ""
    values = template_values.read(message.payload)
    drawn = template_preview.draw(template.components, values.texts, values.cards)
    return render_to_string("admin/messaging/template_preview.html", {"drawn": drawn})


def _template(message: OutboundMessage) -> MessageTemplate | None:
    return MessageTemplate.objects.filter(
        account=message.phone_number.account_id,
        name=message.template_name,
        language=message.template_language,
    ).first()
