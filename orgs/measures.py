"""What processes measure, brought together: each adds its increase to the database's tallies.

Measured are the counters and histograms of ``prometheus_client`` whose names begin with one of
``PREFIXES``. A killed process loses what it measured since it last published; facts that must
not be lost are tallies instead.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from multiprocessing.util import Finalize

from django.db import DatabaseError, InterfaceError, connection, transaction
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from orgs import database, tallies
from orgs.tallies import Key

logger = logging.getLogger(__name__)

PREFIXES = ("outbound_", "django_")
EVERY_SECONDS = 10.0
_TYPES = frozenset({"counter", "histogram", "summary"})
_CREATED = "_created"  # when a series began in one process: of no use for the sum


def families() -> Iterator[Metric]:
    """Return the families that are brought together, as this process has measured them."""
    for family in REGISTRY.collect():
        if family.name.startswith(PREFIXES) and family.type in _TYPES:
            family.samples = [
                sample for sample in family.samples if not sample.name.endswith(_CREATED)
            ]
            yield family


class _Publisher:
    """Knows what it has published of this process's values; from any thread."""

    def __init__(self) -> None:
        self._published: dict[Key, float] = {}
        self._lock = threading.Lock()
        self._pid = 0
        self._stopping = threading.Event()

    def publish(self) -> None:
        """Add what was measured since the last time; nothing to add costs no query."""
        with self._lock:
            values = _values()
            grown = {
                key: value - self._published.get(key, 0.0)
                for key, value in values.items()
                if value != self._published.get(key, 0.0)
            }
            if grown:
                with transaction.atomic():
                    tallies.write(grown, common=True)
                self._published = values

    def start(self) -> None:
        """Publish once in a while, by a thread of this process."""
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
        self._stopping.clear()
        threading.Thread(target=self._run, name="measures", daemon=True).start()
        # Not atexit: the processes that a web server starts by multiprocessing end without it.
        Finalize(None, self.stop, exitpriority=10)

    def stop(self) -> None:
        """Publish a last time."""
        if self._pid == os.getpid() and not self._stopping.is_set():
            self._stopping.set()
            self._try()
            self._pid = 0

    def forked(self) -> None:
        """Begin anew in a forked process: it has no thread, and locks may have been held."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS):
            self._try()

    def _try(self) -> None:
        try:
            self.publish()
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            logger.warning("Measures not published (%s)", type(error).__name__)
        finally:
            database.release_connection()


def _values() -> dict[Key, float]:
    values = {
        (sample.name, tallies.labels_text(sample.labels)): sample.value
        for family in families()
        for sample in family.samples
    }
    return {key: value for key, value in values.items() if len(key[1]) <= tallies.LONGEST_LABELS}


_publisher = _Publisher()
os.register_at_fork(after_in_child=_publisher.forked)

publish = _publisher.publish
start = _publisher.start
stop = _publisher.stop
