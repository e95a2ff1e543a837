"""Sending through WhatsApp's Cloud API: a bounded pool of calls, results as they arrive."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from messaging.providers.base import Outcome, Outgoing, Result, steady_seconds
from messaging.providers.whatsapp import answers, payloads
from messaging.providers.whatsapp.errors import ErrorTable
from messaging.providers.whatsapp.transport import (
    AnswerLost,
    NotSent,
    RequestsTransport,
    Transport,
)

logger = logging.getLogger(__name__)


class WhatsAppCloud:
    """The provider of the channel WHATSAPP; knows nothing of the database."""

    def __init__(
        self,
        *,
        base_url: str,
        version: str,
        table: ErrorTable,
        transport: Transport,
        concurrency: int,
    ) -> None:
        self._prefix = f"{base_url.rstrip('/')}/{version}"
        self._table = table
        self._transport = transport
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="whatsapp")

    def send(self, batch: Sequence[Outgoing]) -> Iterator[Sequence[Result]]:
        """Send all at once, as far as the pool goes; yield groups as they arrive."""
        waiting: set[Future[Result]] = {
            self._pool.submit(self._send_one, outgoing) for outgoing in batch
        }
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield [future.result() for future in done]

    def close(self) -> None:
        """Wait for the calls in flight, then close the connections."""
        self._pool.shutdown(wait=True)
        self._transport.close()

    def _send_one(self, outgoing: Outgoing) -> Result:
        try:
            body = payloads.build(outgoing)
        except payloads.PayloadError as error:
            return Result(
                outgoing.key, Outcome.REJECTED, error_code="PAYLOAD", error_message=str(error)
            )
        headers = {
            "Authorization": f"Bearer {outgoing.sender.access_token}",
            "Content-Type": "application/json",
        }
        url = f"{self._prefix}/{outgoing.sender.phone_number_id}/messages"
        begun = steady_seconds()
        if begun >= outgoing.deadline:
            return Result(
                outgoing.key,
                Outcome.NOT_SENT,
                error_code="DEADLINE",
                error_message="Its turn came too late in the claim.",
            )
        try:
            answer = self._transport.post(url, body, headers)
        except NotSent as error:
            return _failed(outgoing.key, Outcome.NOT_SENT, "CONNECTION", str(error), begun)
        except AnswerLost as error:
            return _failed(outgoing.key, Outcome.UNKNOWN, error.code, str(error), begun)
        except Exception as error:
            logger.exception("A call failed in an unforeseen way")
            kind = type(error).__name__
            return _failed(outgoing.key, Outcome.UNKNOWN, "UNFORESEEN", kind, begun)
        result = answers.classify(
            outgoing.key,
            answer.status,
            answer.headers,
            answer.body,
            self._table,
            truncated=answer.truncated,
        )
        return _timed(result, begun)


def create(
    *,
    base_url: str,
    version: str,
    table: ErrorTable,
    concurrency: int,
    connect_timeout: float,
    read_timeout: float,
) -> WhatsAppCloud:
    """Return the provider over requests; time-outs in seconds."""
    transport = RequestsTransport(
        concurrency=concurrency, connect_timeout=connect_timeout, read_timeout=read_timeout
    )
    return WhatsAppCloud(
        base_url=base_url,
        version=version,
        table=table,
        transport=transport,
        concurrency=concurrency,
    )


def _failed(key: str, outcome: Outcome, code: str, text: str, begun: float) -> Result:
    return _timed(Result(key, outcome, error_code=code, error_message=text), begun)


def _timed(result: Result, begun: float) -> Result:
    return replace(result, duration_ms=int((steady_seconds() - begun) * 1000))
