"""Sending through WhatsApp's Cloud API: messages to calls, answers to results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import time_ns

from messaging.providers.base import Outcome, Outgoing, Result, Sender
from messaging.providers.whatsapp import answers, payloads
from messaging.providers.whatsapp.errors import ErrorTable
from messaging.providers.whatsapp.transports.base import Answer, Call, Ending, Transport
from messaging.providers.whatsapp.transports.curl import CurlTransport
from messaging.providers.whatsapp.transports.pooled import RequestsTransport

TRANSPORTS: Mapping[str, Callable[..., Transport]] = {
    "curl": CurlTransport,
    "requests": RequestsTransport,
}
# Headers are kept by number and token; with more of them than this they are made anew.
MOST_HEADERS = 10_000


class WhatsAppCloud:
    """The provider of the channel WHATSAPP; knows nothing of the database."""

    def __init__(
        self, *, base_url: str, version: str, table: ErrorTable, transport: Transport
    ) -> None:
        self._prefix = f"{base_url.rstrip('/')}/{version}"
        self._table = table
        self._transport = transport
        self._headers: dict[Sender, Mapping[str, str]] = {}
        self._refused: list[Result] = []

    @property
    def in_flight(self) -> int:
        """Return how many messages were started whose result was not given back."""
        return self._transport.in_flight + len(self._refused)

    def start(self, batch: Sequence[Outgoing]) -> None:
        """Begin a call for each; one that cannot be built has its result at once."""
        for outgoing in batch:
            try:
                body = payloads.build(outgoing)
            except payloads.PayloadError as error:
                self._refused.append(
                    Result(
                        outgoing.key,
                        Outcome.REJECTED,
                        error_code="PAYLOAD",
                        error_message=str(error),
                    )
                )
                continue
            url = f"{self._prefix}/{outgoing.sender.phone_number_id}/messages"
            headers = self._headers_of(outgoing.sender)
            self._transport.start(Call(outgoing.key, url, headers, body, outgoing.deadline))

    def finished(self, wait: float) -> list[Result]:
        """Return what has come in, waiting up to ``wait`` seconds for the first."""
        results, self._refused = self._refused, []
        endings = self._transport.finished(0.0 if results else wait)
        return results + [self._result(ending) for ending in endings]

    def wake(self) -> None:
        """Make a waiting ``finished`` return at once."""
        self._transport.wake()

    def close(self) -> None:
        """Close the connections; calls in flight are given up."""
        self._transport.close()

    def _headers_of(self, sender: Sender) -> Mapping[str, str]:
        headers = self._headers.get(sender)
        if headers is None:
            if len(self._headers) >= MOST_HEADERS:
                self._headers.clear()
            headers = self._headers[sender] = {
                "Authorization": f"Bearer {sender.access_token}",
                "Content-Type": "application/json",
            }
        return headers

    def _result(self, ending: Ending) -> Result:
        outcome, milliseconds = ending.outcome, int(ending.seconds * 1000)
        if isinstance(outcome, Answer):
            result = answers.classify(
                ending.key,
                outcome.status,
                outcome.headers,
                outcome.body,
                self._table,
                truncated=outcome.truncated,
            )
            result.duration_ms, result.answered_at = milliseconds, time_ns()
            return result
        return Result(
            ending.key,
            Outcome.UNKNOWN if outcome.may_have_arrived else Outcome.NOT_SENT,
            error_code=outcome.code,
            error_message=outcome.text,
            duration_ms=milliseconds,
            answered_at=time_ns(),
        )


def create(
    *,
    base_url: str,
    version: str,
    table: ErrorTable,
    transport: str,
    concurrency: int,
    connect_timeout: float,
    read_timeout: float,
) -> WhatsAppCloud:
    """Return the provider over ``curl`` or ``requests``; time-outs in seconds."""
    return WhatsAppCloud(
        base_url=base_url,
        version=version,
        table=table,
        transport=TRANSPORTS[transport](
            concurrency=concurrency, connect_timeout=connect_timeout, read_timeout=read_timeout
        ),
    )
