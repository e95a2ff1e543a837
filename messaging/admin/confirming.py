"""The page between choosing rows and acting on them: it says what will happen and asks why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest
from django.template.response import TemplateResponse

from messaging.operations import Instruction
from messaging.states import Cause


def instruction(request: HttpRequest) -> Instruction | None:
    """Return what this person has confirmed, with the reason; None before that."""
    reason = request.POST.get("reason", "").strip()
    if not (_is_confirmed(request) and reason):
        return None
    return Instruction(f"user:{request.user.pk}", Cause.STAFF, reason[:500])


def page(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    *,
    verb: str,
    title: str,
    explanation: str,
    ids: Sequence[object],
    action: str = "",
) -> TemplateResponse:
    """Return the page; its form calls the action again, by default the one named after the verb.

    When all that match the filter were chosen, they are so again: one id is enough then.
    """
    everything = request.POST.get("select_across") == "1"
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "verb": verb,
        "action": action or f"{verb}_selected",
        "ids": ids[:1] if everything else ids,
        "select_across": int(everything),
        "needs_reason": _is_confirmed(request),
        "explanation": explanation,
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/messaging/confirm.html", context)


def _is_confirmed(request: HttpRequest) -> bool:
    return request.POST.get("confirmed") == "yes"
