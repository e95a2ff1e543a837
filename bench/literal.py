"""The design the specification spells out: a task per message; select, save, call, save.

As a Celery application it is the worker; as a program it publishes a task for each of the first
COUNT queued messages. It keeps no attempts, no timeline and no limits, so it does less than the
engine it is compared with.
"""

from __future__ import annotations

import os
import sys
import uuid
from datetime import timedelta

import django
import requests
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402 - Django is set up first
from django.utils import timezone  # noqa: E402 - Django is made ready first
from requests.adapters import HTTPAdapter  # noqa: E402 - Django is made ready first

from messaging.models import OutboundMessage  # noqa: E402 - Django is made ready first
from messaging.states import Status  # noqa: E402 - Django is made ready first

QUEUE = "literal"
MOST_CONNECTIONS = 64
LEASE = timedelta(seconds=60)

app = Celery("literal", broker=os.environ["REDIS_URL"])
app.conf.task_default_queue = QUEUE
app.conf.task_ignore_result = True
app.conf.worker_prefetch_multiplier = 4

_session = requests.Session()
_session.mount("http://", HTTPAdapter(pool_maxsize=MOST_CONNECTIONS))


@app.task(name="literal.send")
def send(message_id: str) -> None:
    """Send one message."""
    message = OutboundMessage.objects.select_related("phone_number__account").get(pk=message_id)
    message.status = Status.SENDING
    message.due_at = None
    message.claim_id = uuid.uuid4()
    message.lease_expires_at = timezone.now() + LEASE
    message.updated_at = timezone.now()
    message.save()
    number = message.phone_number
    answer = _session.post(
        f"{settings.WHATSAPP_CLOUD_API_BASE_URL}/{settings.WHATSAPP_GRAPH_VERSION}"
        f"/{number.phone_number_id}/messages",
        json={
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.to_recipient,
            "type": "template",
            "template": message.payload,
            "biz_opaque_callback_data": message.pk.hex,
        },
        headers={"Authorization": f"Bearer {number.account.access_token}"},
        timeout=30,
    )
    answer.raise_for_status()
    message.status = Status.SENT
    message.claim_id = message.lease_expires_at = None
    message.provider_message_id = answer.json()["messages"][0]["id"]
    message.attempt_count += 1
    message.accepted_at = message.sent_at = message.updated_at = timezone.now()
    message.save()


def main(count: int) -> None:
    """Publish the tasks."""
    queued = OutboundMessage.objects.filter(status=Status.QUEUED).order_by("due_at")
    for pk in list(queued.values_list("pk", flat=True)[:count]):
        send.delay(str(pk))


if __name__ == "__main__":
    main(int(sys.argv[1]))
