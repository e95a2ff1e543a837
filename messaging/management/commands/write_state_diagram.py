"""Write docs/states.md from the table of moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from messaging import states

PAGE = """\
# The life of a message

Every move a message can make, generated from the table in `messaging/states.py` by
`make docs`; a test fails when this page is out of date. A move that is not in the table is
skipped and counted, never raised.

```mermaid
{diagram}```

- **Retry** is not a status: a message that waits for its next attempt is QUEUED with a due time
  in the future. A message held back by its number, account or organisation is QUEUED too; the
  hold is a row of its own, so that lifting it frees everything at once.
- **Read** is not a status either: a message that was read is DELIVERED and has `read_at`.
- **The dead letter queue** is the set of FAILED messages.
- **Unknown** is a state of an attempt: the message stays SENDING and waits for a status that
  proves the call arrived.
"""


class Command(BaseCommand):
    """Run after changing the table."""

    help = "Write docs/states.md from the table of moves."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Write the page."""
        page = Path(settings.BASE_DIR) / "docs" / "states.md"
        page.write_text(PAGE.format(diagram=states.diagram()), encoding="utf-8")
        self.stdout.write("docs/states.md is current.")
