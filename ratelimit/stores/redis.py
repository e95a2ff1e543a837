"""Counting in Redis, by one script for a whole batch.

All keys of an organisation share a hash tag, so that its script runs on one node of a cluster.
The times in the keys are compared with the caller's clock; their lives only tidy up.
"""

from __future__ import annotations

import hashlib
import logging
import struct
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from redis import Redis
from redis.exceptions import NoScriptError

from ratelimit.rules import (
    HORIZON,
    PAIR_DEBT,
    PAIR_MOST,
    PAIR_STEP,
    SECOND,
    START_MOST,
    THROTTLE_MOST,
    Ask,
    Limit,
    Quota,
    Verdict,
)
from ratelimit.stores.wire import Wire, packed

logger = logging.getLogger(__name__)

_LIMITS = (None, Limit.THROTTLED, Limit.QUOTA, Limit.PAIR, Limit.THROUGHPUT)
_FOLDER = Path(__file__).parent
# Lua's numbers are exact up to here.
_LARGEST = 9 * 10**15
_CONSTANTS = f"""
local horizon, step, debt, largest = {HORIZON}, {PAIR_STEP}, {PAIR_DEBT}, {_LARGEST}
local start_most, pair_most, throttle_most = {START_MOST}, {PAIR_MOST}, {THROTTLE_MOST}
"""

# As decide.lua packs its answer: whether there was rubbish and the window, then for each ask why
# it is held and its time.
_ANSWER = struct.Struct(">BQ")
# As it is asked: the time, the window's length and how many numbers there are, then for each ask
# which number and which pair (0: none) it concerns, and its gap.
_ASKED, _ASK = struct.Struct(">QQH"), struct.Struct(">HHI")

T = TypeVar("T")
Load = Callable[[Collection[int]], Mapping[int, Quota]]


class _Script(NamedTuple):
    """A script by its hash and by its text, each the beginning of a command."""

    known: tuple[bytes, bytes]
    given: tuple[bytes, bytes]


