"""The garbage collector of a process that serves or sends for a long time."""

from __future__ import annotations

import gc

# Objects made since the last collection before the next. A batch of messages makes thousands that
# die by themselves; at Python's own 700 the collector walks over them, and over all that lives,
# several times a batch, and a pause of tens of milliseconds makes calls miss their start slots.
YOUNG_OBJECTS = 50_000


def settle() -> None:
    """Leave out of all collections what is loaded by now: it stays until the process ends."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
