"""The report of the dead letter queue as a page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from consent.models import Channel
from messaging import queries
from messaging.dead_letters.selection import NO_ERROR
from messaging.models import OutboundMessage
from messaging.queries import Action, DlqReport
from orgs import database, staff

PERMISSION = "messaging.view_outboundmessage"


def may_see(request: HttpRequest) -> bool:
    """Say whether this person may see the report."""
    # Whoever may log in to the console is a user with permissions.
    return bool(request.user.has_perm(PERMISSION))


def page(request: HttpRequest) -> HttpResponse:
    """Return the report of the organisations in this person's reach."""
    if not may_see(request):
        raise PermissionDenied
    messages = staff.visible(OutboundMessage.objects.all(), request.user)
    report = queries.dlq_report(messages, database.now())
    context = {
        **admin.site.each_context(request),
        "title": "Dead letter report",
        "report": report,
        "lists": _lists(report),
        "actions": [(each, _list_of(each, report)) for each in report.actions],
        "tables": _tables(report),
    }
    return TemplateResponse(request, "admin/alerts/report.html", context)


def _lists(report: DlqReport) -> dict[str, str]:
    """Return where the figures on top lead."""
    yesterday = report.generated_at - queries.RECENT
    return {
        "all": _list_page(campaign="no"),
        "last": _list_page(campaign="no", failed_from=yesterday.isoformat()),
        "previous": _list_page(
            campaign="no",
            failed_from=(yesterday - queries.RECENT).isoformat(),
            failed_until=yesterday.isoformat(),
        ),
        "campaign": _list_page(campaign="yes"),
    }


def _list_of(action: Action, report: DlqReport) -> str:
    """Return the messages an action is about: those of a code, or those that lie long."""
    if action.code:
        return _list_page(error=action.code)
    old = report.generated_at - queries.OLD
    return _list_page(campaign="no", failed_until=old.isoformat())


def _tables(report: DlqReport) -> list[dict[str, Any]]:
    """Return the tables; each row begins with a cell that leads to the messages."""
    yesterday = (report.generated_at - queries.RECENT).isoformat()
    return [
        {
            "title": "Error codes of the last 24 hours",
            "headers": ["Code", "Count", "Meaning", "What to do"],
            "rows": [
                {
                    "link": _list_page(error=each.code or NO_ERROR, failed_from=yesterday),
                    "name": each.code or "none",
                    "cells": [f"{each.count:,}", each.title, each.advice],
                }
                for each in report.top_codes
            ],
        },
        {
            "title": "By organisation",
            "headers": ["Organisation", "Count"],
            "rows": [
                {
                    "link": _list_page(org=org, campaign="no"),
                    "name": org,
                    "cells": [f"{count:,}"],
                }
                for org, count in report.by_org.items()
            ],
        },
        {
            "title": "By channel",
            "headers": ["Channel", "Count"],
            "rows": [
                {
                    "link": _list_page(campaign="no"),
                    "name": Channel(channel).label,
                    "cells": [f"{count:,}"],
                }
                for channel, count in report.by_channel.items()
            ],
        },
    ]


def _list_page(**query: str) -> str:
    return f"{reverse('admin:messaging_deadletter_changelist')}?{urlencode(query)}"
