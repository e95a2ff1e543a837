"""Where Meta posts: a plain view, because DRF would cost more than the work itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from messaging import inbox
from orgs import shortcut
from orgs.models import Organization
from orgs.shortcut import Answer

logger = logging.getLogger(__name__)


@method_decorator(csrf_exempt, name="dispatch")
class WhatsAppWebhook(View):
    """Verify, store, answer 200; everything else happens later and elsewhere."""

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest, app_id: str | None = None) -> HttpResponse:
        """Answer the challenge with which Meta checks the address; it carries no signature."""
        answer = inbox.answer_challenge(request.GET.dict(), app_id)
        if answer is None:
            return HttpResponse(status=403)
        return HttpResponse(answer, content_type="text/plain")

    def post(self, request: HttpRequest, app_id: str | None = None) -> HttpResponse:
        """Keep an authentic delivery; 401 otherwise, 503 when it could not be stored."""
        found = shortcut.outcome(request.META)
        if found is None:
            try:
                body = request.body
            except RequestDataTooBig:
                return HttpResponse(status=413)
            found = receive(body, request.META, app_id)
        return found.as_response()


def receive(body: bytes, environ: Mapping[str, Any], app_id: str | None) -> Answer:
    """Keep an authentic delivery; return the answer, which has no body.

    200 when it is stored, 401 when nobody signed it, 403 when it is for an organisation nobody
    knows, and 503 when it could not be stored: Meta repeats what was not answered with 200.
    """
    try:
        return _receive(body, environ, app_id)
    except (DatabaseError, InterfaceError) as error:
        logger.error("Webhook not stored (%s)", type(error).__name__)
        return Answer(503, headers=[("Retry-After", "5")])


def _receive(body: bytes, environ: Mapping[str, Any], app_id: str | None) -> Answer:
    app = inbox.authenticate(body, environ.get("HTTP_X_HUB_SIGNATURE_256"), app_id)
    if app is None:
        return Answer(401)
    org_id, only_org = environ.get("HTTP_X_ORG_ID"), None
    if org_id:
        only_org = Organization.objects.filter(org_id=org_id).first()
        if only_org is None:
            return Answer(403)
    inbox.store(app, body, only_org)
    return Answer(200)
