"""Run the checks now, as their schedules do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from alerts import checking, delivery
from alerts.checklist import CHECKS
from messaging.draining import drain


class Command(BaseCommand):
    """Says what each check found; exit code 1 when one of them failed."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("names", nargs="*", choices=[[], *CHECKS], metavar="NAME")
        parser.add_argument(
            "--deliver", action="store_true", help="Send the notices at once, without a worker."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run them and report."""
        if not settings.OUTBOUND_ALERT_ENABLED:
            message = "OUTBOUND_ALERT_ENABLED is false: nothing is checked."
            raise CommandError(message)
        results = checking.run(options["names"] or CHECKS)
        for result in results:
            text = result.error or f"{result.found} open, {result.told} notice(s)"
            self.stdout.write(f"{result.check.name}: {text}")
        if options["deliver"]:
            drain(delivery.deliver_due)
        if any(result.error for result in results):
            message = "A check failed; see the log."
            raise CommandError(message)
