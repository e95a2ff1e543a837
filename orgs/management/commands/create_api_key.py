"""Issue an API key and show it once."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orgs import keys
from orgs.models import SCOPES, Organization


class Command(BaseCommand):
    """The second step of a set-up."""

    help = "Issue an API key for an organisation; it is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say for whom and what it may do."""
        parser.add_argument("org_id")
        parser.add_argument("--name", default="default")
        parser.add_argument("--scopes", default="send,read", help=f"Of: {', '.join(SCOPES)}.")
        parser.add_argument("--plain", action="store_true", help="Print the key and nothing else.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Issue and print."""
        org = Organization.objects.filter(org_id=options["org_id"]).first()
        if org is None:
            message = f"There is no organisation {options['org_id']}; create it with create_org."
            raise CommandError(message)
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            _, secret = keys.issue(
                org, name=options["name"], scopes=scopes, actor="system:create_api_key"
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        if not options["plain"]:
            self.stdout.write("Keep this key: it cannot be shown again.")
        self.stdout.write(secret)
