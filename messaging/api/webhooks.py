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
        try:
            return _receive(request, body, app_id)
        except (DatabaseError, InterfaceError) as error:
            # Meta repeats what was not answered with 200.
            logger.error("Webhook not stored (%s)", type(error).__name__)
            return HttpResponse(status=503, headers={"Retry-After": "5"})


def _receive(request: HttpRequest, body: bytes, app_id: str | None) -> HttpResponse:
    app = inbox.authenticate(body, request.headers.get("X-Hub-Signature-256"), app_id)
    if app is None:
        return HttpResponse(status=401)
    only_org = None
    org_id = request.headers.get("X-Org-Id")
    if org_id:
        only_org = Organization.objects.filter(org_id=org_id).first()
        if only_org is None:
            return HttpResponse(status=403)
    inbox.store(app, body, only_org)
    return HttpResponse(status=200)
