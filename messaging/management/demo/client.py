"""The client's side of the demonstration: everything over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import requests

from messaging.management.demo.scenarios import DELIVERED, REFUSED, SCENARIOS, Scenario, body

TIMEOUT = (5.0, 20.0)  # connect, read; seconds
_ENDED = {"DELIVERED", "FAILED", "CANCELLED", REFUSED}


@dataclass(slots=True)
class Progress:
    """How far one scenario has come."""

    number: int
    scenario: Scenario
    message_id: str = ""
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Return the status, or REFUSED for a message that was not accepted."""
        return str(self.state.get("status", ""))

    @property
    def is_read(self) -> bool:
        """Say whether the person has read it."""
        return bool(self.state.get("read_at"))

    @property
    def has_settled(self) -> bool:
        """Say whether nothing more is expected to happen."""
        if self.status == DELIVERED == self.scenario.end and self.scenario.read:
            return self.is_read
        return self.status in _ENDED

    @property
    def as_expected(self) -> bool:
        """Say whether it ended as its scenario says."""
        wanted = self.scenario
        code = self.state.get("error_code", "")
        return (
            self.status == wanted.end
            and self.is_read == wanted.read
            and (not wanted.code or code == wanted.code)
        )


class Client:
    """An API client with one key."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._base = f"{base_url}/api/v1/outbound-messages"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {api_key}"

    def send_all(self, run: str) -> list[Progress]:
        """Post every scenario once."""
        found = []
        for number, scenario in enumerate(SCENARIOS, start=1):
            answer = self._session.post(
                self._base,
                json=body(scenario, number),
                headers={"Idempotency-Key": f"demo-{run}-{number}"},
                timeout=TIMEOUT,
            )
            content = answer.json()
            progress = Progress(number, scenario)
            if answer.ok:
                progress.message_id, progress.state = content["id"], content
            else:
                code = content.get("code", str(answer.status_code))
                progress.state = {"status": REFUSED, "error_code": code}
            found.append(progress)
        return found

    def refresh(self, progress: Iterable[Progress]) -> None:
        """Read the present state of the accepted messages, a page at a time."""
        by_id = {item.message_id: item for item in progress if item.message_id}
        answer = self._session.get(self._base, params={"page_size": 100}, timeout=TIMEOUT)
        answer.raise_for_status()
        for state in answer.json()["results"]:
            if state["id"] in by_id:
                by_id[state["id"]].state = state
