"""A table of figures for the terminal, and the same as JSON."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]

# More cases than this are the lines of the table.
MOST_COLUMNS = 10


@dataclass(slots=True)
class Report:
    """The rows of one benchmark: each a case with its figures, in order."""

    name: str
    about: str
    rows: list[Row] = field(default_factory=list)

    def add(self, case: str, **figures: float | str | None) -> None:
        """Add a case; figures that were not measured are None."""
        self.rows.append({"case": case, **figures})

    def show(self) -> None:
        """Print the table: a line per figure and a column per case, or, of many, the reverse."""
        table = Table(title=f"{self.name}: {self.about}")
        if len(self.rows) > MOST_COLUMNS:
            self._show_lines(table)
            return
        table.add_column("figure")
        for row in self.rows:
            table.add_column(row["case"], justify="right")
        names = list(dict.fromkeys(name for row in self.rows for name in row if name != "case"))
        for name in names:
            table.add_row(name.replace("_", " "), *[_text(row.get(name)) for row in self.rows])
        # Wide enough for every column, also in a file.
        Console(width=40 + 22 * len(self.rows)).print(table)

    def _show_lines(self, table: Table) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row if name != "case"))
        table.add_column("case")
        for name in names:
            table.add_column(name.replace("_", " "), justify="right")
        for row in self.rows:
            table.add_row(row["case"], *[_text(row.get(name)) for name in names])
        Console(width=40 + 22 * len(names)).print(table)

    def write(self, folder: str) -> Path:
        """Write the figures with what they were measured on; return the file."""
        path = Path(folder) / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "benchmark": self.name,
            "about": self.about,
            "at": f"{datetime.fromtimestamp(time.time(), UTC):%Y-%m-%dT%H:%M:%SZ}",
            "commit": _commit(),
            "python": platform.python_version(),
            "cores": cpu_count(),
            "rows": self.rows,
        }
        path.write_text(json.dumps(content, indent=2) + "\n")
        return path


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return done.stdout.strip()