class RedisStore:
    """Answers for the organisations whose quota it knows, and asks ``load`` for the others."""

    def __init__(self, client: Redis, load: Load) -> None:
        self._client = client
        self._wire = Wire(client)
        self._load = load
        self._scripts = {name: _script(name) for name in ("decide", "seed", "give_back")}
        self._rubbish: set[str] = set()  # organisations whose keys were already reported
        self._patience = threading.local()

    def begin(self, seconds: float) -> None:
        """Have this thread's calls from now on take that long together.

        Each that would begin later raises UnusableError.
        """
        self._patience.until = monotonic() + seconds

    def decide(self, asks: Sequence[Ask], now: int) -> list[Verdict]:
        """Answer the asks and count those that may go; portfolios' tiers are not known here."""
        if not asks:
            return []
        first = asks[0].org
        if len(asks) == 1 or all(ask.org == first for ask in asks):
            return self._decide(asks, now)
        verdicts: list[Verdict | None] = [None] * len(asks)
        places: dict[int, list[int]] = {}
        for place, ask in enumerate(asks):
            places.setdefault(ask.org, []).append(place)
        for of_org in places.values():
            batch = [asks[place] for place in of_org]
            for place, verdict in zip(of_org, self._decide(batch, now), strict=True):
                verdicts[place] = verdict
        return [verdict for verdict in verdicts if verdict is not None]

    def give_back(self, asks: Sequence[tuple[Ask, int]]) -> None:
        """Return what was counted in a window and not used."""
        by_window: dict[tuple[int, int], list[Ask]] = {}
        for ask, window in asks:
            by_window.setdefault((ask.org, window), []).append(ask)
        for (_org, window), unused in by_window.items():
            counter, _limit, ends, _throttle = _keys(unused[0].org_id)
            pairs = Counter(
                packed(_pair_name(ask.org_id, ask.number, ask.contact))
                for ask in unused
                if ask.contact
            )
            self._run("give_back", [counter, ends, *pairs], len(unused), window, *pairs.values())

    def seed(self, org_id: str, quota: Quota, now: int, *, overwrite: bool = False) -> None:
        """Take over what the database knows; unless ``overwrite``, only where nothing is known."""
        length = settings.WHATSAPP_RATE_LIMIT_WINDOW_SECONDS * SECOND
        arguments = (quota.sent, quota.limit, quota.reset, quota.throttled, now, length)
        found = self._run("seed", _keys(org_id), *arguments, int(overwrite))
        if found == 2:
            self._report_rubbish(org_id)

    def set_debts(self, org_id: str, debts: Mapping[tuple[int, int], int], now: int) -> None:
        """Take over what the database knows of some pairs."""
        self._set_times(
            {_pair_name(org_id, number, contact): at for (number, contact), at in debts.items()},
            now,
        )

    def set_starts(self, starts: Mapping[tuple[str, int], int], now: int) -> None:
        """Take over the first free start slots of numbers, by organisation and number."""
        self._set_times(
            {_start_name(org_id, number): at for (org_id, number), at in starts.items()}, now
        )

    def _set_times(self, times: Mapping[str | bytes, int], now: int) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for name, at in times.items():
            pipeline.set(name, at, px=max(0, at - now) // 1000 + 60_000)
        pipeline.execute()

    def _report_rubbish(self, org_id: str) -> None:
        if org_id not in self._rubbish:
            self._rubbish.add(org_id)
            logger.warning("Limit keys in Redis were unusable; rebuilt", extra={"org_id": org_id})

    def _decide(self, asks: Sequence[Ask], now: int) -> list[Verdict]:
        keys, argument = _asked(asks, now)
        answer = self._run("decide", keys, argument)
        tries = 0
        while not answer:
            # Somebody may flush it between the two; a third time it is not Redis that we see.
            tries += 1
            if tries > 3:
                message = "Redis does not keep what it is given"
                raise UnusableError(message)
            ask = asks[0]
            self.seed(ask.org_id, self._load([ask.org])[ask.org], now)
            answer = self._run("decide", keys, argument)
        verdicts = _ANSWER.iter_unpack(answer)
        has_rubbish, window = next(verdicts)
        if has_rubbish:
            self._report_rubbish(asks[0].org_id)
        return [Verdict(_LIMITS[code], at, 0 if code else window) for code, at in verdicts]

    def _run(self, name: str, keys: Sequence[bytes], *arguments: bytes | int) -> Any:
        """Run a script by its hash; a server that does not know it is given it."""
        if monotonic() > getattr(self._patience, "until", inf):
            message = "Redis is too slow"
            raise UnusableError(message)
        script = self._scripts[name]
        rest = [packed(len(keys)), *keys, *map(packed, arguments)]
        try:
            return self._wire.call([*script.known, *rest])
        except NoScriptError:
            return self._wire.call([*script.given, *rest])


class UnusableError(Exception):
    """Redis answers, but nothing can be counted in it."""


def _script(name: str) -> _Script:
    text = _CONSTANTS + _source("common") + _source(name)
    # The name Redis knows it by; it proves nothing.
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return _Script((packed("EVALSHA"), packed(digest)), (packed("EVAL"), packed(text)))


def _source(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


def _asked(asks: Sequence[Ask], now: int) -> tuple[list[bytes], bytes]:
    """Return the keys and the argument of the script for the asks of one organisation."""
    org_id = asks[0].org_id
    numbers: dict[int, int] = {}
    pairs: dict[tuple[int, int], int] = {}
    rows = []
    for ask in asks:
        number = numbers.setdefault(ask.number, len(numbers) + 1)
        pair = pairs.setdefault((ask.number, ask.contact), len(pairs) + 1) if ask.contact else 0
        rows.append(_ASK.pack(number, pair, ask.gap))
    keys = [*_keys(org_id), *[_start_key(org_id, number) for number in numbers]]
    keys += [packed(_pair_name(org_id, *pair)) for pair in pairs]
    length = settings.WHATSAPP_RATE_LIMIT_WINDOW_SECONDS * SECOND
    return keys, _ASKED.pack(now, length, len(numbers)) + b"".join(rows)


@lru_cache(maxsize=10_000)
def _keys(org_id: str) -> tuple[bytes, ...]:
    """Return the names of the organisation's keys; the braces are a cluster's hash tag."""
    return tuple(
        packed(f"whatsapp:ratelimit:{what}:{{{org_id}}}")
        for what in ("counter", "limit", "window", "throttle")
    )


def _start_name(org_id: str, number: int) -> str:
    return f"whatsapp:ratelimit:throughput:{{{org_id}}}:{number}"


@lru_cache(maxsize=10_000)
def _start_key(org_id: str, number: int) -> bytes:
    return packed(_start_name(org_id, number))


def _pair_name(org_id: str, number: int, contact: int) -> bytes:
    return b"%b%d" % (_pair_start(org_id, number), contact)


@lru_cache(maxsize=10_000)
def _pair_start(org_id: str, number: int) -> bytes:
    """Return what the names of a number's pairs begin with; the person's number follows."""
    return f"whatsapp:ratelimit:pair:{{{org_id}}}:{number}:".encode()
