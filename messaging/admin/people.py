"""The page of a person: who they are, what they agreed to, what was sent, and their rights."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from consent import contacts, quiet, suspects
from consent.admin import decisions
from consent.models import Consent, ConsentEvent, Contact
from consent.phones import mask, searched
from messaging import windows
from messaging.admin import confirming
from messaging.models import Erasure, OutboundMessage, ServiceWindow
from messaging.persons import erasing, exporting
from orgs import actors, audit, database
from orgs.admin import showing
from orgs.admin.access import Scoped
from orgs.admin.keyset import ByKey
from orgs.admin.revealing import revealing

# Rows of a table on the page; the lists behind it have them all.
SHOWN = 50

EXPLANATION = (
    "Phone number, ids, consents and the contents of all messages and webhooks of this person "
    "are erased for ever; queued messages are withdrawn. Counts and times stay, and a STOP "
    "stays effective through a keyed hash. Export first if they want a copy."
)


class ContactForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's form takes no argument at run time
    """The one thing staff may set."""

    class Meta:
        model = Contact
        fields = ["time_zone"]
        widgets = {"time_zone": UnfoldAdminTextInputWidget}

    def clean_time_zone(self) -> str:
        """Refuse a zone nobody knows."""
        name = str(self.cleaned_data["time_zone"])
        if name and name not in quiet.known_zones():
            message = "No such time zone; such as America/Sao_Paulo."
            raise forms.ValidationError(message)
        return name


class SuspectFilter(admin.SimpleListFilter):
    """Whether people seem to be out of reach."""

    title = "reach"
    parameter_name = "suspect"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Return the one choice beside all."""
        return [("yes", "Suspect: messages came back")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Contact]) -> QuerySet[Contact]:
        """Keep the suspects."""
        return queryset.filter(suspects.SUSPECT) if self.value() == "yes" else queryset


def _whole(contact: Contact) -> str:
    return "\n".join(filter(None, (contact.phone, contact.bsuid)))


