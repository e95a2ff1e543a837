"""What the demonstration shows in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from messaging.management.demo.client import Progress

_COLOURS = {
    "QUEUED": "cyan",
    "SENDING": "yellow",
    "SENT": "blue",
    "DELIVERED": "green",
    "FAILED": "red",
    "REFUSED": "magenta",
    "CANCELLED": "white",
}


def table(progress: Sequence[Progress]) -> Table:
    """Return the table of all messages as they stand."""
    settled = sum(item.has_settled for item in progress)
    # Fits the 80 columns of a plain terminal.
    title = f"{settled} of {len(progress)} messages settled"
    view = Table(title=title, expand=False, box=None, pad_edge=False)
    for heading in ("To", "What it shows", "Status", "Tries", "Code", ""):
        view.add_column(heading, no_wrap=True)
    for item in progress:
        colour = _COLOURS.get(item.status, "white")
        word = "READ" if item.is_read and item.status == "DELIVERED" else item.status
        view.add_row(
            f"…{item.scenario.to[-4:]}",
            item.scenario.shows,
            f"[{colour}]{word}[/]",
            str(item.state.get("attempt_count", "")),
            str(item.state.get("error_code", "")),
            _verdict(item),
        )
    return view


def _verdict(item: Progress) -> str:
    if not item.has_settled:
        return "…"
    return "[green]✓[/]" if item.as_expected else "[red]✗ not as expected[/]"


def introduce(console: Console, base_url: str, access: dict[str, str]) -> None:
    """Print where the console is and how to send a message by hand."""
    body = (
        '{"to": "+12025550150", "type": "template", "category": "utility", "template": '
        '{"name": "order_update", "language": "en_US", "components": [{"type": "body", '
        '"parameters": [{"type": "text", "text": "Ana"}, {"type": "text", "text": "#1042"}]}]}}'
    )
    console.print(
        Panel(
            f"Console   {base_url}/admin/   (log in as {escape(access['username'])} / "
            f"{escape(access['password'])})\n"
            f"API docs  {base_url}/api/docs/\n"
            f"API key   {escape(access['api_key'])}",
            title="Outbound demonstration",
            expand=False,
        )
    )
    console.print("Send one yourself:")
    # Without wrapping, so that it can be pasted as it is.
    console.print(
        f"curl -s {base_url}/api/v1/outbound-messages \\\n"
        f"  -H 'Authorization: Bearer {access['api_key']}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'\n",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
