"""The provider circuit: while the provider is down the queue waits and one probe at a time goes.

Open means that a hold with the cause PROVIDER_UNAVAILABLE stands on the Meta app. It opens when
calls for several different messages fail in a row, and closes with the first answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from messaging import outcomes, wake
from messaging.providers.base import Result
from orgs import audit
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import FailureStreak, Hold

# The wait before a probe doubles with each that fails, up to this.
LONGEST_PROBE_WAIT_SECONDS = 60.0

ACTOR = "system:circuit"
UNAVAILABLE = Hold.Cause.PROVIDER_UNAVAILABLE


@dataclass(slots=True)
class Signs:
    """What a group of answers says of one app: failures since one last came through."""

    came_through: bool = False
    failed: list[uuid.UUID] = field(default_factory=list)

    def take(self, message_id: uuid.UUID, result: Result) -> None:
        """Add an answer, in the order in which they came."""
        if outcomes.came_through(result):
            self.came_through = True
            self.failed = []
        elif outcomes.is_outage(result):
            self.failed.append(message_id)


def open_apps(app_keys: Iterable[str]) -> dict[str, Hold]:
    """Return the open circuits among the apps, by Meta's id of the app."""
    return {
        hold.key: hold
        for hold in Hold.objects.filter(
            scope=Hold.Scope.APP, cause=UNAVAILABLE, key__in=set(app_keys)
        )
    }


def observe(signs: Mapping[str, Signs], circuits: Mapping[str, Hold], now: datetime) -> None:
    """Open, close or keep the circuits by the signs of each app; in a transaction."""
    streaks = {
        streak.app_key: streak
        for streak in FailureStreak.objects.select_for_update()
        .filter(app_key__in=set(signs))
        .order_by("app_key")
    }
    for app_key, sign in sorted(signs.items()):
        streak, circuit = streaks.get(app_key), circuits.get(app_key)
        if sign.came_through:
            _end(streak, circuit)
            streak = circuit = None
        if sign.failed:
            _worsen(app_key, streak, circuit, sign.failed, now)


@transaction.atomic
def close(circuit: Hold, *, actor: str, reason: str) -> bool:
    """Let everything be tried again at once; say whether it was still open."""
    closed = bool(holds.lift([circuit], actor=actor, reason=reason))
    wake.on_commit(wake.SEND)
    return closed


def is_probing(active: Sequence[Hold], now: datetime) -> bool:
    """Say whether nothing but an open circuit stops a number, and a probe is due."""
    return len(active) == 1 and active[0].cause == UNAVAILABLE and _is_due(active[0], now)


def _is_due(hold: Hold, now: datetime) -> bool:
    return hold.probe_at is not None and hold.probe_at <= now


def take_probe(hold: Hold, now: datetime) -> bool:
    """Take the right to send one message through an open circuit; one worker gets it."""
    again = now + timedelta(seconds=settings.OUTBOUND_LEASE_SECONDS)
    return bool(Hold.objects.filter(pk=hold.pk, probe_at__lte=now).update(probe_at=again))


def _end(streak: FailureStreak | None, circuit: Hold | None) -> None:
    if streak is not None:
        streak.delete()
    if circuit is not None:
        holds.lift([circuit], actor=ACTOR, reason="The provider answers again.")


def _worsen(
    app_key: str,
    streak: FailureStreak | None,
    circuit: Hold | None,
    failed: Sequence[uuid.UUID],
    now: datetime,
) -> None:
    if circuit is not None:
        wait = _probe_wait(circuit.probes + 1)
        Hold.objects.filter(pk=circuit.pk).update(probes=circuit.probes + 1, probe_at=now + wait)
        return
    known = streak.messages if streak else []
    enough = settings.OUTBOUND_CIRCUIT_MESSAGES
    different = list(dict.fromkeys([*known, *map(str, failed)]))[:enough]
    FailureStreak.objects.update_or_create(
        app_key=app_key,
        defaults={"messages": different},
        create_defaults={"messages": different, "began_at": now},
    )
    # Whoever opened it meanwhile held the streak's row until then.
    if len(different) >= enough and not open_apps([app_key]):
        _open(_request(app_key, now), now)


def _open(request: HoldRequest, now: datetime) -> None:
    holds.place([request], now)
    audit.record(
        [
            audit.Entry(
                None, ACTOR, "circuit.opened", f"{request.scope}:{request.key}", request.detail
            )
        ]
    )


def _request(app_key: str, now: datetime) -> HoldRequest:
    return HoldRequest(
        scope=Hold.Scope.APP,
        key=app_key,
        cause=UNAVAILABLE,
        until=None,
        detail="Calls for several messages failed in a row; one at a time tries again.",
        probe_at=now + _probe_wait(0),
    )


def _probe_wait(probes: int) -> timedelta:
    first = settings.OUTBOUND_CIRCUIT_PROBE_SECONDS
    return timedelta(seconds=min(first * 2.0 ** min(probes, 10), LONGEST_PROBE_WAIT_SECONDS))
