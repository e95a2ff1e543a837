"""Prove that every present answer follows from the recorded decisions."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from consent import checking


class Command(BaseCommand):
    """Reads only; may run while people decide. Exit code 1 when something is wrong."""

    help = "Compare every consent with its append-only history."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Check, print the counts, and name the first wrong ones by id."""
        report = checking.check_all()
        self.stdout.write(f"Consents: {report.consents}\nEvents: {report.events}")
        for finding, count in sorted(report.wrong.items()):
            ids = ", ".join(str(pk) for pk in report.examples[finding])
            self.stdout.write(f"Consents {finding}: {count} (ids: {ids})")
        if report.wrong:
            message = f"{report.wrong.total()} consent(s) are wrong."
            raise CommandError(message)
        self.stdout.write("Every present answer follows from its history.")
