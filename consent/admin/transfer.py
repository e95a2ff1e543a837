"""Consents in files: upload, see what would change, record; progress and problems by line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget

from consent.models import ConsentImport, ImportProblem
from consent.transfer import importing, upload
from orgs import actors
from orgs.admin.access import ReadOnly, Scoped, ScopedInline

State = ConsentImport.State
RUNNING = frozenset({State.UPLOADING, State.TRYING, State.RECORDING})

COLOURS = {
    State.UPLOADING: "info",
    State.TRYING: "info",
    State.READY: "warning",
    State.RECORDING: "info",
    State.DONE: "success",
    State.DISCARDED: "default",
    State.FAILED: "danger",
}
_WORDS = {
    "granted": "granted",
    "denied": "denied",
    "revoked": "revoked",
    importing.UNCHANGED: "as they are already",
    importing.OPTED_OUT: "skipped, because the person has said STOP",
    importing.WRONG: "with mistakes",
}


class UploadForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's form takes no argument at run time
    """Which organisation, and the file."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        help_text=(
            "CSV in UTF-8, with the columns in the first line: phone or bsuid, purpose (marketing, "
            "transactional), status (GRANTED by default, DENIED, REVOKED), channel, occurred_at, "
            "expires_at (ISO 8601), time_zone, proof (JSON) or proof_text, proof_ip and so on. "
            "Nothing is recorded before you have seen what would change."
        ),
    )

    class Meta:
        model = ConsentImport
        fields = ["org"]


class ProblemInline(ReadOnly, ScopedInline, TabularInline[ImportProblem, ConsentImport]):
    """What is wrong, by line and column."""

    model = ImportProblem
    extra = 0
    fields = ["line", "column", "code", "detail"]
    readonly_fields = fields
    ordering = ["line", "pk"]
    verbose_name_plural = f"problems, the first {importing.MOST_PROBLEMS}"
    per_page = 50


