"""Make the demonstration's organisation, number, consents, key and login; idempotent."""

from __future__ import annotations

import json
import os
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from consent import contacts, ledger
from consent.contacts import Recipient
from messaging.connect import Connection, connect
from messaging.management.demo.scenarios import REVOKED, SCENARIOS, WITHOUT_CONSENT
from orgs import keys
from orgs.models import ApiKey, Organization

ACTOR = "system:demo"
USERNAME = "demo"


class Command(BaseCommand):
    """Prints one JSON object with the key and the login; both are new at each run."""

    help = "Make the data of the demonstration."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Seed and print."""
        secret = os.environ.get("WHATSAPP_APP_SECRET", "")
        if not secret:
            message = "WHATSAPP_APP_SECRET is needed: the secret the sandbox signs with."
            raise CommandError(message)
        org, _ = Organization.objects.get_or_create(
            org_id="demo", defaults={"name": "Demonstration"}
        )
        connect(
            org,
            Connection(
                app_id="300000000000001",
                waba_id="100000000000001",
                phone_number_id="200000000000001",
                access_token="sandbox-token",  # noqa: S106 - the sandbox takes any
                app_secret=secret,
                verify_token=secrets.token_urlsafe(16),
            ),
            actor=ACTOR,
            verify=True,
        )
        _consents(org)
        access = {"api_key": _key(org), "username": USERNAME, "password": _login()}
        self.stdout.write(json.dumps(access))


def _consents(org: Organization) -> None:
    phones = {scenario.to for scenario in SCENARIOS} - WITHOUT_CONSENT
    people = contacts.find_or_create(org, [Recipient(phone, None) for phone in sorted(phones)])
    now = timezone.now()
    entries = {
        person.phone: ledger.Entry(
            contact_id=contact.pk,
            channel="WHATSAPP",
            purpose="transactional",
            source="import",
            actor=ACTOR,
            proof={"reference": "demonstration"},
            expires_at=None,
            occurred_at=now,
        )
        for person, contact in people.items()
    }
    ledger.grant(org, [entry for phone, entry in entries.items() if phone not in REVOKED])
    ledger.revoke(org, [entry for phone, entry in entries.items() if phone in REVOKED])


def _key(org: Organization) -> str:
    for old in ApiKey.objects.filter(org=org, name="Demonstration", revoked_at=None):
        keys.revoke(old, actor=ACTOR)
    _, secret = keys.issue(
        org, name="Demonstration", scopes=["send", "read", "manage"], actor=ACTOR
    )
    return secret


def _login() -> str:
    """Give the demonstration's user a new password and return it."""
    user, _ = get_user_model().objects.get_or_create(
        username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    password = secrets.token_urlsafe(9)
    user.set_password(password)
    user.save()
    return password
