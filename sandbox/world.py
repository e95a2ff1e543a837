"""What the sandbox remembers while it runs, and its way to the webhook receiver."""

from __future__ import annotations

import asyncio
import base64
import copy
import secrets
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox import signing, statuses
from sandbox.behaviours import Chooser
from sandbox.config import Config
from sandbox.ledger import Ledger
from sandbox.limits import Pairs, Throughput
from sandbox.poster import Delivery, Poster
from sandbox.templates import TEMPLATES

MOST_MEDIA = 10_000
WINDOW_SECONDS = 24 * 3600


class World:
    """The state of one sandbox."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.poster = Poster()
        self.ledger = Ledger(config.ledger_size)
        self.reset()

    def reset(self) -> None:
        """Forget sends, rules, counters, windows, media and what became of templates."""
        self.chooser = Chooser()
        self.ledger.clear()
        self.refused: Counter[str] = Counter()
        self.requests = 0
        self.accepted = 0
        self.throughput = Throughput()
        self.pairs = Pairs()
        self.templates = copy.deepcopy(TEMPLATES)
        self.media: dict[str, dict[str, Any]] = {}
        self.windows: dict[tuple[str, str], float] = {}
        self._gathered: deque[Mapping[str, Any]] = deque()
        self._flush: asyncio.TimerHandle | None = None

    def post_change(self, change: Mapping[str, Any]) -> None:
        """Post a change, alone or gathered with others as the settings say."""
        if self.config.statuses_per_post == 1:
            self.post([change])
            return
        self._gathered.append(change)
        if len(self._gathered) >= self.config.statuses_per_post:
            self._post_gathered()
        elif self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(statuses.GATHER_SECONDS, self._post_gathered)

    def post(self, changes: Sequence[Mapping[str, Any]]) -> None:
        """Sign and post one payload."""
        if not self.config.webhook_url:
            return
        body = signing.encode(statuses.envelope(changes))
        signature = signing.signature(body, self.config.app_secret)
        self.poster.post(Delivery(self.config.webhook_url, body, signature))

    def open_window(self, phone_number_id: str, person: str) -> None:
        """Note that the person has just written to the number."""
        self.windows[phone_number_id, person] = time.time()

    def window_is_open(self, phone_number_id: str, person: str) -> bool:
        """Say whether the person wrote to the number in the last 24 hours."""
        wrote_at = self.windows.get((phone_number_id, person), 0.0)
        return time.time() - wrote_at < WINDOW_SECONDS

    def add_media(self, details: dict[str, Any]) -> str:
        """Keep what was uploaded (not its bytes) and return its id."""
        media_id = str(secrets.randbelow(9 * 10**15) + 10**15)
        if len(self.media) >= MOST_MEDIA:
            self.media.clear()
        self.media[media_id] = details
        return media_id

    def stats(self) -> dict[str, Any]:
        """Return the counters."""
        poster = self.poster
        return {
            "requests": self.requests,
            "accepted": self.accepted,
            "refused": dict(self.refused),
            "rate_breaches": self.throughput.breaches,
            "pair_breaches": self.pairs.breaches,
            "webhooks": {
                "posted": poster.posted,
                "failed": poster.failed,
                "repeated": poster.repeated,
                "dropped": poster.dropped,
                "waiting": poster.waiting,
            },
        }

    def _post_gathered(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._gathered:
            changes = list(self._gathered)
            self._gathered.clear()
            self.post(changes)


def new_wamid() -> str:
    """Return an id as opaque as Meta's."""
    return "wamid." + base64.b64encode(b"HBg" + secrets.token_bytes(24)).decode()