@admin.register(Contact)
class ContactAdmin(ByKey, Scoped, ModelAdmin[Contact]):
    """People, masked until somebody who may asks to see more."""

    form = ContactForm
    list_display = ["id", "masked_phone", "masked_bsuid", "reach", "org", "created_at"]
    list_filter = ["org", SuspectFilter]
    list_select_related = ["org"]
    search_fields = ["phone"]
    search_help_text = "Phone number with its country code, or BSUID; exact."
    ordering = ["-id"]
    when_empty = "People come with the first consent or message."
    fields = [
        "org",
        "masked_phone",
        "masked_bsuid",
        "reach",
        "time_zone",
        "created_at",
        "merged_into",
        "erased_at",
    ]
    readonly_fields = [name for name in fields if name != "time_zone"]
    actions_detail = ["show_person", "record_decision", "export_everything", "erase"]
    show_person = revealing(
        "Show phone and BSUID",
        permission="unmask",
        audited_as="contact.unmasked",
        read=_whole,
    )
    change_form_after_template = "admin/messaging/person.html"

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Contact], search_term: str
    ) -> tuple[QuerySet[Contact], bool]:
        """Find by the whole phone number or id; both are index look-ups."""
        term = search_term.strip()
        if not term:
            return queryset, False
        phone = searched(term)
        named = contacts.anywhere(phone=phone) if phone else contacts.anywhere(bsuid=term)
        return queryset.filter(named), False

    def get_fields(self, _request: HttpRequest, obj: Contact | None = None) -> list[str]:
        """Say when somebody was erased, or into whom merged, only of those who were."""
        rare = {"merged_into", "erased_at"}
        return [name for name in self.fields if name not in rare or getattr(obj, name, None)]

    @display(description="Phone")
    def masked_phone(self, contact: Contact) -> str:
        """Return the phone number with its middle hidden."""
        if contact.merged_into_id is not None:
            return f"merged into {contact.merged_into_id}"
        return "erased" if contact.erased_at else mask(contact.phone or "") or "–"

    @display(description="BSUID")
    def masked_bsuid(self, contact: Contact) -> str:
        """Return the id with its middle hidden."""
        return mask(contact.bsuid or "") or "–"

    @display(description="Undeliverable in a row")
    def reach(self, contact: Contact) -> str:
        """Return how many messages came back since one was delivered, and what follows."""
        if contact.suspect_at is None:
            return str(contact.undeliverable_count or "–")
        return f"{contact.undeliverable_count}, suspect since {_time(contact.suspect_at)}"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the person with all that belongs to them."""
        if self.get_object(request, object_id) is None:
            return redirect(reverse("admin:consent_contact_changelist"))
        context = {**(extra_context or {}), "person_tables": _tables(object_id)}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def save_model(self, request: HttpRequest, obj: Contact, form: Any, change: Any) -> None:
        """Keep the time zone, audited; marketing that waits for the old one is looked at again."""
        del change
        if "time_zone" in form.changed_data:
            contacts.set_zones(obj.org, {obj.pk: obj.time_zone})
            before, after = form.initial.get("time_zone"), obj.time_zone
            audit.record(
                [
                    audit.Entry(
                        obj.org_id,
                        f"user:{request.user.pk}",
                        "contact.time_zone_changed",
                        f"contact:{obj.pk}",
                        before={"time_zone": before},
                        after={"time_zone": after},
                    )
                ]
            )

    @action(description="Record a decision", permissions=["decide"], url_path="decide")
    def record_decision(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask what the person decided, with proof and reason; then record it."""
        contact = self.row_or_404(request, object_id)
        return decisions.page(self, request, contact)

    @action(description="Export everything", permissions=["export"], url_path="export")
    def export_everything(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        """Hand out all that is held about the person as JSON."""
        contact = self.row_or_404(request, object_id)
        document = exporting.export(contact, actor=f"user:{request.user.pk}")
        return StreamingHttpResponse(
            document,
            content_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="person-{contact.pk}.json"'},
        )

    @action(description="Erase", permissions=["erase"], url_path="erase")
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; then begin to erase the person."""
        contact = self.row_or_404(request, object_id)
        wanted = confirming.instruction(request)
        if wanted is None:
            plan = confirming.Plan("erase", f"Erase person {contact.pk}", EXPLANATION, [contact.pk])
            return confirming.page(self, request, plan)
        erasing.request(contact, actor=wanted.actor, reason=wanted.reason)
        text = "Nothing more is sent to this person; what is held of them goes within minutes."
        self.message_user(request, text, messages.SUCCESS)
        return redirect(reverse("admin:consent_contact_changelist"))

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may record decisions; none of whom is erased or merged."""
        if not request.user.has_perm("consent.change_consent"):
            return False
        if object_id is None:
            return True
        found = self.get_object(request, str(object_id))
        return found is not None and found.erased_at is None and found.merged_into_id is None

    def has_export_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Say whether this person may export others."""
        return bool(request.user.has_perm("consent.export_contact"))

    def has_erase_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may erase others; nobody is erased twice."""
        if not request.user.has_perm("consent.erase_contact"):
            return False
        if object_id is None:
            return True
        found = self.get_object(request, str(object_id))
        return found is not None and not Erasure.objects.filter(contact=found).exists()

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """People come by messages and consents."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Erase them instead: messages refer to them."""
        return False


def _tables(contact_id: str) -> list[dict[str, Any]]:
    return [
        {"title": "Consents", "table": _consents(contact_id)},
        {"title": f"Decisions, the latest {SHOWN}", "table": _history(contact_id)},
        {"title": "Customer service windows", "table": _windows(contact_id)},
        {"title": f"Messages, the latest {SHOWN}", "table": _messages(contact_id)},
    ]


def _consents(contact_id: str) -> dict[str, Any]:
    rows = Consent.objects.filter(contact_id=contact_id).order_by("pk")
    return {
        "headers": ["channel", "purpose", "status", "expires", "source", "decided"],
        "rows": [
            [
                row.get_channel_display(),
                _link("consent_consent_change", row.pk, row.get_purpose_display()),
                row.get_status_display(),
                _time(row.expires_at),
                row.get_source_display(),
                _time(row.decided_at),
            ]
            for row in rows
        ],
    }


def _history(contact_id: str) -> dict[str, Any]:
    events = ConsentEvent.objects.filter(consent__contact_id=contact_id).select_related("consent")
    rows = list(events.order_by("-occurred_at", "-pk")[:SHOWN])
    names = actors.names(row.actor for row in rows)
    return {
        "headers": ["decided", "purpose", "status", "source", "actor", "proof"],
        "rows": [
            [
                _time(row.occurred_at),
                row.consent.get_purpose_display(),
                row.get_status_display(),
                row.get_source_display(),
                names[row.actor],
                showing.kinds(row.proof),
            ]
            for row in rows
        ],
    }


def _windows(contact_id: str) -> dict[str, Any]:
    now = database.now()
    rows = ServiceWindow.objects.filter(contact_id=contact_id).select_related("phone_number")
    return {
        "headers": ["number", "last wrote", "open until"],
        "rows": [
            [
                str(row.phone_number),
                _time(row.last_inbound_at),
                _time(closes)
                if (closes := row.last_inbound_at + windows.OPEN_FOR) > now
                else "closed",
            ]
            for row in rows.order_by("pk")
        ],
    }


def _messages(contact_id: str) -> dict[str, Any]:
    rows = OutboundMessage.objects.filter(contact_id=contact_id).order_by("-pk")[:SHOWN]
    return {
        "headers": ["created", "status", "what", "category", "error", "delivered", "read"],
        "rows": [
            [
                _link("messaging_outboundmessage_change", row.pk, _time(row.created_at)),
                row.get_status_display(),
                f"{row.kind} {row.template_name}".strip(),
                row.get_category_display(),
                row.error_code or "–",
                _time(row.delivered_at),
                _time(row.read_at),
            ]
            for row in rows
        ],
    }


def _link(page: str, pk: object, text: str) -> SafeString:
    return format_html(
        '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>',
        reverse(f"admin:{page}", args=[pk]),
        text,
    )


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "–"
