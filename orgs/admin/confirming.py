"""The page between choosing rows and acting on them: it says what will happen and asks why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest
from django.template.response import TemplateResponse


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done to which rows, as the page tells it."""

    verb: str
    title: str
    explanation: str
    ids: Sequence[object]
    action: str = ""  # of the list; by default the one named after the verb
    everything: bool = False  # not only to these ids: to all that match the filter by then


def reason(request: HttpRequest) -> str:
    """Return the reason with which this person has confirmed; empty before that."""
    given = request.POST.get("reason", "").strip()
    return given[:500] if _is_confirmed(request) else ""


def page(model_admin: ModelAdmin[Any], request: HttpRequest, plan: Plan) -> TemplateResponse:
    """Return the page; its form calls the action again, with the reason."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": plan.title,
        "opts": model_admin.opts,
        "verb": plan.verb,
        "action": plan.action or f"{plan.verb}_selected",
        "ids": plan.ids[:1] if plan.everything else plan.ids,
        "everything": plan.everything,
        "needs_reason": _is_confirmed(request),
        "explanation": plan.explanation,
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/orgs/confirm.html", context)


def _is_confirmed(request: HttpRequest) -> bool:
    return request.POST.get("confirmed") == "yes"
