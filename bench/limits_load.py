"""Ways of asking the limits, as fast as each goes, by some threads. Prints figures as JSON."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402 - Django is set up first
from django.utils import timezone  # noqa: E402 - as above

from orgs.models import Organization  # noqa: E402 - as above
from ratelimit import limiter  # noqa: E402 - as above
from ratelimit.models import WhatsAppRateLimit  # noqa: E402 - as above
from ratelimit.rules import LARGEST_QUOTA, SECOND, Ask, Verdict  # noqa: E402 - as above

WARM_SECONDS = 0.2
# A start slot each microsecond: the throughput is counted, but holds nobody.
GAP = 1

_people = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Case:
    """A way of asking, and how many messages at once: each to a person of its own, or to none."""

    build: Callable[[Organization, int, bool], Callable[[], int]]
    batch: int = 1
    pairs: bool = False


def main() -> None:
    """Run every case by so many threads at once, in turns, and print what was granted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], metavar="CASE")
    options = parser.parse_args()
    org = _organization()
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in options.cases or CASES}
    for _ in range(options.rounds):
        # In turns, so that what is compared is measured close together.
        for name, runs in figures.items():
            runs.append(_measure(org, CASES[name], options.threads, options.seconds))
    print(json.dumps(figures))


def _measure(org: Organization, case: Case, threads: int, seconds: float) -> dict[str, float]:
    deed = case.build(org, case.batch, case.pairs)
    counts = [0] * threads
    failures: list[BaseException] = []
    cpu = 0.0

    def begin() -> None:
        nonlocal cpu
        cpu = time.process_time()

    start = threading.Barrier(threads, begin)

    def run(place: int) -> None:
        try:
            _until(deed, WARM_SECONDS)
            start.wait(30)
            counts[place] = _until(deed, seconds)
        except BaseException as error:  # noqa: BLE001 - shown by the main thread
            failures.append(error)
            start.abort()
        finally:
            connection.close()

    workers = [threading.Thread(target=run, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    permits = sum(counts) / seconds
    return {
        "decisions_per_second": permits / case.batch,
        "permits_per_second": permits,
        "client_us_per_permit": (time.process_time() - cpu) * 1e6 / max(1, sum(counts)),
    }


def _until(deed: Callable[[], int], seconds: float) -> int:
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        count += deed()
    return count


def _asks(org: Organization, batch: int, *, pairs: bool) -> list[Ask]:
    return [Ask(org.pk, org.org_id, 1, GAP, next(_people) if pairs else 0) for _ in range(batch)]


def _granted(verdicts: Sequence[Verdict]) -> int:
    """Count what was let go; behind a lock for long, its moment may have passed."""
    return sum(verdict.limit is None for verdict in verdicts)


def _now() -> int:
    return int(time.time() * SECOND)


def _redis(org: Organization, batch: int, pairs: bool) -> Callable[[], int]:  # noqa: FBT001 - a case
    """As a claim asks early: breaker, metrics and what Redis has to catch up with included."""

    def decide() -> int:
        verdicts = limiter.screen(_asks(org, batch, pairs=pairs), _now())
        assert verdicts is not None, "Redis is away"
        return _granted(verdicts)

    return decide


def _database(org: Organization, batch: int, pairs: bool) -> Callable[[], int]:  # noqa: FBT001 - a case
    def decide() -> int:
        with transaction.atomic():
            return _granted(limiter.confirm(_asks(org, batch, pairs=pairs), _now()))

    return decide


def _incr(org: Organization, _batch: int, _pairs: bool) -> Callable[[], int]:  # noqa: FBT001 - a case
    front = limiter._front()  # noqa: SLF001 - the same client
    assert front is not None
    client, key = front.client, f"bench:{org.org_id}"

    def count() -> int:
        client.incr(key)
        return 1

    return count


def _literal(org: Organization, _batch: int, _pairs: bool) -> Callable[[], int]:  # noqa: FBT001 - a case
    """The specification's check in the database: lock the row, compare, add one, save."""

    def check() -> int:
        with transaction.atomic():
            row = WhatsAppRateLimit.objects.select_for_update().get(org=org)
            now = timezone.now()
            if row.reset_at is None or row.reset_at <= now:
                row.messages_sent, row.reset_at = 0, now + timedelta(days=1)
            assert row.quota_limit is not None
            assert row.messages_sent < row.quota_limit
            row.messages_sent += 1
            row.save()
        return 1

    return check


BATCH = 100
CASES = {
    "bare INCR": Case(_incr),
    "Redis, single": Case(_redis),
    f"Redis, {BATCH}": Case(_redis, BATCH),
    f"Redis, {BATCH} pairs": Case(_redis, BATCH, pairs=True),
    "database, single": Case(_database),
    f"database, {BATCH}": Case(_database, BATCH),
    f"database, {BATCH} pairs": Case(_database, BATCH, pairs=True),
    "literal row lock": Case(_literal),
}


def _organization() -> Organization:
    org, _ = Organization.objects.get_or_create(org_id="bench", defaults={"name": "Bench"})
    WhatsAppRateLimit.objects.update_or_create(org=org, defaults={"quota_limit": LARGEST_QUOTA})
    return org


if __name__ == "__main__":
    main()
