"""The second factor: codes of an app on somebody's phone, and recovery codes for when it is lost.

The secret is encrypted at rest, a code is good once, guesses are slowed down, recovery codes are
kept as hashes. The arithmetic is django-otp's; its tables are not used, because they keep secrets
and recovery codes in the clear.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import timedelta
from urllib.parse import quote, urlencode

import segno
from django.contrib.auth.models import User
from django.db import transaction
from django_otp.oath import TOTP

from orgs import audit, database, staff
from orgs.models import SecondFactor

STEP_SECONDS = 30
DIGITS = 6
TOLERANCE = 1  # steps a phone's clock may be off either way
RECOVERY_CODES = 10
# Wrong codes in a row that cost nothing; from then on each doubles the wait.
FREE_FAILURES = 3
LONGEST_WAIT_SECONDS = 900
ISSUER = "Outbound"


def of(user: User) -> SecondFactor | None:
    """Return the factor somebody has set up and confirmed."""
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).first()


def begin(user: User) -> SecondFactor:
    """Return a factor to be confirmed; the same one until then.

    Raises ValueError when there is a confirmed one.
    """
    factor, _ = SecondFactor.objects.get_or_create(
        user=user, defaults={"secret": secrets.token_bytes(20).hex()}
    )
    if factor.confirmed_at:
        message = "There is a second factor already."
        raise ValueError(message)
    return factor


def address(factor: SecondFactor) -> str:
    """Return what the phone's app reads from the picture."""
    label = quote(f"{ISSUER}:{factor.user.get_username()}")
    return f"otpauth://totp/{label}?{urlencode({'secret': typed(factor), 'issuer': ISSUER})}"


def typed(factor: SecondFactor) -> str:
    """Return the secret for those who cannot scan."""
    return base64.b32encode(bytes.fromhex(factor.secret)).decode()


def picture(factor: SecondFactor) -> str:
    """Return the code to scan, as SVG to put into a page."""
    made = segno.make(address(factor), error="m", micro=False)
    return str(made.svg_inline(scale=5, border=2, dark="#000", light="#fff"))


@transaction.atomic
def confirm(user: User, code: str) -> list[str]:
    """Confirm the new factor by a code of it; return the recovery codes, empty if it is wrong.

    They are shown this once.
    """
    factor = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at=None).first()
    if factor is None or not _is_right(factor, code, recovery=False):
        return []
    codes = [secrets.token_hex(5) for _ in range(RECOVERY_CODES)]
    factor.recovery = [_digest(each) for each in codes]
    factor.confirmed_at = database.now()
    factor.save()
    _record(user, staff.actor(user), "second_factor.set_up")
    return codes


@transaction.atomic
def verify(user: User, code: str) -> bool:
    """Say whether the code, or recovery code, is right; either is good once."""
    factor = (
        SecondFactor.objects.select_for_update()
        .filter(user=user, confirmed_at__isnull=False)
        .first()
    )
    return factor is not None and _is_right(factor, code, recovery=True)


@transaction.atomic
def remove(user: User, *, actor: str, reason: str = "") -> bool:
    """Remove somebody's factor, as when the phone is lost; say whether there was one."""
    count, _ = SecondFactor.objects.filter(user=user).delete()
    if count:
        _record(user, actor, "second_factor.removed", reason)
    return bool(count)


def _is_right(factor: SecondFactor, code: str, *, recovery: bool) -> bool:
    """Check a code under the row's lock and write down what follows from it."""
    now = database.now()
    if factor.wait_until and now < factor.wait_until:
        return False
    found = _matches(factor, code.replace(" ", ""), now.timestamp(), recovery=recovery)
    factor.failures = 0 if found else factor.failures + 1
    beyond = factor.failures - FREE_FAILURES
    seconds = min(2**beyond, LONGEST_WAIT_SECONDS) if 0 <= beyond < 16 else LONGEST_WAIT_SECONDS
    factor.wait_until = None if beyond < 0 else now + timedelta(seconds=seconds)
    factor.save()
    return found


def _matches(factor: SecondFactor, code: str, seconds: float, *, recovery: bool) -> bool:
    if code.isascii() and code.isdigit() and len(code) == DIGITS:
        totp = TOTP(bytes.fromhex(factor.secret), STEP_SECONDS, 0, DIGITS)
        totp.time = seconds
        if not totp.verify(int(code), TOLERANCE, factor.last_step + 1):
            return False
        factor.last_step = totp.t()
        return True
    digest = _digest(code.lower())
    if recovery and digest in factor.recovery:
        factor.recovery = [each for each in factor.recovery if each != digest]
        _record(factor.user, staff.actor(factor.user), "second_factor.recovery_code_used")
        return True
    return False


def _record(user: User, actor: str, action: str, reason: str = "") -> None:
    audit.record([audit.Entry(None, actor, action, f"user:{user.pk}", reason)])


def _digest(code: str) -> str:
    # 40 random bits, guesses slowed down: no slow hash is needed.
    return hashlib.sha256(code.encode()).hexdigest()
