"""Connect a phone number of an organisation to Meta's Cloud API."""

from __future__ import annotations

import getpass
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messaging.connect import Connection, TakenError, connect
from messaging.providers.whatsapp.api import ApiError
from orgs.models import Organization


class Command(BaseCommand):
    """Secrets come from the environment or a prompt, so that none lands in a shell history."""

    help = (
        "Connect a phone number. The access token, app secret and verify token are read from "
        "WHATSAPP_ACCESS_TOKEN, WHATSAPP_APP_SECRET and WHATSAPP_VERIFY_TOKEN, or asked for."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the ids; none of them is secret."""
        parser.add_argument("org_id")
        parser.add_argument("--app-id", required=True, help="Meta app id")
        parser.add_argument("--waba-id", required=True, help="WhatsApp Business Account id")
        parser.add_argument("--phone-number-id", required=True)
        parser.add_argument(
            "--no-verify", action="store_true", help="Do not read the number from Meta first."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Connect and say what is connected."""
        org = Organization.objects.filter(org_id=options["org_id"]).first()
        if org is None:
            message = f"There is no organisation {options['org_id']}; create it with create_org."
            raise CommandError(message)
        wanted = Connection(
            app_id=options["app_id"],
            waba_id=options["waba_id"],
            phone_number_id=options["phone_number_id"],
            access_token=_secret("WHATSAPP_ACCESS_TOKEN", "Access token"),
            app_secret=_secret("WHATSAPP_APP_SECRET", "App secret"),
            verify_token=_secret("WHATSAPP_VERIFY_TOKEN", "Verify token"),
        )
        try:
            number = connect(
                org, wanted, actor="system:connect_number", verify=not options["no_verify"]
            )
        except ApiError as error:
            message = f"Meta refused the number: {error}"
            raise CommandError(message) from error
        except TakenError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Connected {number.phone_number_id} to {org.org_id}.")


def _secret(name: str, prompt: str) -> str:
    value = os.environ.get(name) or getpass.getpass(f"{prompt}: ")
    if not value.strip():
        message = f"{prompt} must not be empty; set {name} or type it."
        raise CommandError(message)
    return value.strip()
