"""Running the engine by hand: one round at a time, in the test's own thread."""

from __future__ import annotations

from messaging.dispatcher import Dispatcher


def send_due() -> int:
    """Claim and send one batch and see it recorded; return how many were claimed."""
    dispatcher = Dispatcher()
    claimed = dispatcher.turn()
    dispatcher.finish()
    return claimed
