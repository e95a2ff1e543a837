"""The page of one message, in the place of the form that Django makes of its columns."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from consent.phones import mask
from console.message import timeline
from messaging import explaining, queries
from messaging.admin import drawing
from messaging.admin.messages import COLOURS, OutboundMessageAdmin
from messaging.models import OutboundMessage
from messaging.states import Status
from messaging.waiting import Board
from orgs import database, staff

# Of others there is nothing to explain: they are with the provider, or at their end.
EXPLAINED = frozenset({Status.QUEUED, Status.FAILED})

admin.site.unregister(OutboundMessage)


@admin.register(OutboundMessage)
class MessageAdmin(OutboundMessageAdmin):
    """The list of messages, each with its page."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the message; nothing is changed here but by its buttons."""
        del form_url
        message = self.get_object(request, object_id)
        if message is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(
                request, self.opts, object_id
            )
            return missing
        if not self.has_view_permission(request, message):
            raise PermissionDenied
        now = database.now()
        board = Board.at(now) if message.status in EXPLAINED else None
        context = {
            **self.admin_site.each_context(request),
            **_told(message, staff.reach(request.user), now),
            "waiting": board.of(message) if board else None,
            "title": f"Message …{str(message.pk)[-12:]}",
            "opts": self.opts,
            "original": message,
            "buttons": self._buttons(request, message),
            "content_url": self._content_url(request, message),
            **(extra_context or {}),
        }
        if board and "explain" in request.GET:
            context["rules"] = explaining.explain(message, board, staff.reach(request.user))
        return TemplateResponse(request, "console/message.html", context)

    def _content_url(self, request: HttpRequest, message: OutboundMessage) -> str:
        """Return where the real values are shown; "" for those who may not see them."""
        if not self.has_open_permission(request):
            return ""
        return reverse("admin:messaging_outboundmessage_show_content", args=[message.pk])

    def _buttons(self, request: HttpRequest, message: OutboundMessage) -> list[tuple[str, str]]:
        buttons = []
        if message.status in EXPLAINED:
            text = "Why is it not going?" if message.status == Status.QUEUED else "Would it go?"
            buttons.append((text, "?explain=1#explain"))
        may_restore = partial(self.has_restore_permission, object_id=message.pk)
        for text, action, may, only in (
            ("Requeue", "requeue_one", self.has_requeue_permission, Status.FAILED),
            ("Cancel", "cancel_one", self.has_cancel_permission, Status.QUEUED),
            ("Discard", "discard_one", self.has_discard_permission, Status.FAILED),
            ("Undo discard", "restore_one", may_restore, Status.CANCELLED),
            ("Show the recipient", "show_recipient", self.has_unmask_permission, None),
            ("Show the content", "show_content", self.has_open_permission, None),
        ):
            if only in {None, message.status} and may(request):
                address = reverse(f"admin:messaging_outboundmessage_{action}", args=[message.pk])
                buttons.append((text, address))
        return buttons


def _told(message: OutboundMessage, reach: Collection[int] | None, now: datetime) -> dict[str, Any]:
    """Return what the page tells, for whoever may see the message."""
    title, advice = queries.explain(message.error_code) if message.error_code else ("", "")
    return {
        "message": message,
        "recipient": mask(message.to_recipient) or "erased",
        "status": Status(message.status).label,
        "tone": COLOURS[Status(message.status)],
        "error_title": title,
        "error_advice": advice,
        "timeline": timeline.read(message, reach, now),
        "picture": drawing.with_examples(message),
        "times": [
            (name, at)
            for name, at in (
                ("Accepted", message.created_at),
                ("Wanted at", message.scheduled_at),
                ("Due", message.due_at),
                ("Expires", message.expires_at if message.status == Status.QUEUED else None),
                ("Taken by the provider", message.accepted_at),
                ("Sent", message.sent_at),
                ("Delivered", message.delivered_at),
                ("Read", message.read_at),
                ("Failed", message.failed_at),
                ("Lease of the worker ends", message.lease_expires_at),
            )
            if at is not None
        ],
    }
