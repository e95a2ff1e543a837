"""The page of one number: what it does now, and what can be done about it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.views.decorators.http import require_POST
from unfold.decorators import action

from console.numbers import connecting, picture
from messaging import circuit, pausing, stops
from messaging.admin import confirming
from messaging.admin.accounts import PhoneNumberAdmin
from messaging.admin.pausing import EXPLANATIONS
from messaging.models import PhoneNumber
from messaging.providers.whatsapp.api import ApiError
from orgs import database, staff
from orgs.encryption import DecryptionError
from ratelimit import holds
from ratelimit.models import Hold

PAUSES = frozenset({Hold.Cause.PAUSED_BY_STAFF, Hold.Cause.PAUSED_BY_CLIENT})
CLOSING = (
    "Calls to Meta failed one after the other, so the queue waits and one message at a time is "
    "tried. Closing lets all messages of this Meta app go at once, those of other numbers too; "
    "if calls go on failing, it opens again."
)


@admin.register(PhoneNumber)
class NumberPageAdmin(PhoneNumberAdmin):
    """A number with what it does now, what holds it, and what can be done about it."""

    change_form_outer_before_template = "console/number.html"
    actions_detail = ["send_test", "pause_number", "resume_number", "close_circuit"]
    fields = [
        "messages_per_second",
        "is_active",
        "reason",
        "display_phone_number",
        "verified_name",
        "phone_number_id",
        "org",
        "account",
        "created_at",
    ]
    readonly_fields = fields[3:]

    def get_urls(self) -> list[Any]:
        """Add the button that asks Meta."""
        ask = require_POST(self.admin_site.admin_view(self.ask_meta))
        mine = [path("<int:pk>/ask-meta/", ask, name="messaging_phonenumber_ask_meta")]
        return [*mine, *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Ask why only of whoever may change something."""
        may = self.has_change_permission(request, obj)
        return [name for name in self.fields if may or name != "reason"]

    def add_view(
        self,
        request: HttpRequest,
        _form_url: str = "",
        _extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Connect a number; a row without Meta's word for it would send nothing."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return connecting.page(self, request)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the number with the picture of its state."""
        number = self._number(request, object_id)
        context = {
            **(extra_context or {}),
            "picture": picture.draw(number, request.user),
            "may_ask_meta": self.has_change_permission(request, number),
            "callback_url": request.build_absolute_uri(
                reverse("whatsapp-webhook-app", args=[number.account.app.app_id])
            ),
        }
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def ask_meta(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask Meta whether the number may send; its stops follow the answer."""
        number = self._number(request, pk)
        if not self.has_change_permission(request, number):
            raise PermissionDenied
        try:
            health = stops.ask_now(number, actor=staff.actor(request.user))
        except (ApiError, DecryptionError) as error:
            messages.error(request, f"Meta did not tell: {error}")
        else:
            if health.can_send:
                messages.success(request, "Meta says that the number may send.")
            else:
                messages.error(request, f"Meta says that the number may not send. {health.reason}")
        return _page_of(number)

    @action(description="Send a test message", permissions=["send_test"], url_path="test")
    def send_test(self, _request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that sends one, with this number chosen."""
        return redirect(f"{reverse('console:test-message')}?number={object_id}")

    @action(description="Pause", permissions=["pause_one"], url_path="pause")
    def pause_number(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; then have the number send nothing."""
        number = self._number(request, object_id)
        wanted = confirming.instruction(request)
        if wanted is None:
            return self._ask(request, number, "pause", EXPLANATIONS["pause"])
        pausing.pause(number, wanted)
        messages.success(request, f"{number} is paused: its messages wait.")
        return _page_of(number)

    @action(description="Resume", permissions=["resume_one"], url_path="resume")
    def resume_number(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; then let the number go on."""
        number = self._number(request, object_id)
        wanted = confirming.instruction(request)
        if wanted is None:
            return self._ask(request, number, "resume", EXPLANATIONS["resume"])
        pausing.resume(number, wanted)
        messages.success(request, f"{number} is resumed.")
        return _page_of(number)

    @action(description="Close circuit", permissions=["close_circuit"], url_path="close-circuit")
    def close_circuit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; then let everything be tried again."""
        number = self._number(request, object_id)
        wanted = confirming.instruction(request)
        if wanted is None:
            return self._ask(request, number, "close", CLOSING, title="Close the circuit of")
        found = picture.circuit_of(number)
        if found is not None:
            circuit.close(found, actor=wanted.actor, reason=wanted.reason)
        messages.success(request, "The circuit is closed: everything is tried again.")
        return _page_of(number)

    def has_send_test_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Say whether this person may send messages."""
        return bool(request.user.has_perm("messaging.add_outboundmessage"))

    def has_pause_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether there is something to pause, and this person may."""
        return self.has_pause_permission(request) and not self._is_paused(request, object_id)

    def has_resume_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether there is a pause to end, and this person may."""
        return self.has_pause_permission(request) and self._is_paused(request, object_id)

    def has_close_circuit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the circuit is open, and this person reaches all that it stops."""
        if not request.user.has_perm("ratelimit.delete_hold"):
            return False
        number: PhoneNumber | None = self.get_object(request, str(object_id))
        if number is None or picture.circuit_of(number) is None:
            return False
        stopped = PhoneNumber.objects.filter(account__app=number.account.app_id)
        return staff.visible(stopped, request.user).count() == stopped.count()

    def _is_paused(self, request: HttpRequest, object_id: Any) -> bool:
        number = self.get_object(request, str(object_id))
        if number is None:
            return False
        scope = (Hold.Scope.NUMBER, number.phone_number_id)
        return any(hold.cause in PAUSES for hold in holds.active(database.now()).get(scope, []))

    def _number(self, request: HttpRequest, object_id: object) -> PhoneNumber:
        """Return a number this person may see, with account, app and organisation."""
        visible = self.get_queryset(request).select_related("account__app", "org")
        number: PhoneNumber = visible.get(pk=self.row_or_404(request, str(object_id)).pk)
        return number

    def _ask(
        self,
        request: HttpRequest,
        number: PhoneNumber,
        verb: str,
        explanation: str,
        title: str = "",
    ) -> HttpResponse:
        plan = confirming.Plan(
            verb=verb,
            title=f"{title or verb.capitalize()} {number}",
            explanation=explanation.format(count=1),
            ids=[number.pk],
        )
        return confirming.page(self, request, plan)


def _page_of(number: PhoneNumber) -> HttpResponse:
    return redirect(reverse("admin:messaging_phonenumber_change", args=[number.pk]))
