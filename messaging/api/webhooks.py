"""Where Meta posts: a plain view, because DRF would cost more than the work itself."""

from __future__ import annotations

import logging

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from messaging import inbox
from orgs.models import Organization

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
        try:
            body = request.body
        except RequestDataTooBig:
            return HttpResponse(status=413)
        given = request.headers
        status = receive(body, given.get("X-Hub-Signature-256"), app_id, given.get("X-Org-Id"))
        return HttpResponse(status=status, headers=dict(headers_of(status)))


def receive(body: bytes, signature: str | None, app_id: str | None, org_id: str | None) -> int:
    """Keep an authentic delivery; return the status of the answer, which has no body.

    200 when it is stored, 401 when nobody signed it, 403 when it is for an organisation nobody
    knows, and 503 when it could not be stored: Meta repeats what was not answered with 200.
    """
    try:
        return _receive(body, signature, app_id, org_id)
    except (DatabaseError, InterfaceError) as error:
        logger.error("Webhook not stored (%s)", type(error).__name__)
        return 503


def headers_of(status: int) -> list[tuple[str, str]]:
    """Return the headers that belong to an answer of ``receive``."""
    return [("Retry-After", "5")] if status == 503 else []


def _receive(body: bytes, signature: str | None, app_id: str | None, org_id: str | None) -> int:
    app = inbox.authenticate(body, signature, app_id)
    if app is None:
        return 401
    only_org = None
    if org_id:
        only_org = Organization.objects.filter(org_id=org_id).first()
        if only_org is None:
            return 403
    inbox.store(app, body, only_org)
    return 200
