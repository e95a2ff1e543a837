"""The console's pages for consents."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from consent import contacts, ledger, taking
from consent.models import Consent, ConsentEvent, Contact, Decision, Source
from consent.phones import mask, searched
from consent.transfer import exporting
from orgs import actors, audit, database, staff
from orgs.admin import confirming, showing
from orgs.admin.access import ReadOnly, Scoped, ScopedInline
from orgs.admin.keyset import ByKey
from orgs.admin.revealing import revealing
from orgs.models import Organization

# The latest decisions whose proofs are shown together.
MOST_PROOFS = 100


class ConsentEventInline(ReadOnly, ScopedInline, TabularInline[ConsentEvent, Consent]):
    """The history of a consent."""

    model = ConsentEvent
    verbose_name_plural = "history"
    extra = 0
    ordering = ["id"]
    fields = ["occurred_at", "status", "expires_at", "source", "who", "proven_by", "recorded_at"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsentEvent]:
        """Add the name of whoever recorded it."""
        rows: QuerySet[ConsentEvent] = super().get_queryset(request)
        return rows.annotate(who=actors.shown("actor"))

    @display(description="Recorded by")
    def who(self, event: ConsentEvent) -> str:
        """Return who recorded it."""
        return actors.in_words(str(event.who))  # type: ignore[attr-defined]  # annotated

    @display(description="Proof")
    def proven_by(self, event: ConsentEvent) -> str:
        """Return what is kept as proof; what it says is for those who may open it."""
        return showing.kinds(event.proof)


def _proofs(consent: Consent) -> str:
    """Return what proves each decision: the person's words, addresses, perhaps a phone number."""
    return "\n\n".join(
        f"{event.get_status_display()} at {event.occurred_at:%Y-%m-%d %H:%M:%S} UTC\n"
        + json.dumps(event.proof, ensure_ascii=False, indent=2)
        for event in consent.events.order_by("-pk")[:MOST_PROOFS]
        if event.proof
    )


