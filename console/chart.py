"""The last day as bars, drawn on the server so that the page needs no script for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console import links
from messaging.activity import Totals

WIDTH = 960
HEIGHT = 200
LEFT = 48  # room for the scale
BOTTOM = 22  # room for the hours
TOP = 8
GRID = 4
LABEL_EVERY_HOURS = 3
# Of the room of one step: a wide bar with a narrow one inside, and a narrow one beside them.
WIDE, NARROW = 0.6, 0.3


@dataclass(frozen=True, slots=True)
class Lists:
    """Where the three figures of some time lead."""

    sent: str
    delivered: str
    failed: str


def lists(begin: datetime, end: datetime) -> Lists:
    """Return the lists of what became of messages from ``begin`` to before ``end``."""
    return Lists(*(links.became(what, begin, end) for what in ("sent", "delivered", "failed")))


@dataclass(frozen=True, slots=True)
class Box:
    """One rectangle."""

    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time, with its boxes and what they stand for."""

    at: datetime
    totals: Totals
    x: float
    sent: Box
    delivered: Box
    failed: Box
    lists: Lists


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the scale, or a label of an hour."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that the template draws; the unit is the SVG's own."""

    bars: list[Bar]
    scale: list[Line]
    hours: list[Line]
    wide: float  # of a bar of what was sent
    narrow: float  # of one of what was delivered inside it, or of what failed beside it
    total: Totals
    lists: Lists
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    floor: int = HEIGHT - BOTTOM

    @property
    def inset(self) -> float:
        """Return where the narrow bar inside the wide one begins."""
        return round(1 + (self.wide - self.narrow) / 2, 1)

    @property
    def beside(self) -> float:
        """Return where the bar beside the wide one begins."""
        return round(1 + self.wide, 1)


def draw(steps: Sequence[tuple[datetime, Totals]], step: timedelta) -> Chart:
    """Return the picture of the steps, each so long, the oldest on the left."""
    most = max((max(t.sent, t.delivered, t.failed) for _at, t in steps), default=0)
    top = _round_up(max(most, GRID))
    room = HEIGHT - BOTTOM - TOP
    width = (WIDTH - LEFT) / max(1, len(steps))

    def box(count: int) -> Box:
        height = round(count / top * room, 1)
        return Box(round(HEIGHT - BOTTOM - height, 1), height)

    bars = [
        Bar(
            at,
            t,
            round(LEFT + place * width, 1),
            box(t.sent),
            box(t.delivered),
            box(t.failed),
            lists(at, at + step),
        )
        for place, (at, t) in enumerate(steps)
    ]
    return Chart(
        bars,
        [
            Line(round(HEIGHT - BOTTOM - room * part / GRID, 1), f"{top * part // GRID:,}")
            for part in range(GRID + 1)
        ],
        [
            Line(bar.x, f"{bar.at:%H:%M}")
            for bar in bars
            if not bar.at.minute and bar.at.hour % LABEL_EVERY_HOURS == 0
        ],
        round(width * WIDE, 1),
        round(width * NARROW, 1),
        sum((totals for _at, totals in steps), Totals()),
        lists(steps[0][0], steps[-1][0] + step),
    )


def _round_up(most: int) -> int:
    """Return the next figure that divides into a scale people can read."""
    power = 1
    while True:
        for factor in (4, 8, 12, 20, 40):
            if factor * power >= most:
                return factor * power
        power *= 10
