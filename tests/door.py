"""Test clients that come in by the WSGI application, as the requests of a web server do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.http import HttpResponse
from django.test import Client
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from config.door import Door


class DoorClient(Client):
    """As Django's client, but through `config.door`."""

    def request(self, **request: Any) -> Any:
        return _answer(self._base_environ(**request))


class DoorApiClient(APIClient):
    """As the REST framework's client, but through `config.door`."""

    def request(self, **request: Any) -> Any:
        return _answer(self._base_environ(**request | self._credentials))


def _answer(environ: dict[str, Any]) -> HttpResponse:
    environ.setdefault("HTTP_HOST", environ["SERVER_NAME"])  # as every web server does
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], *_error: Any) -> Any:
        begun.append((status, headers))

    with _kept_connection():
        parts: Any = Door(get_wsgi_application())(environ, start)
        content = b"".join(parts)
        if hasattr(parts, "close"):
            parts.close()
    ((status, headers),) = begun
    answer = HttpResponse(content, status=int(status.split(" ")[0]))
    del answer["Content-Type"]
    for name, value in headers:
        answer[name] = value
    return answer


@contextmanager
def _kept_connection() -> Iterator[None]:
    """Keep the test's own transaction, as Django's client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@contextmanager
def requests_counted() -> Iterator[Samples]:
    """Give what the metrics of requests have grown by, once the block has ended."""
    before, grown = _samples(), Samples()
    yield grown
    grown |= {key: value - before.get(key, 0) for key, value in _samples().items()}


def _samples() -> Samples:
    """Return the counts of requests; times differ, but all are below the last bound."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("django_http_")
        and not sample.name.endswith(("_created", "_seconds_sum", "_method_sum"))
        and not ("latency" in sample.name and sample.name.endswith("_bucket"))
    }
