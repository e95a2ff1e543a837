"""Post a signed sample to a running server and say what happened."""

from __future__ import annotations

import secrets
import threading
import time
from argparse import ArgumentParser
from typing import Any

import requests
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from messaging.models import MetaApp, WebhookDelivery
from messaging.providers.whatsapp import webhook

TIMEOUT_SECONDS = 10.0
PROCESSED_SECONDS = 15.0
SAMPLE = (
    b'{"object":"whatsapp_business_account","entry":[{"id":"0","changes":['
    b'{"field":"outbound_check","value":{"check":"%s"}}]}]}'
)


class Command(BaseCommand):
    """For the person who sets it up: each step of a webhook's way, and what to do if it fails."""

    help = "Ask the challenge of a running server and post a signed sample to it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the server and the app."""
        parser.add_argument("app_id", help="Meta app id, as connected")
        parser.add_argument("base_url", help="of the server, such as https://outbound.example")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Go step by step; stop at the first that fails."""
        app = MetaApp.objects.filter(app_id=options["app_id"]).first()
        if app is None:
            message = f"No app {options['app_id']} is connected; see connect_number."
            raise CommandError(message)
        if not app.secrets():
            message = f"App {app.app_id} has no app secret, so nothing it is sent can be verified."
            raise CommandError(message)
        url = options["base_url"].rstrip("/") + reverse("whatsapp-webhook-app", args=[app.app_id])
        self.stdout.write(f"Callback URL to enter at Meta: {url}")
        self._challenge(url, app)
        self._post(url, app)

    def _challenge(self, url: str, app: MetaApp) -> None:
        word = secrets.token_hex(8)
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": app.verify_token,
            "hub.challenge": word,
        }
        answer = _ask("GET", url, params=query)
        if answer.status_code != 200 or answer.text != word:
            message = (
                f"The challenge was answered with {answer.status_code}. Does this server use the "
                "same database, and does the address lead to it?"
            )
            raise CommandError(message)
        self.stdout.write("Challenge: answered rightly.")

    def _post(self, url: str, app: MetaApp) -> None:
        body = SAMPLE % secrets.token_hex(8).encode()
        unsigned = _ask("POST", url, data=body)
        if unsigned.status_code != 401:
            message = f"A body without signature was answered with {unsigned.status_code}, not 401."
            raise CommandError(message)
        self.stdout.write("Without signature: refused, as it should be.")
        signature = webhook.sign(body, app.secrets()[0])
        newest = WebhookDelivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        answer = _ask("POST", url, data=body, headers={"X-Hub-Signature-256": signature})
        if answer.status_code != 200:
            message = (
                f"The signed sample was answered with {answer.status_code}. 401: something on the "
                "way changes the body; 413: a proxy allows too small bodies; 503: no database."
            )
            raise CommandError(message)
        self.stdout.write("Signed sample: taken.")
        self._await(newest, body)

    def _await(self, newest: int, body: bytes) -> None:
        stored = WebhookDelivery.objects.filter(pk__gt=newest, body=body)
        pause = threading.Event()
        end = time.monotonic() + PROCESSED_SECONDS
        while time.monotonic() < end:
            delivery = stored.first()
            if delivery and delivery.status != WebhookDelivery.Status.PENDING:
                self.stdout.write(f"Processed by a worker as delivery {delivery.pk}. All is well.")
                return
            pause.wait(0.2)
        message = "It was stored, but no worker has processed it. Are the workers running?"
        raise CommandError(message if stored.exists() else "It is not in this database.")


def _ask(method: str, url: str, **extra: Any) -> requests.Response:
    try:
        return requests.request(
            method, url, timeout=TIMEOUT_SECONDS, allow_redirects=False, **extra
        )
    except requests.RequestException as error:
        message = f"The server does not answer ({type(error).__name__})."
        raise CommandError(message) from error
