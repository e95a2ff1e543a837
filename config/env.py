"""Typed readers for environment variables; a wrong value stops the process by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def raw(name: str) -> str | None:
    """Return the variable's text, or the content of the file that NAME_FILE points to."""
    file_name = os.environ.get(f"{name}_FILE")
    if file_name:
        try:
            return Path(file_name).read_text(encoding="utf-8").strip()
        except OSError as error:
            message = f"{name}_FILE: cannot read the file it names ({error.strerror})."
            raise ImproperlyConfigured(message) from error
    value = os.environ.get(name)
    return value.strip() if value and value.strip() else None


def text(name: str, default: str | None = None) -> str:
    """Return the variable, or the default; without either the process stops."""
    value = raw(name)
    if value is not None:
        return value
    if default is None:
        message = f"{name} is required. Set it in the environment (see .env.example)."
        raise ImproperlyConfigured(message)
    return default


def flag(name: str, *, default: bool) -> bool:
    """Return a yes/no variable: true, false, 1, 0, yes, no, on or off."""
    value = raw(name)
    if value is None:
        return default
    word = value.lower()
    if word not in _TRUE | _FALSE:
        message = f"{name} must be true or false."
        raise ImproperlyConfigured(message)
    return word in _TRUE


def choice(name: str, default: str, *, among: Sequence[str]) -> str:
    """Return one of the given words."""
    value = text(name, default)
    if value not in among:
        message = f"{name} must be one of: {', '.join(among)}."
        raise ImproperlyConfigured(message)
    return value


def whole(name: str, default: int, *, at_least: int = 0, at_most: int = 2**31 - 1) -> int:
    """Return a whole number inside the bounds."""
    value = raw(name)
    number = default if value is None else _convert(name, value, int, "a whole number")
    if not at_least <= number <= at_most:
        message = f"{name} must be a whole number from {at_least} to {at_most}."
        raise ImproperlyConfigured(message)
    return number


def seconds(name: str, default: float, *, at_least: float = 0.0) -> float:
    """Return a duration in seconds; fractions are allowed."""
    value = raw(name)
    number = default if value is None else _convert(name, value, float, "a number of seconds")
    if not number >= at_least:  # written so that nan is refused too
        message = f"{name} must be at least {at_least} seconds."
        raise ImproperlyConfigured(message)
    return number


def share(name: str, default: float) -> float:
    """Return a number from 0 to 1."""
    value = raw(name)
    number = default if value is None else _convert(name, value, float, "a number from 0 to 1")
    if not 0.0 <= number <= 1.0:
        message = f"{name} must be a number from 0 to 1."
        raise ImproperlyConfigured(message)
    return number


def words(name: str, default: Sequence[str] = ()) -> list[str]:
    """Return a comma-separated list without empty entries."""
    value = raw(name)
    if value is None:
        return list(default)
    return [word.strip() for word in value.split(",") if word.strip()]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Return a comma-separated list of networks such as 10.0.0.0/8 or fd00::/8."""
    return [_convert(name, word, ip_network, "networks such as 10.0.0.0/8") for word in words(name)]


def seconds_list(name: str, default: Sequence[float]) -> list[float]:
    """Return a comma-separated list of durations in seconds, none negative."""
    numbers = [_convert(name, word, float, "numbers of seconds") for word in words(name)]
    numbers = numbers or list(default)
    if any(not number >= 0 for number in numbers):
        message = f"{name} must hold numbers of seconds that are not negative."
        raise ImproperlyConfigured(message)
    return numbers


def url(name: str, default: str | None = None, *, schemes: Sequence[str]) -> str:
    """Return a URL whose scheme is one of the given ones."""
    value = text(name, default)
    parts = urlsplit(value)
    if parts.scheme not in schemes or not (parts.netloc or parts.scheme == "memory"):
        message = f"{name} must be a URL that begins with {' or '.join(schemes)}://."
        raise ImproperlyConfigured(message)
    return value


def database(name: str) -> dict[str, Any]:
    """Return Django's settings for the PostgreSQL URL in the variable."""
    value = url(name, schemes=["postgres", "postgresql"])
    try:
        settings: dict[str, Any] = environ.Env.db_url_config(value)
    except (ValueError, ImproperlyConfigured) as error:
        message = f"{name} must look like postgres://user:password@host:5432/name."
        raise ImproperlyConfigured(message) from error
    return settings


def email(name: str, default: str) -> dict[str, Any]:
    """Return Django's settings for the mail URL in the variable; a server has ten seconds."""
    value = text(name, default)
    if urlsplit(value).scheme not in environ.Env.EMAIL_SCHEMES:
        message = f"{name} must begin with {', '.join(sorted(environ.Env.EMAIL_SCHEMES))}."
        raise ImproperlyConfigured(message)
    try:
        settings: dict[str, Any] = environ.Env.email_url_config(value)
    except (ValueError, ImproperlyConfigured) as error:
        message = f"{name} must look like smtp+tls://user:password@mail.example.org:587."
        raise ImproperlyConfigured(message) from error
    given = {key: found for key, found in settings.items() if found not in {None, ""}}
    return {"EMAIL_TIMEOUT": 10, **given}


def _convert(name: str, value: str, convert: Callable[[str], T], expected: str) -> T:
    try:
        return convert(value)
    except ValueError as error:
        # The value stays out of the text: it may be a secret set under the wrong name.
        message = f"{name} must be {expected}."
        raise ImproperlyConfigured(message) from error
