"""Discarding single messages in the console, and taking it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from messaging import operations
from messaging.models import Discard, OutboundMessage
from messaging.states import Status
from orgs import database


class Discarding:
    """Mixed into the pages of messages; they bring the page that asks for a reason."""

    _confirm: Callable[..., HttpResponse | None]
    _confirm_one: Callable[..., HttpResponse]
    _may: Callable[..., bool]

    @admin.action(description="Discard selected", permissions=["discard"])
    def discard_selected(
        self, request: HttpRequest, queryset: QuerySet[OutboundMessage]
    ) -> HttpResponse | None:
        """Take failed messages out of the dead letter queue."""
        return self._confirm(request, queryset, "discard", operations.discard)

    @action(description="Discard", permissions=["discard"], url_path="discard", icon="delete")
    def discard_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take this message out of the dead letter queue."""
        return self._confirm_one(request, object_id, "discard", operations.discard)

    @action(description="Undo discard", permissions=["restore"], url_path="restore", icon="undo")
    def restore_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Bring this message back as the failure it was."""
        return self._confirm_one(request, object_id, "restore", operations.restore)

    def has_discard_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may discard; on a message's page, whether it has failed."""
        return self._may(request, object_id, Status.FAILED)

    def has_restore_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may restore; on a message's page, whether it was discarded."""
        if not self._may(request, object_id, Status.CANCELLED):
            return False
        restorable = Discard.objects.restorable(database.now())
        return object_id is None or restorable.filter(pk=object_id).exists()
