"""Claims batch after batch in this process and prints how long each took, in milliseconds."""

from __future__ import annotations

import json
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from messaging import claims  # noqa: E402 - Django is set up first

WARM_ROUNDS = 5


def main(rounds: int, size: int) -> None:
    """Claim; the messages stay claimed."""
    times = []
    for _ in range(WARM_ROUNDS + rounds):
        begun = time.perf_counter()
        claim = claims.claim_due(size)
        times.append((time.perf_counter() - begun) * 1000)
        assert claim is not None
        assert len(claim.messages) == size, len(claim.messages)
    print(json.dumps(times[WARM_ROUNDS:]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
