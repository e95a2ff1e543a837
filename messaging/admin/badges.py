"""Small counts beside the entries of the sidebar."""

from __future__ import annotations

from django.http import HttpRequest

from messaging import queries, stock
from messaging.models import OutboundMessage
from orgs import staff


def dead_letters(request: HttpRequest) -> str:
    """Return the size of the dead letter queue, as far as this person reaches; empty: nothing."""
    if not request.user.has_perm("messaging.view_outboundmessage"):
        return ""
    if staff.reaches_all(request.user):
        # Of all, the number is kept: every page asks for it.
        return str(stock.dead_letters() or "")
    theirs = staff.visible(OutboundMessage.objects.all(), request.user)
    return str(queries.dead_letter_count(theirs) or "")


def may_see_dead_letters(request: HttpRequest) -> bool:
    """Say whether the sidebar shows the dead letter queue."""
    return bool(request.user.has_perm("messaging.view_outboundmessage"))
