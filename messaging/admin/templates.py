"""Message templates as the phone shows them, and reading them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from messaging import template_sync
from messaging.models import BusinessAccount, MessageTemplate
from messaging.models.templates import Sendable
from messaging.providers.whatsapp import template_preview
from orgs import staff
from orgs.admin.access import ReadOnly, Scoped

COLOURS = {Sendable.YES: "success", Sendable.LATER: "warning", Sendable.NEVER: "danger"}
QUALITY_COLOURS = {"GREEN": "success", "YELLOW": "warning", "RED": "danger"}


@admin.register(MessageTemplate)
class MessageTemplateAdmin(ReadOnly, Scoped, ModelAdmin[MessageTemplate]):
    """Our copy of what Meta has; changed at Meta, read here."""

    list_display = [
        "name",
        "language",
        "state",
        "category",
        "rating",
        "org",
        "account",
        "updated_at",
    ]
    list_filter = ["status", "category", "quality", "language", "org"]
    linked_by = ("account",)
    list_select_related = ["org", "account"]
    search_fields = ["name", "template_id"]
    search_help_text = "Name or Meta's id."
    ordering = ["name", "language"]
    when_empty = (
        "Templates are made at Meta and read from there a minute after a number is connected."
    )
    actions_list = ["read_again"]
    fields = [
        "preview",
        "name",
        "language",
        "status",
        "reason",
        "category",
        "next_category",
        "quality",
        "parameter_format",
        "template_id",
        "account",
        "org",
        "updated_at",
    ]
    readonly_fields = ["preview"]

    @display(description="Status", label=COLOURS, ordering="status")
    def state(self, template: MessageTemplate) -> tuple[Sendable, str]:
        """Return Meta's word, coloured by what becomes of messages."""
        words: Mapping[str, str] = dict(MessageTemplate.Status.choices)
        return template.sendable, words.get(template.status, template.status)

    @display(description="Quality", label=QUALITY_COLOURS, ordering="quality")
    def rating(self, template: MessageTemplate) -> tuple[str, str]:
        """Return the quality Meta has rated it with."""
        return template.quality, template.quality.capitalize() or "–"

    @display(description="Preview")
    def preview(self, template: MessageTemplate) -> SafeString:
        """Draw it as the phone shows it, with the examples Meta has."""
        drawn = template_preview.draw(template.components)
        return render_to_string("admin/messaging/template_preview.html", {"drawn": drawn})

    @action(description="Read from Meta now", url_path="read-again", permissions=["read_again"])
    def read_again(self, request: HttpRequest) -> HttpResponse:
        """Ask; then have the templates of all accounts in reach read by a worker."""
        accounts = staff.visible(BusinessAccount.objects.all(), request.user)
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": "Read the templates from Meta",
                "opts": self.opts,
                "count": accounts.count(),
            }
            return TemplateResponse(request, "admin/messaging/read_templates.html", context)
        count = template_sync.ask_for(accounts)
        text = f"The templates of {count} account(s) are read now; reload in a moment."
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:messaging_messagetemplate_changelist"))

    def has_read_again_permission(self, request: HttpRequest, *_args: Any) -> bool:
        """Say whether this person may have Meta asked."""
        return bool(request.user.has_perm("messaging.read_templates"))
