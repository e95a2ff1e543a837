"""One trace for each message, from the API call to the last receipt, by OpenTelemetry.

The message's id is the trace's id and, by its second half, that of its first span: whichever
process has a part in the message's life adds it to the same trace without being told anything.
Spans hold ids, codes and words of ours, never a phone or a body. While tracing is off nothing is
imported for it, and each call here is one comparison.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from multiprocessing.util import Finalize
from time import time_ns
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

_HALF = 2**64
_RANDOM = 2**62  # what the second half of an id is random in: two of its bits are fixed
_NANOSECONDS = 1_000_000_000


@dataclass(slots=True)
class Span:
    """A part of a message's life that has just ended."""

    message_id: uuid.UUID
    name: str
    begun: int  # nanoseconds since 1970
    ended: int
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    is_first: bool = False
    is_error: bool = False


class _Tracing:
    """The provider of this process, and the ids of the span that is being made."""

    def __init__(self) -> None:
        self.provider: TracerProvider | None = None
        self.forced = threading.local()


_tracing = _Tracing()


def is_on() -> bool:
    """Say whether this process traces."""
    return _tracing.provider is not None


def start() -> None:
    """Begin to trace if the settings name a collector; once, in each process that takes part."""
    if not settings.OUTBOUND_TRACING_ENDPOINT or is_on():
        return
    exporters = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    export = import_module("opentelemetry.sdk.trace.export")
    exporter = exporters.OTLPSpanExporter(endpoint=settings.OUTBOUND_TRACING_ENDPOINT)
    use(export.BatchSpanProcessor(exporter))
    # Not atexit: the processes that a web server starts by multiprocessing end without it.
    Finalize(None, stop, exitpriority=10)


def use(processor: SpanProcessor) -> None:
    """Trace, and hand the spans to this processor."""
    _tracing.provider = _provider()
    _tracing.provider.add_span_processor(processor)


def stop() -> None:
    """Send what is left, and trace no more."""
    provider, _tracing.provider = _tracing.provider, None
    if provider is not None:
        provider.shutdown()


def now() -> int:
    """Return the time for the start of a span; 0 while tracing is off."""
    return time_ns() if is_on() else 0


def moment(at: datetime) -> int:
    """Return a time as spans have it."""
    return int(at.timestamp() * _NANOSECONDS)


def is_traced(message_id: uuid.UUID) -> bool:
    """Say whether the message is in the share that is traced: the same answer everywhere."""
    return message_id.int % _RANDOM < settings.OUTBOUND_TRACING_SHARE * _RANDOM


def emit(spans: Iterable[Span]) -> None:
    """Add spans to the traces of their messages."""
    provider = _tracing.provider
    if provider is None:
        return
    trace = import_module("opentelemetry.trace")
    tracer = provider.get_tracer("outbound")
    for span in spans:
        if not is_traced(span.message_id):
            continue
        context = None
        if span.is_first:
            _tracing.forced.ids = (span.message_id.int, span.message_id.int % _HALF)
        else:
            parent = trace.SpanContext(
                span.message_id.int,
                span.message_id.int % _HALF,
                is_remote=True,
                trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        try:
            made = tracer.start_span(
                span.name,
                context=context,
                start_time=span.begun,
                attributes={"outbound.message_id": str(span.message_id), **span.attributes},
            )
        finally:
            _tracing.forced.ids = None
        if span.is_error:
            made.set_status(trace.StatusCode.ERROR)
        made.end(span.ended)


def _provider() -> TracerProvider:
    sdk = import_module("opentelemetry.sdk.trace")
    generators = import_module("opentelemetry.sdk.trace.id_generator")
    resources = import_module("opentelemetry.sdk.resources")

    class Ids(generators.RandomIdGenerator):  # type: ignore[name-defined,misc]  # loaded when wanted
        """Random, but for the first span of a message."""

        def generate_trace_id(self) -> int:
            ids = getattr(_tracing.forced, "ids", None)
            return ids[0] if ids else super().generate_trace_id()  # type: ignore[no-any-return]

        def generate_span_id(self) -> int:
            ids = getattr(_tracing.forced, "ids", None)
            return ids[1] if ids else super().generate_span_id()  # type: ignore[no-any-return]

    provider: TracerProvider = sdk.TracerProvider(
        id_generator=Ids(),
        sampler=import_module("opentelemetry.sdk.trace.sampling").ALWAYS_ON,
        resource=resources.Resource.create({"service.name": "outbound"}),
    )
    return provider
