"""From the form to the API's own intake, and back with what stands against it."""

from __future__ import annotations

from typing import Any

import orjson
from django.db import transaction

from messaging.api import bodies
from messaging.intake import Accepted, accept
from messaging.models import MessageTemplate, OutboundMessage, PhoneNumber
from orgs import audit
from orgs.problems import Problem

REFERENCE = "console-test"
# Whoever tries something out looks at the phone now, not tomorrow.
LIFETIME_SECONDS = 3600


@transaction.atomic
def send(
    number: PhoneNumber,
    template: MessageTemplate,
    *,
    to: str,
    components: list[dict[str, Any]],
    token: str,
    actor: str,
) -> OutboundMessage:
    """Queue a test message as if a client had posted it; raise Problem when intake refuses it.

    The same ``token`` again gives the same message.
    """
    content: dict[str, Any] = {"name": template.name, "language": template.language}
    if components:
        content["components"] = components
    body = {
        "to": to,
        "type": "template",
        "from": number.phone_number_id,
        "template": content,
        "priority": "high",
        "ttl_seconds": LIFETIME_SECONDS,
        "reference": REFERENCE,
        "idempotency_key": f"{REFERENCE}-{token}",
    }
    answer = accept(number.org, [bodies.parse(orjson.dumps(body))], actor)[0]
    if not isinstance(answer, Accepted):
        raise answer
    if not answer.replayed:
        audit.record(
            [
                audit.Entry(
                    number.org_id,
                    actor,
                    "message.test_sent",
                    f"message:{answer.message.pk}",
                    after={"number": number.phone_number_id, "template": str(template)},
                )
            ]
        )
    return answer.message


def told(problem: Problem) -> list[tuple[str | None, str]]:
    """Return what stands against it, with the field of the form it is about (None: of no one)."""
    if problem.code == "consent_required":
        advice = " ".join(error.detail for error in problem.errors)
        return [("to", f"{problem.detail}. {advice}")]
    if not problem.errors:
        return [(None, problem.detail or problem.title)]
    return [("to" if error.field == "to" else None, error.detail) for error in problem.errors]
