"""What the demonstration sends, and how each message must end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

REFUSED = "REFUSED"
DELIVERED = "DELIVERED"
FAILED = "FAILED"

# The sandbox takes the meaning of a recipient from its last digits (docs/sandbox.md).
BLOCK = "+120255501"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One message, what it shows, and its expected end."""

    to: str
    shows: str
    end: str
    read: bool = False
    code: str = ""
    marketing: bool = False


SCENARIOS = (
    *(
        Scenario(f"{BLOCK}{last}", "delivered, then read", DELIVERED, read=True)
        for last in range(50, 56)
    ),
    Scenario(f"{BLOCK}00", "delivered, never read", DELIVERED),
    Scenario(f"{BLOCK}02", "read without a delivered status", DELIVERED, read=True),
    Scenario(f"{BLOCK}34", "statuses before the answer", DELIVERED, read=True),
    Scenario(f"{BLOCK}35", "each status twice", DELIVERED, read=True),
    Scenario(f"{BLOCK}36", "statuses out of order", DELIVERED, read=True),
    Scenario(f"{BLOCK}31", "answer lost, proved by statuses", DELIVERED, read=True),
    Scenario(f"{BLOCK}10", "fails once, retried", DELIVERED, read=True),
    Scenario(f"{BLOCK}11", "fails twice, retried", DELIVERED, read=True),
    Scenario(f"{BLOCK}12", "fails every time, to the DLQ", FAILED, code="131016"),
    Scenario(f"{BLOCK}20", "fails after sent", FAILED, code="131026"),
    Scenario(f"{BLOCK}26", "refused for good", FAILED, code="131009"),
    Scenario(f"{BLOCK}60", "no consent on record", REFUSED, code="consent_required"),
    Scenario(f"{BLOCK}61", "consent revoked", REFUSED, code="consent_required"),
    Scenario(
        f"{BLOCK}50",
        "marketing, not consented to",
        REFUSED,
        code="consent_required",
        marketing=True,
    ),
)

WITHOUT_CONSENT = frozenset({f"{BLOCK}60"})
REVOKED = frozenset({f"{BLOCK}61"})


def body(scenario: Scenario, number: int) -> dict[str, Any]:
    """Return the request body of a scenario."""
    if scenario.marketing:
        content: dict[str, Any] = {"name": "welcome_offer", "language": "en_US"}
    else:
        texts = ["Ana", f"#{1000 + number}"]
        content = {
            "name": "order_update",
            "language": "en_US",
            "components": [
                {"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}
            ],
        }
    return {
        "to": scenario.to,
        "type": "template",
        "category": "marketing" if scenario.marketing else "utility",
        "template": content,
        "reference": f"demo-{number}",
    }
