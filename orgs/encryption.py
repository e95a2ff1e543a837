"""Secrets at rest: a text column encrypted with rotating Fernet keys."""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


class DecryptionError(Exception):
    """None of the configured keys opens a stored secret."""


@cache
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def cipher() -> MultiFernet:
    """Return the cipher of OUTBOUND_ENCRYPTION_KEYS: the first encrypts, all decrypt.

    Raises ImproperlyConfigured when there is no key or one is not a Fernet key.
    """
    keys = tuple(settings.OUTBOUND_ENCRYPTION_KEYS)
    if not keys:
        message = "OUTBOUND_ENCRYPTION_KEYS must hold at least one Fernet key."
        raise ImproperlyConfigured(message)
    try:
        return _cipher(keys)
    except ValueError as error:
        message = "OUTBOUND_ENCRYPTION_KEYS must hold Fernet keys: 32 bytes as URL-safe base64."
        raise ImproperlyConfigured(message) from error


class EncryptedTextField(models.TextField[str, str]):
    """Plain text in Python, encrypted in the database; cannot be searched."""

    def from_db_value(self, value: str | None, *_args: Any) -> str | None:
        """Decrypt; raise DecryptionError when no key fits."""
        if not value:
            return value
        try:
            return cipher().decrypt(value.encode()).decode()
        except InvalidToken:
            message = (
                f"{self.model.__name__}.{self.name}: no key in OUTBOUND_ENCRYPTION_KEYS opens it. "
                "Add the key it was written with."
            )
            raise DecryptionError(message) from None

    def get_prep_value(self, value: Any) -> str | None:
        """Encrypt with the first key; an empty text stays empty."""
        text = super().get_prep_value(value)
        return cipher().encrypt(str(text).encode()).decode() if text else text

    def get_lookup(self, lookup_name: str) -> Any:
        """Refuse every look-up but isnull: equal texts are encrypted differently."""
        if lookup_name != "isnull":
            message = f"{self.name} is encrypted and cannot be searched."
            raise TypeError(message)
        return super().get_lookup(lookup_name)
