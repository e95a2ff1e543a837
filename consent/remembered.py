"""Keeping a STOP effective after its person was erased: by a keyed hash, nothing else."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence

from consent import history, ledger
from consent.models import Consent, ConsentEvent, Contact, HashKey, RememberedStop
from orgs.models import Organization

Named = tuple[int, Sequence[str | None]]  # contact, with its phone and BSUID


def keep(contact: Contact, consents: Sequence[Consent]) -> None:
    """Remember the STOPs that stand for a contact that is about to be erased, and no older ones.

    The consents must be locked, or somebody could decide meanwhile.
    """
    names = [name for name in (contact.phone, contact.bsuid) if name]
    key = _key()
    digests = [_digest(key, contact.org_id, name) for name in names]
    # What was remembered of an earlier erasure was given to this contact when it came: what
    # stands now follows from that, and from what the person has said since.
    RememberedStop.objects.filter(org_id=contact.org_id, digest__in=digests).delete()
    RememberedStop.objects.bulk_create(
        RememberedStop(
            org_id=contact.org_id,
            digest=digest,
            channel=row.channel,
            purpose=row.purpose,
            source=stop.source,
            decided_at=stop.occurred_at,
        )
        for row in consents
        for stop in _stops(row)
        for digest in digests
    )


def _stops(consent: Consent) -> list[ConsentEvent]:
    """Return the STOP to remember, at most one: what the person told us goes first."""
    return history.stops(ConsentEvent.objects.filter(consent=consent).order_by("pk"))[:1]


def apply(org: Organization, people: Iterable[Named]) -> None:
    """Give new contacts the STOPs that somebody of the same name said before being erased."""
    named = {(pk, name) for pk, names in people for name in names if name}
    if not named or not RememberedStop.objects.of(org).exists():
        return
    key = _key()
    by_digest: dict[str, set[int]] = {}
    for pk, name in named:
        by_digest.setdefault(_digest(key, org.pk, name), set()).add(pk)
    ledger.revoke(
        org,
        [
            ledger.Entry(
                contact_id=contact_id,
                channel=stop.channel,
                purpose=stop.purpose,
                source=stop.source,
                actor="system:erasure",
                occurred_at=stop.decided_at,
                proof={"remembered": True},
            )
            for stop in RememberedStop.objects.of(org).filter(digest__in=by_digest)
            for contact_id in sorted(by_digest[stop.digest])
        ],
    )


def _digest(key: bytes, org_id: int, name: str) -> str:
    """Return the hash; the organisation is in it, so that two of them cannot compare."""
    return hmac.new(key, f"{org_id}:{name}".encode(), hashlib.sha256).hexdigest()


def _key() -> bytes:
    """Return the key; the first who needs it makes it."""
    row = HashKey.objects.order_by("pk").first()
    if row is None:
        HashKey.objects.bulk_create(
            [HashKey(pk=1, secret=secrets.token_hex(32))], ignore_conflicts=True
        )
        row = HashKey.objects.get(pk=1)
    return row.secret.encode()
