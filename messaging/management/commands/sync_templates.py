"""Read the message templates of the connected accounts from Meta now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from messaging import template_sync
from messaging.models import BusinessAccount


class Command(BaseCommand):
    """One account after the other; says what came of each."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--waba-id", help="Only this account.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read them and report."""
        accounts = BusinessAccount.objects.order_by("waba_id")
        if options["waba_id"]:
            accounts = accounts.filter(waba_id=options["waba_id"])
        if not accounts:
            message = "No such account is connected; see connect_number."
            raise CommandError(message)
        for account in accounts:
            template_sync.sync(account)
            account.refresh_from_db()
            found = account.templates_error or f"{account.templates.count()} templates"
            self.stdout.write(f"{account.waba_id}: {found}")
