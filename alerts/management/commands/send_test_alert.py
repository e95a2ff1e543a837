"""Send a test by every outlet, or by one route of the console."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from alerts import testing
from alerts.models import Notice, Route
from alerts.severity import Severity


class Command(BaseCommand):
    """Says of each whether it arrived; exit code 1 unless all did."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--route", help="Name of a route; without it all, and the settings'.")
        parser.add_argument("--severity", choices=Severity.values, default=Severity.WARNING.value)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Send them and report."""
        routes = Route.objects.active().order_by("pk")
        name = options["route"]
        if name:
            routes = routes.filter(name=name)
            if not routes:
                message = "There is no active route of that name."
                raise CommandError(message)
        sent = testing.send_test(routes, with_settings=not name, severity=options["severity"])
        if not sent:
            message = "Nobody would be told: set recipients, or make a route in the console."
            raise CommandError(message)
        for notice in sent:
            self.stdout.write(testing.told(notice))
        if any(notice.state != Notice.State.SENT for notice in sent):
            message = "Not all have arrived."
            raise CommandError(message)