@admin.register(ConsentImport)
class ConsentImportAdmin(Scoped, ModelAdmin[ConsentImport]):
    """The files taken in."""

    form = UploadForm
    list_display = ["id", "state_label", "org", "row_count", "progress", "created_at", "who"]
    list_filter = ["state", "org"]
    list_select_related = ["org"]
    ordering = ["-id"]
    show_full_result_count = False
    readonly_fields = ["state", "row_count", "would", "did", "who", "created_at"]
    actions_detail = ["record", "discard"]
    change_form_outer_before_template = "admin/consent/import_progress.html"
    when_empty = "Upload a file of consents; what would change is shown before it is recorded."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsentImport]:
        """Add the name of whoever uploaded it."""
        rows: QuerySet[ConsentImport] = super().get_queryset(request)
        return rows.annotate(by=actors.shown("actor"))

    def get_urls(self) -> list[URLPattern]:
        """Add the progress alone."""
        view = self.admin_site.admin_view(self.progress_view)
        name = "consent_consentimport_progress"
        return [path("<int:pk>/progress/", view, name=name), *super().get_urls()]

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> list[str]:
        """A new one asks for the file, another shows what came of it."""
        if obj is None:
            return ["org", "file"]
        if obj.state in RUNNING:
            return ["org", "who", "created_at"]  # the rest changes, and is told above
        return ["org", *self.readonly_fields]

    def get_inlines(self, _request: HttpRequest, obj: Any = None) -> list[Any]:
        """Problems belong to a file that was read."""
        return [ProblemInline] if obj and obj.problems.exists() else []

    @display(description="State", label=COLOURS, ordering="state")
    def state_label(self, chosen: ConsentImport) -> tuple[str, str]:
        """Return how far it has come."""
        return chosen.state, State(chosen.state).label

    @display(description="Rows")
    def row_count(self, chosen: ConsentImport) -> str:
        """Return how many rows the file has."""
        return f"{chosen.rows:,}"

    @display(description="Uploaded by")
    def who(self, chosen: ConsentImport) -> str:
        """Return who brought the file."""
        return actors.in_words(str(chosen.by))  # type: ignore[attr-defined]  # annotated

    @display(description="Progress")
    def progress(self, chosen: ConsentImport) -> str:
        """Return the share of rows tried out or recorded."""
        if chosen.state not in {State.TRYING, State.RECORDING} or not chosen.rows:
            return "–"
        return (
            f"{chosen.done_rows:,} of {chosen.rows:,} ({100 * chosen.done_rows // chosen.rows} %)"
        )

    @display(description="What would change")
    def would(self, chosen: ConsentImport) -> str:
        """Return the preview in words."""
        return in_words(chosen.preview)

    @display(description="What was changed")
    def did(self, chosen: ConsentImport) -> str:
        """Return the result in words."""
        return in_words(chosen.result)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Take the file; one that cannot be read comes back with the reason."""
        try:
            answer: HttpResponse = super().add_view(request, form_url, extra_context)
        except upload.UploadError as error:
            self.message_user(request, str(error), messages.ERROR)
            return redirect(request.path)
        return answer

    def save_model(self, request: HttpRequest, obj: ConsentImport, form: Any, change: Any) -> None:
        """Store the file in parts; a worker tries it out."""
        del change
        data = form.cleaned_data
        made = upload.store(data["org"], data["file"].file, actor=f"user:{request.user.pk}")
        obj.pk = made.pk
        obj.refresh_from_db()

    def response_add(
        self, _request: HttpRequest, obj: ConsentImport, _post_url_continue: Any = None
    ) -> HttpResponse:
        """Go on to the page that shows what would change."""
        return redirect(self._page(obj.pk))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show it; while something is going on its progress comes anew by itself."""
        chosen = self.get_object(request, object_id)
        shown = _progress(chosen) if chosen is not None and chosen.state in RUNNING else {}
        answer: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **shown}
        )
        return answer

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the part of the page that changes; at the end have the page loaded anew, once."""
        chosen = self.row_or_404(request, str(pk))
        if chosen.state in RUNNING:
            return render(request, "admin/consent/import_progress.html", _progress(chosen))
        # The buttons of what can be done now stand in the header, outside of every part.
        return HttpResponse(headers={"HX-Refresh": "true"})

    @action(description="Record", permissions=["record"], url_path="record")
    def record(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once more, then have the good rows recorded."""
        return self._confirm(request, object_id, "Record", importing.start)

    @action(description="Discard", permissions=["discard"], url_path="discard")
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once more, then drop the file."""
        return self._confirm(request, object_id, "Discard", importing.discard)

    def _confirm(
        self, request: HttpRequest, object_id: str, verb: str, deed: Callable[..., bool]
    ) -> HttpResponse:
        chosen = self.row_or_404(request, object_id)
        if request.method == "POST":
            done = deed(chosen, actor=f"user:{request.user.pk}")
            text = "Done." if done else "It has moved on meanwhile; nothing was done."
            self.message_user(request, text, messages.SUCCESS if done else messages.WARNING)
            return redirect(self._page(chosen.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb} import {chosen.pk}",
            "opts": self.opts,
            "verb": verb,
            "counts": counted(chosen.preview),
            "back": self._page(chosen.pk),
        }
        return TemplateResponse(request, "admin/consent/confirm_import.html", context)

    def _page(self, pk: int) -> str:
        return reverse("admin:consent_consentimport_change", args=[pk])

    def has_record_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may record, and the file waits for it."""
        return self._may(request, object_id, {State.READY})

    def has_discard_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may discard, and nothing is recorded yet."""
        return self._may(request, object_id, {State.READY, State.TRYING, State.UPLOADING})

    def _may(self, request: HttpRequest, object_id: Any, states: set[State]) -> bool:
        if not request.user.has_perm("consent.add_consentimport"):
            return False
        if request.method == "POST" or object_id is None:
            return True  # the deed looks at the state under its lock
        found = self.get_object(request, str(object_id))
        return found is not None and found.state in states

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """A file is taken or left, never edited."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """The audit trail refers to it; discard it instead."""
        return False


def _progress(chosen: ConsentImport) -> dict[str, Any]:
    return {"running": chosen, "colour": COLOURS[State(chosen.state)]}


def counted(counts: Mapping[str, int]) -> list[str]:
    """Return counts of rows, each with its word."""
    return [f"{counts[name]:,} {word}" for name, word in _WORDS.items() if counts.get(name)]


def in_words(counts: Mapping[str, int]) -> str:
    """Return counts of rows as a sentence."""
    return ", ".join(counted(counts)) or "–"
