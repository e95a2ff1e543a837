"""A shorter way in for webhooks: Django's own costs several times what keeping a delivery does.

What is kept is answered here, by the function the view calls, with the headers that Django's
middleware adds, and counted as any other request. Everything else is Django's: other addresses,
methods and hosts, plain HTTP that is to be redirected, bodies without a length or too long, what is
refused, and faults.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from http.client import responses
from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import reverse
from django_prometheus.middleware import Metrics

from messaging.api import webhooks
from orgs import database

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

VIEW, VIEW_OF_APP = "whatsapp-webhook", "whatsapp-webhook-app"
LEFT_TO_DJANGO = frozenset({401, 403, 500})
KNOWN_HOSTS = 64  # names that are remembered, ours or not

Kind = tuple[str, bool, int]  # the view, whether the request is secure, the status of the answer


class Door:
    """A WSGI application: Django, and before it the shorter way."""

    def __init__(self, django: WSGIApplication) -> None:
        """Stand before Django, which must know its addresses by now."""
        self._django = django
        self._path = reverse(VIEW)
        self._counts: dict[Kind, _Counts] = {}

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Keep the delivery, or have Django answer."""
        path: str = environ["PATH_INFO"]
        if not path.startswith(self._path):
            return self._django(environ, start)
        begun = perf_counter()
        is_secure = _is_secure(environ)
        length = _length(environ)
        slash, app_id = path[len(self._path) :][:1], path[len(self._path) + 1 :]
        is_known = (slash == "/" if app_id else not slash) and "/" not in app_id
        if not is_known or not length or not _is_welcome(environ, is_secure=is_secure):
            return self._django(environ, start)
        body = environ["wsgi.input"].read(length)
        status = _receive(body, environ, app_id)
        if status in LEFT_TO_DJANGO:
            environ["wsgi.input"] = BytesIO(body)
            return self._django(environ, start)
        headers = _usual_headers(is_secure=is_secure) + webhooks.headers_of(status)
        start(f"{status} {responses[status]}", headers)
        self._count((VIEW_OF_APP if app_id else VIEW, is_secure, status), length, begun)
        return [b""]

    def _count(self, kind: Kind, length: int, begun: float) -> None:
        counts = self._counts.get(kind)
        if counts is None:
            counts = self._counts[kind] = _Counts(*kind)
        counts.add(length, perf_counter() - begun)


def _receive(body: bytes, environ: WSGIEnvironment, app_id: str) -> int:
    signature, org_id = environ.get("HTTP_X_HUB_SIGNATURE_256"), environ.get("HTTP_X_ORG_ID")
    try:
        return webhooks.receive(body, signature, app_id or None, org_id)
    except Exception:  # noqa: BLE001 - Django meets the same again, and tells of it as of any fault
        return 500
    finally:
        database.release_connection()


def _length(environ: WSGIEnvironment) -> int:
    """Return the length of a POST's body; 0 when it has none or is too long."""
    told = environ.get("CONTENT_LENGTH", "")
    if environ["REQUEST_METHOD"] != "POST" or not (told.isascii() and told.isdigit()):
        return 0
    length = int(told)
    return length if length <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE else 0


def _is_welcome(environ: WSGIEnvironment, *, is_secure: bool) -> bool:
    """Say whether the request came by the right scheme to a name of ours."""
    if settings.SECURE_SSL_REDIRECT and not is_secure:
        return False
    return _is_ours(environ.get("HTTP_HOST", ""), tuple(settings.ALLOWED_HOSTS))


def _is_secure(environ: WSGIEnvironment) -> bool:
    """Say whether the client spoke HTTPS, as ``HttpRequest.scheme`` does."""
    header, wanted = settings.SECURE_PROXY_SSL_HEADER or ("", "")
    told = environ.get(header) if header else None
    if told is not None:
        return bool(told.split(",", 1)[0].strip() == wanted)
    return bool(environ["wsgi.url_scheme"] == "https")


@lru_cache(KNOWN_HOSTS)
def _is_ours(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


@cache
def _usual_headers(*, is_secure: bool) -> list[tuple[str, str]]:
    """Return the headers Django's middleware gives to an answer without a body."""
    scheme = "https" if is_secure else "http"
    environ = {"REQUEST_METHOD": "POST", "wsgi.url_scheme": scheme, "wsgi.input": BytesIO()}
    request = WSGIRequest(environ)
    answer: Any = HttpResponse()
    for middleware in (XFrameOptionsMiddleware, CommonMiddleware, SecurityMiddleware):
        answer = middleware(lambda _: HttpResponse()).process_response(request, answer)
    return list(answer.items())


class _Counts:
    """Counts requests of one kind as ``django_prometheus`` does, without looking the series up."""

    def __init__(self, view: str, is_secure: bool, status: int) -> None:  # noqa: FBT001 - a Kind
        known = Metrics.get_instance()
        transport, method, word = "https" if is_secure else "http", "POST", str(status)
        self._one_each = (
            known.requests_total,
            known.responses_total,
            known.requests_by_method.labels(method),
            known.requests_by_transport.labels(transport),
            known.requests_by_view_transport_method.labels(view, transport, method),
            known.responses_by_status.labels(word),
            known.responses_by_status_view_method.labels(word, view, method),
            known.responses_by_charset.labels("utf-8"),
        )
        self._lengths = known.requests_body_bytes
        self._lengths_of_answers = known.responses_body_bytes
        self._times = (
            known.requests_latency_before,
            known.requests_latency_by_view_method.labels(view, method),
        )

    def add(self, length: int, seconds: float) -> None:
        """Count one request."""
        for counter in self._one_each:
            counter.inc()
        self._lengths.observe(length)
        self._lengths_of_answers.observe(0)
        for histogram in self._times:
            histogram.observe(seconds)
