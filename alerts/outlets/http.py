"""Posting to a server somebody named: bounded in time and size, and not into our own network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.utils import timezone

from alerts.outlets.base import OutletError

TIMEOUTS = (5.0, 10.0)  # to connect, and between two bytes of the answer; seconds
SLACK_HOST = "hooks.slack.com"


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
    _refuse_our_own_network(urlsplit(url).hostname or "")
    try:
        with requests.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", "User-Agent": "Outbound", **headers},
            timeout=TIMEOUTS,
            allow_redirects=False,
            stream=True,  # the answer's body is not read, however long it is
        ) as answer:
            _check(answer)
    except requests.Timeout as error:
        text = "No answer in time"
        raise OutletError(text) from error
    except requests.RequestException as error:
        raise OutletError(f"No connection ({type(error).__name__})") from error


def _check(answer: requests.Response) -> None:
    status = answer.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    raise OutletError(
        f"Answered {status}",
        permanent=status in {HTTPStatus.GONE, HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN},
        retry_after=_retry_after(answer.headers.get("Retry-After", "")),
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


def _refuse_our_own_network(host: str) -> None:
    """Raise OutletError for a host that is inside: a URL must not become a way in."""
    if is_trusted(host):
        return
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError as error:
        text = "The host name was not found"
        raise OutletError(text) from error
    for *_rest, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            text = "The host is inside our own network"
            raise OutletError(text, permanent=True)
