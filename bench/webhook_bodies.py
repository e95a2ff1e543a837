"""Status webhooks as Meta posts them: signed, one status or many in a body."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterator, Sequence

NUMBER = "200000000000001"
ACCOUNT = "100000000000001"


def body(statuses: Sequence[str], number: str = NUMBER) -> str:
    """Return a payload with these statuses."""
    return (
        f'{{"object":"whatsapp_business_account","entry":[{{"id":"{ACCOUNT}","changes":[{{"value":'
        f'{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550100100",'
        f'"phone_number_id":"{number}"}},"contacts":[{{"profile":{{"name":"Test"}},'
        f'"wa_id":"12025550123","user_id":"US.13491208655302741918"}}],'
        f'"statuses":[{",".join(statuses)}]}},"field":"messages"}}]}}]}}'
    )


def status(wamid: str, word: str, callback: str = "") -> str:
    """Return one status."""
    echoed = f'"biz_opaque_callback_data":{json.dumps(callback)},' if callback else ""
    return (
        f'{{"id":"{wamid}","status":"{word}","timestamp":"{int(time.time())}",{echoed}'
        '"recipient_id":"12025550123","recipient_user_id":"US.13491208655302741918",'
        '"pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"utility"}}'
    )


def requests(path: str, secret: str, name: str, many: int) -> Iterator[bytes]:
    """Yield signed requests without end, each with so many statuses of unknown messages."""
    for number in itertools.count():
        words = (status(f"wamid.{name}-{number}-{place}", "delivered") for place in range(many))
        yield signed(path, secret, body(list(words)))


def signed(path: str, secret: str, text: str) -> bytes:
    """Return the request with which Meta posts a body."""
    content = text.encode()
    signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
