"""Posting to a server somebody named: bounded in time and size, and not into our own network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_network
from urllib.parse import urlsplit

import certifi
import pycurl
from django.conf import settings
from django.utils import timezone

from alerts.outlets.base import OutletError

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 15.0  # from the name's look-up to the last header: a host that drips gains nothing
MOST_HEADER_BYTES = 32 * 1024
SLACK_HOST = "hooks.slack.com"
# RFC 6052: an IPv4 address written as IPv6, which a gateway leads to.
NAT64 = ip_network("64:ff9b::/96")


def problem_of(url: str, *, only: str = "") -> str:
    """Say what is wrong with a URL; empty: nothing. ``only`` is the one host outside the trusted.

    Trusted hosts (OUTBOUND_ALERT_TRUSTED_HOSTS) may be spoken to without TLS.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return "It is not a URL."
    if is_trusted(host):
        return "" if parts.scheme in {"https", "http"} else "It must begin with https://."
    if parts.scheme != "https" or not host:
        return "It must begin with https://."
    if parts.username or parts.password:
        return "It must hold no user name."
    if only and host != only:
        return f"It must be at {only}, or at a host of OUTBOUND_ALERT_TRUSTED_HOSTS."
    return ""


def is_trusted(host: str) -> bool:
    """Say whether the settings trust the host."""
    return host.lower() in {name.lower() for name in settings.OUTBOUND_ALERT_TRUSTED_HOSTS}


def post(url: str, body: bytes, headers: Mapping[str, str], *, only: str = "") -> None:
    """Post the JSON body; raise OutletError unless the answer is 2xx."""
    problem = problem_of(url, only=only)
    if problem:
        raise OutletError(f"URL refused. {problem}", permanent=True)
    parts = urlsplit(url)
    host = parts.hostname or ""
    answer = _Answer()
    handle = pycurl.Curl()
    try:
        for option, value in {
            pycurl.URL: url,
            pycurl.POSTFIELDS: body,
            pycurl.HTTPHEADER: _lines({**headers, "Content-Type": "application/json"}),
            pycurl.USERAGENT: "Outbound",
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.PROXY: "",  # none from the environment
            pycurl.NOSIGNAL: 1,
            pycurl.CAINFO: certifi.where(),
            pycurl.CONNECTTIMEOUT_MS: int(CONNECT_SECONDS * 1000),
            pycurl.TIMEOUT_MS: int(WHOLE_SECONDS * 1000),
            pycurl.HEADERFUNCTION: answer.take_header,
            pycurl.WRITEFUNCTION: answer.refuse_body,
        }.items():
            handle.setopt(option, value)
        if not is_trusted(host):
            # What was looked at is what is connected to: a second look-up could say otherwise.
            addresses = ",".join(_public(host))
            handle.setopt(pycurl.RESOLVE, [f"{host}:{parts.port or 443}:{addresses}"])
        handle.perform()
    except pycurl.error as error:
        if not answer.is_whole:
            raise OutletError(_words(int(error.args[0]))) from error
    finally:
        handle.close()
    _check(answer)


class _Answer:
    """What is of interest of an answer: its status, and how long to wait."""

    def __init__(self) -> None:
        self.status = 0
        self.retry_after = ""
        self.is_whole = False  # all headers have come
        self._room = MOST_HEADER_BYTES

    def take_header(self, line: bytes) -> int | None:
        """Read one line; anything but None ends the call."""
        self._room -= len(line)
        if self._room < 0:
            return -1
        name, _, value = line.decode("latin-1").partition(":")
        if name.startswith("HTTP/"):
            self.status, self.is_whole = int(name.split()[1]), False
        elif name.lower() == "retry-after":
            self.retry_after = value.strip()
        elif not line.strip():
            self.is_whole = self.status >= HTTPStatus.OK  # not 100 Continue
        return None

    def refuse_body(self, _chunk: bytes) -> int:
        """End the call: the body is not read, however long it is."""
        return 0


def _lines(headers: Mapping[str, str]) -> list[str]:
    return [*(f"{name}: {value}" for name, value in headers.items()), "Expect:"]


def _words(code: int) -> str:
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return "No answer in time"
    return f"No connection (libcurl {code})"


def _check(answer: _Answer) -> None:
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    raise OutletError(
        f"Answered {answer.status}",
        permanent=answer.status in {HTTPStatus.GONE, HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN},
        retry_after=_retry_after(answer.retry_after),
    )


def _retry_after(text: str) -> float | None:
    """Return the seconds of a Retry-After, which may also be a date."""
    if text.strip().isdigit():
        return float(text)
    try:
        at: datetime = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - timezone.now()).total_seconds()


def _public(host: str) -> Sequence[str]:
    """Return the host's addresses; raise OutletError when one is inside our own network.

    A URL must not become a way in.
    """
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError as error:
        text = "The host name was not found"
        raise OutletError(text) from error
    addresses = {ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found}
    if not all(_is_public(address) for address in addresses):
        text = "The host is inside our own network"
        raise OutletError(text, permanent=True)
    return [f"[{each}]" if each.version == 6 else str(each) for each in addresses]


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in NAT64:
            return _is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global
