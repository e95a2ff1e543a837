"""Writing a test message, seeing it beforehand, and following it to the phone."""

from __future__ import annotations

import secrets
import uuid
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from consent.phones import mask
from console.testing import sending
from console.testing.forms import ChoiceForm, ValuesForm
from messaging.models import MessageTemplate, OutboundMessage, PhoneNumber
from messaging.providers.whatsapp import template_preview, template_slots
from messaging.states import Status
from messaging.waiting import Board
from orgs import database, staff
from orgs.problems import Problem

# A page left open asks no longer than this.
FOLLOWED_FOR = timedelta(minutes=10)
_ENDED = frozenset({Status.FAILED, Status.CANCELLED})
_COLOURS = {
    Status.DELIVERED: "success",
    Status.FAILED: "danger",
    Status.CANCELLED: "default",
}


def write(request: HttpRequest) -> HttpResponse:
    """Show the form for what is chosen; send what comes back, or say why not."""
    _check_right(request)
    asked = request.POST if request.method == "POST" else request.GET
    choice = ChoiceForm(asked or None, _numbers(request))
    context: dict[str, Any] = {"choice": choice}
    if choice.is_valid():
        number, template = choice.cleaned_data["number"], choice.cleaned_data["template"]
        typed = request.POST if request.method == "POST" else None
        values = ValuesForm(typed, template, initial={"token": secrets.token_hex(16)})
        if values.is_valid():
            message = _send(request, number, template, values)
            if message is not None:
                return redirect(reverse("console:test-sent", args=[message.pk]))
        context |= {
            "values": values,
            "number": number,
            "template": template,
            "not_typed": template_slots.not_typed(values.shape),
            "drawn": _drawn(template, values),
        }
    elif request.method == "GET":
        # Half a choice is no mistake.
        choice.errors.clear()
    return _page(request, "console/testing/write.html", "Send a test message", context)


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """Return the template as the phone shows it with what is typed so far."""
    _check_right(request)
    choice = ChoiceForm(request.POST, _numbers(request))
    if not choice.is_valid():
        return HttpResponse(status=204)
    template = choice.cleaned_data["template"]
    drawn = _drawn(template, ValuesForm(request.POST, template))
    return render(request, "admin/messaging/template_preview.html", {"drawn": drawn})


def follow(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show how far a test message has come; the page asks again by itself."""
    context = _progress(_sent(request, pk))
    return _page(request, "console/testing/follow.html", "Test message", context)


def now(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Return the part of the page that changes."""
    return render(request, "console/testing/progress.html", _progress(_sent(request, pk)))


def _check_right(request: HttpRequest) -> None:
    if not request.user.has_perm("messaging.add_outboundmessage"):
        raise PermissionDenied


def _numbers(request: HttpRequest) -> QuerySet[PhoneNumber]:
    """Return the active numbers this person may see, as the list of numbers has it."""
    visible: QuerySet[PhoneNumber] = admin.site.get_model_admin(PhoneNumber).get_queryset(request)
    active = visible.filter(is_active=True, org__is_active=True)
    return active.select_related("org", "account").order_by("org__org_id", "pk")


def _send(
    request: HttpRequest, number: PhoneNumber, template: MessageTemplate, values: ValuesForm
) -> OutboundMessage | None:
    """Return the message, or None with the reasons in the form."""
    try:
        return sending.send(
            number,
            template,
            to=values.cleaned_data["to"],
            components=values.components(),
            token=values.cleaned_data["token"],
            actor=staff.actor(request.user),
        )
    except Problem as problem:
        for field, text in sending.told(problem):
            values.add_error(field, text)
        return None


def _drawn(template: MessageTemplate, values: ValuesForm) -> template_preview.Picture:
    typed = template_slots.by_part(values.slots, values.typed())
    return template_preview.draw(template.components, typed)


def _sent(request: HttpRequest, pk: uuid.UUID) -> OutboundMessage:
    _check_right(request)
    messages = OutboundMessage.objects.filter(
        reference=sending.REFERENCE, phone_number__in=_numbers(request)
    )
    return get_object_or_404(
        messages.select_related("phone_number__account__app", "phone_number__org", "contact"),
        pk=pk,
    )


def _progress(message: OutboundMessage) -> dict[str, Any]:
    at = database.now()
    ended = message.status in _ENDED or message.read_at is not None
    return {
        "message": message,
        "to": mask(message.to_recipient),
        "colour": _COLOURS.get(Status(message.status), "info"),
        "waiting": Board.at(at).of(message),
        "events": message.events.order_by("id"),
        "ended": ended,
        "asks_again": not ended and at - message.created_at < FOLLOWED_FOR,
    }


def _page(request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
    everywhere = admin.site.each_context(request)
    return TemplateResponse(request, template, {**everywhere, "title": title, **context})
