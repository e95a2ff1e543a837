"""Confirming what is done to messages: the core wants to know who, and why."""

from __future__ import annotations

from django.http import HttpRequest

from messaging.operations import Instruction
from messaging.states import Cause
from orgs import staff
from orgs.admin.confirming import Plan, page, reason

__all__ = ["Plan", "instruction", "page"]


def instruction(request: HttpRequest) -> Instruction | None:
    """Return what this person has confirmed, with the reason; None before that."""
    given = reason(request)
    return Instruction(staff.actor(request.user), Cause.STAFF, given) if given else None
