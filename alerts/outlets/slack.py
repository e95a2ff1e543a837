"""Slack, by an incoming webhook."""

from __future__ import annotations

from typing import Any

import orjson

from alerts.outlets import http
from alerts.outlets.base import Letter
from alerts.severity import Severity

# Slack's own words for colours.
COLOURS = {Severity.INFO: "good", Severity.WARNING: "warning", Severity.CRITICAL: "danger"}
MOST_FIELDS = 10
SHORT = 40  # characters of a value that leaves room for another beside it
LONGEST = 2_900  # of Slack's 3,000


def send(letter: Letter) -> None:
    """Post it; raise OutletError."""
    http.post(letter.url, orjson.dumps(payload(letter)), {}, only=http.SLACK_HOST)


def payload(letter: Letter) -> dict[str, Any]:
    """Return the message: one attachment with colour, figures and link."""
    content = letter.content
    attachment = {
        "color": "good" if letter.is_resolved else COLOURS[Severity(letter.severity)],
        "fallback": escaped(letter.headline),
        "title": escaped(letter.headline),
        "text": _text(letter),
        "fields": [
            {"title": escaped(name), "value": escaped(value), "short": len(value) <= SHORT}
            for name, value in content.get("figures", [])[:MOST_FIELDS]
        ],
        "footer": "Outbound",
        "ts": int(letter.created_at.timestamp()),
        "mrkdwn_in": ["text"],
    }
    if letter.link:
        attachment["title_link"] = letter.link
        attachment["actions"] = [
            {"type": "button", "text": "Open in the console", "url": letter.link}
        ]
    return {"text": escaped(letter.headline), "attachments": [attachment]}


def escaped(text: str) -> str:
    """Return the text so that Slack sees no mark-up, link or mention in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text(letter: Letter) -> str:
    content = letter.content
    parts = [escaped(content["summary"])]
    parts += [
        f"• *{escaped(row[0])}* × {escaped(row[1])}: {escaped(' – '.join(row[2:]))}"
        for row in content.get("table", [])[1:]
    ]
    if content.get("advice"):
        parts.append(f"_{escaped(content['advice'])}_")
    return "\n".join(parts)[:LONGEST]