@admin.register(Consent)
class ConsentAdmin(ByKey, ReadOnly, Scoped, ModelAdmin[Consent]):
    """The present answers, with their history."""

    list_display = ["person", "purpose", "channel", "state", "expires_at", "org", "decided_at"]
    list_filter = ["status", "purpose", "org"]
    list_select_related = ["org", "contact"]
    search_fields = ["contact__phone"]
    search_help_text = "Phone number with its country code; exact."
    led_to = frozenset({"org"})
    ordering = ["-id"]
    actions = ["revoke_selected"]
    actions_list = ["export_csv"]
    actions_detail = ["show_proofs"]
    show_proofs = revealing(
        "Show the proofs", permission="open", audited_as="consent.proofs_opened", read=_proofs
    )
    inlines = [ConsentEventInline]
    fields = [
        *("person", "everything", "org", "channel", "purpose", "status", "decided_at"),
        *("expires_at", "source", "proven_by", "still_to_cancel"),
    ]
    readonly_fields = ["person", "everything", "proven_by", "still_to_cancel"]
    when_empty = "Decisions come by the API, by imports, and by what people write."

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Consent], search_term: str
    ) -> tuple[QuerySet[Consent], bool]:
        """Find by the whole phone number."""
        if not search_term.strip():
            return queryset, False
        phone = searched(search_term)
        if not phone:
            return queryset.none(), False
        people = Contact.objects.filter(contacts.anywhere(phone=phone))
        return queryset.filter(contact__in=people.values("pk")), False

    @display(description="Person", ordering="contact")
    def person(self, consent: Consent) -> str:
        """Return the masked phone number or id."""
        return mask(consent.contact.phone or consent.contact.bsuid or "") or "erased"

    @display(description="Everything about them")
    def everything(self, consent: Consent) -> SafeString:
        """Link to the person's own page: other consents, messages, rights."""
        url = reverse("admin:consent_contact_change", args=[consent.contact_id])
        return showing.link(url, "Consents, messages and rights of this person")

    @display(description="Proof")
    def proven_by(self, consent: Consent) -> str:
        """Return what is kept as proof of the present answer."""
        return showing.kinds(consent.proof)

    @display(description="Queued messages")
    def still_to_cancel(self, consent: Consent) -> str:
        """Say whether the messages it covered are still to be withdrawn."""
        return "are being withdrawn" if consent.cancel_pending else "nothing left to withdraw"

    @display(
        description="Status",
        ordering="status",
        label={
            Decision.GRANTED: "success",
            Decision.DENIED: "warning",
            Decision.REVOKED: "danger",
        },
    )
    def state(self, consent: Consent) -> tuple[str, str]:
        """Return the present answer."""
        return consent.status, Decision(consent.status).label

    @action(description="Export as CSV", permissions=["export"], url_path="export-csv")
    def export_csv(self, request: HttpRequest) -> StreamingHttpResponse:
        """Hand out the consents the list shows, with its filters; an import reads the file."""
        chosen = self.get_changelist_instance(request).get_queryset(request)
        actor = f"user:{request.user.pk}"
        audit.record([audit.Entry(None, actor, "consents.exported", "consents:csv")])
        return StreamingHttpResponse(
            exporting.lines(chosen),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="consents.csv"'},
        )

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may take people's data out."""
        return bool(request.user.has_perm("consent.export_contact"))

    @admin.action(description="Revoke selected", permissions=["revoke"])
    def revoke_selected(
        self, request: HttpRequest, queryset: QuerySet[Consent]
    ) -> HttpResponse | None:
        """Ask for a reason; then take the consents back, with the queued messages they cover."""
        standing = queryset.filter(contact__merged_into=None).exclude(status=Decision.REVOKED)
        standing = standing.select_related("org").order_by("pk")
        reason = confirming.reason(request)
        if not reason:
            return self._ask(request, standing)
        count, last = 0, 0
        # Slice by slice: all of a long list may have been chosen.
        while chosen := list(standing.filter(pk__gt=last)[: taking.MOST]):
            _revoke(chosen, staff.actor(request.user), reason)
            count, last = count + len(chosen), chosen[-1].pk
        self.message_user(request, f"{count} consent(s) revoked.", messages.SUCCESS)
        return None

    def _ask(self, request: HttpRequest, standing: QuerySet[Consent]) -> HttpResponse:
        """Say how many it would be; of all that match the filter their ids need not be known."""
        everything = request.POST.get("select_across") == "1"
        ids = standing.values_list("pk", flat=True)
        count = standing.count()
        plan = confirming.Plan(
            verb="revoke",
            title=f"Revoke {count:,} consent(s)",
            explanation=f"{'All that match the filter' if everything else 'Those selected'} and "
            f"still stand: {count:,}. Queued messages they cover are withdrawn, and nothing is "
            "sent to these people until they agree anew.",
            ids=list(ids[:1] if everything else ids),
            everything=everything,
        )
        return confirming.page(self, request, plan)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may revoke consents."""
        return bool(request.user.has_perm("consent.change_consent"))


@transaction.atomic
def _revoke(chosen: Sequence[Consent], actor: str, reason: str) -> None:
    now = database.now()
    by_org: dict[Organization, list[Consent]] = {}
    for consent in chosen:
        by_org.setdefault(consent.org, []).append(consent)
    for org, consents in by_org.items():
        entries = [
            ledger.Entry(
                contact_id=consent.contact_id,
                channel=consent.channel,
                purpose=consent.purpose,
                source=Source.CONSOLE,
                actor=actor,
                occurred_at=now,
            )
            for consent in consents
        ]
        ledger.revoke(org, entries)
        audit.record(
            [
                audit.Entry(org.pk, actor, "consent.revoked", f"consent:{consent.pk}", reason)
                for consent in consents
            ]
        )
