"""Process stored webhooks again."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime, parse_duration
from rich.progress import Progress

from messaging import replay
from messaging.models import WebhookDelivery, WebhookEvent


class Command(BaseCommand):
    """For the time after a fault of ours in reading webhooks was mended."""

    help = "Put stored webhooks back into the inbox. Repeating effects changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the period and the filter."""
        parser.add_argument(
            "--since",
            required=True,
            help="a time (2026-11-25T08:00:00Z) or how long ago (2:00:00 for two hours, '3 days')",
        )
        parser.add_argument(
            "--result",
            choices=WebhookEvent.Result.values,
            help="only deliveries with an event of this result",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Put them back and say how many."""
        since = _moment(options["since"])
        deliveries = WebhookDelivery.objects.filter(received_at__gte=since)
        if options["result"]:
            deliveries = deliveries.filter(events__result=options["result"])
        with Progress(disable=not sys.stderr.isatty()) as bar:
            total = deliveries.values("pk").distinct().count()
            task = bar.add_task("Webhooks", total=total)
            count = replay.process_again(
                deliveries,
                actor="system:replay_webhooks",
                reason=f"Received since {since.isoformat(timespec='seconds')}.",
                progress=lambda number: bar.advance(task, number),
            )
        self.stdout.write(f"{count} webhooks are processed again.")


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
        age = parse_duration(text) if moment is None else None
    except ValueError:
        moment = age = None
    if moment is not None and timezone.is_aware(moment):
        return moment
    if age is not None and age > timedelta(0):
        return timezone.now() - age
    message = f"--since {text}: give a time with its zone, or how long ago, such as 2:00:00."
    raise CommandError(message)
