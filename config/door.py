"""A shorter way in where requests are many: Django's own costs several times what the work does.

What goes well is answered here, by the function the view calls, with the headers that Django's
middleware adds, and counted as any other request. Everything else is Django's: other addresses,
methods and hosts, plain HTTP that is to be redirected, bodies without a length or too long. What
was refused or failed here it is told, so that it does nothing twice (`orgs.shortcut`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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

from messaging.api import messages, webhooks
from orgs import database, shortcut
from orgs.shortcut import Answer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

KNOWN_HOSTS = 64  # names that are remembered, ours or not

Kind = tuple[str, bool, int]  # the view, whether the request is secure, the status of the answer


@dataclass(frozen=True, slots=True)
class Way:
    """What answers POSTs to an address, given the last part of the path where it is a variable."""

    view: str  # its name in Django
    answer: Callable[[bytes, WSGIEnvironment, Any], Answer]
    largest: str  # the setting that bounds the body

    @property
    def largest_body(self) -> int:
        """Return how long a body may be, bytes."""
        return int(getattr(settings, self.largest))


WEBHOOK = Way("whatsapp-webhook", webhooks.receive, "DATA_UPLOAD_MAX_MEMORY_SIZE")
WEBHOOK_OF_APP = Way("whatsapp-webhook-app", webhooks.receive, "DATA_UPLOAD_MAX_MEMORY_SIZE")
MESSAGE = Way("message-list", messages.receive, "OUTBOUND_API_MAX_BODY_BYTES")


class Door:
    """A WSGI application: Django, and before it the shorter way."""

    def __init__(self, django: WSGIApplication) -> None:
        """Stand before Django, which must know its addresses by now."""
        self._django = django
        self._exact = {reverse(way.view): way for way in (WEBHOOK, MESSAGE)}
        self._below = {reverse(WEBHOOK.view): WEBHOOK_OF_APP}
        self._counts: dict[Kind, _Counts] = {}

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer what goes well, or have Django answer."""
        way, argument = self._way_to(environ["PATH_INFO"])
        if way is None:
            return self._django(environ, start)
        begun = perf_counter()
        is_secure = _is_secure(environ)
        length = _length(environ, way.largest_body)
        if not length or not _is_welcome(environ, is_secure=is_secure):
            return self._django(environ, start)
        body = environ["wsgi.input"].read(length)
        outcome = _try(way, body, environ, argument)
        if isinstance(outcome, Exception) or 400 <= outcome.status < 500:
            environ["wsgi.input"] = BytesIO(body)
            environ[shortcut.OUTCOME] = outcome
            return self._django(environ, start)
        start(f"{outcome.status} {responses[outcome.status]}", _headers(outcome, is_secure))
        self._count((way.view, is_secure, outcome.status), length, len(outcome.body), begun)
        return [outcome.body]

    def _way_to(self, path: str) -> tuple[Way | None, str | None]:
        """Return who answers at this path and what its variable part says."""
        way = self._exact.get(path)
        if way is not None:
            return way, None
        above, _, last = path.rpartition("/")
        return self._below.get(above) if last else None, last

    def _count(self, kind: Kind, length: int, length_of_answer: int, begun: float) -> None:
        counts = self._counts.get(kind)
        if counts is None:
            counts = self._counts[kind] = _Counts(*kind)
        counts.add(length, length_of_answer, perf_counter() - begun)


def _try(way: Way, body: bytes, environ: WSGIEnvironment, argument: Any) -> Answer | Exception:
    try:
        return way.answer(body, environ, argument)
    except Exception as error:  # noqa: BLE001 - Django tells of it, as of any refusal or fault
        return error
    finally:
        database.release_connection()


def _length(environ: WSGIEnvironment, largest: int) -> int:
    """Return the length of a POST's body; 0 when it has none or is too long."""
    told = environ.get("CONTENT_LENGTH", "")
    if environ["REQUEST_METHOD"] != "POST" or not (told.isascii() and told.isdigit()):
        return 0
    length = int(told)
    return length if length <= largest else 0


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


def _headers(answer: Answer, is_secure: bool) -> list[tuple[str, str]]:  # noqa: FBT001 - of a Kind
    return [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        *_usual_headers(is_secure=is_secure),
        *answer.headers,
    ]


@cache
def _usual_headers(*, is_secure: bool) -> list[tuple[str, str]]:
    """Return the headers Django's middleware gives to every answer."""
    scheme = "https" if is_secure else "http"
    environ = {"REQUEST_METHOD": "POST", "wsgi.url_scheme": scheme, "wsgi.input": BytesIO()}
    request = WSGIRequest(environ)
    answer: Any = HttpResponse()
    for middleware in (XFrameOptionsMiddleware, CommonMiddleware, SecurityMiddleware):
        answer = middleware(lambda _: HttpResponse()).process_response(request, answer)
    del answer["Content-Type"], answer["Content-Length"]
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

    def add(self, length: int, length_of_answer: int, seconds: float) -> None:
        """Count one request."""
        for counter in self._one_each:
            counter.inc()
        self._lengths.observe(length)
        self._lengths_of_answers.observe(length_of_answer)
        for histogram in self._times:
            histogram.observe(seconds)
