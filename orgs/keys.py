"""Issuing, finding and revoking API keys."""

from __future__ import annotations

import hashlib
import secrets
import string
import threading
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from orgs import audit
from orgs.models import SCOPES, ApiKey, Organization

PREFIX_LENGTH = 8
# last_used_at is for people: a minute is exact enough, and a write per request is not.
LAST_USED_EVERY = timedelta(minutes=1)
# A process remembers at most this many keys.
CACHE_SIZE = 1000

_LETTERS = string.ascii_letters + string.digits
_cache: dict[str, tuple[float, ApiKey]] = {}
_cache_lock = threading.Lock()


def issue(org: Organization, *, name: str, scopes: Sequence[str], actor: str) -> tuple[ApiKey, str]:
    """Create a key; return it with its secret, which cannot be shown again.

    Raises ValueError for a scope that does not exist, or none at all.
    """
    wanted = [scope for scope in SCOPES if scope in scopes]
    if not wanted or set(scopes) - set(SCOPES):
        message = f"Scopes are one or more of: {', '.join(SCOPES)}."
        raise ValueError(message)
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(PREFIX_LENGTH))
    secret = f"ob_{prefix}_{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        key = ApiKey.objects.create(
            org=org, name=name, prefix=prefix, secret_hash=_digest(secret), scopes=wanted
        )
        audit.record(
            [
                audit.Entry(
                    org.pk, actor, "api_key.issued", f"api_key:{prefix}", after={"scopes": wanted}
                )
            ]
        )
    return key, secret


@transaction.atomic
def revoke(key: ApiKey, *, actor: str, reason: str = "") -> None:
    """Make the key useless, here at once and in other processes within seconds."""
    changed = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    if changed:
        audit.record(
            [audit.Entry(key.org_id, actor, "api_key.revoked", f"api_key:{key.prefix}", reason)]
        )
    with _cache_lock:
        _cache.pop(key.secret_hash, None)


def find(secret: str) -> ApiKey | None:
    """Return the unrevoked key with its organisation; None when there is none.

    The secret has 256 random bits, so looking it up by its hash gives nothing away.
    """
    digest = _digest(secret)
    with _cache_lock:
        known = _cache.get(digest)
    if known is not None and monotonic() < known[0]:
        return known[1]
    key = ApiKey.objects.select_related("org").filter(secret_hash=digest, revoked_at=None).first()
    if key is not None:
        _remember(digest, key)
        _note_use(key)
    return key


def forget_all() -> None:
    """Empty the cache of this process."""
    with _cache_lock:
        _cache.clear()


def _remember(digest: str, key: ApiKey) -> None:
    with _cache_lock:
        if len(_cache) >= CACHE_SIZE:
            _cache.clear()
        _cache[digest] = (monotonic() + settings.OUTBOUND_API_KEY_CACHE_SECONDS, key)


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY)
    if key.last_used_at is None or key.last_used_at < now - LAST_USED_EVERY:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
