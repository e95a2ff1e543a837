"""System checks of the encryption keys."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from orgs import encryption


@register("orgs")
def encryption_keys_fit(**_kwargs: Any) -> list[CheckMessage]:
    """There is a key, and every key is one."""
    try:
        encryption.cipher()
    except ImproperlyConfigured as error:
        return [
            Error(
                str(error),
                hint="Make one with: python -c 'from cryptography.fernet import Fernet; "
                "print(Fernet.generate_key().decode())'",
                id="orgs.E001",
            )
        ]
    return []
