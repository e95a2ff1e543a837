"""Create an organisation."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from orgs import audit
from orgs.models import Organization


class Command(BaseCommand):
    """The first step of a set-up."""

    help = "Create an organisation."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name it."""
        parser.add_argument("org_id", help="Public id: small letters, digits, - and _.")
        parser.add_argument("--name", help="For people; the id by default.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Create it, or say what is wrong with the id."""
        org = Organization(org_id=options["org_id"], name=options["name"] or options["org_id"])
        try:
            org.full_clean()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        org.save()
        audit.record([audit.Entry(org.pk, "system:create_org", "org.created", f"org:{org.org_id}")])
        self.stdout.write(f"Created organisation {org.org_id}.")
