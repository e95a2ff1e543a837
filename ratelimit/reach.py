"""How many people a business portfolio has reached in 24 hours, beside what its tier allows.

Advisory: other systems share the portfolio, and Meta counts for itself. A portfolio may span
organisations, so this is counted in the database only, under the portfolio's own row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from django.db.models import Count, Min

from orgs import database
from ratelimit.models import PortfolioReach, PortfolioUsage
from ratelimit.rules import DAY, TIER_WAIT_LEAST, TIER_WAIT_MOST, Ask

Reached = tuple[str, int]  # portfolio, person


@dataclass(slots=True)
class Portfolios:
    """The locked portfolios of one decision."""

    now: int
    at_most: dict[str, int]
    known: dict[Reached, int]  # when each person was last reached
    exact: dict[str, int] = field(default_factory=dict)  # when the first of them drops out

    def held_until(self, ask: Ask) -> int:
        """Return until when the tier holds the message, 0 when it may go; counts it if so."""
        person = (ask.portfolio, ask.contact)
        if self.known.get(person, 0) > self.now - DAY:
            return 0
        if self.at_most[ask.portfolio] >= ask.tier and ask.portfolio not in self.exact:
            self._count(ask.portfolio)
        if self.at_most[ask.portfolio] >= ask.tier:
            wait = self.exact[ask.portfolio] + DAY - self.now
            return self.now + min(max(wait, TIER_WAIT_LEAST), TIER_WAIT_MOST)
        self.at_most[ask.portfolio] += 1
        self.known[person] = self.now
        return 0

    def write(self, reached: Sequence[Ask]) -> None:
        """Write who was reached, and the counts."""
        rows = [
            {"portfolio_id": portfolio, "contact_id": contact, "last_at": self.now}
            for portfolio, contact in sorted({(ask.portfolio, ask.contact) for ask in reached})
        ]
        database.upsert_rows(PortfolioReach, rows, key=["portfolio_id", "contact_id"])
        counts = [{"portfolio_id": key, "at_most": n} for key, n in sorted(self.at_most.items())]
        database.upsert_rows(PortfolioUsage, counts, key=["portfolio_id"])

    def _count(self, portfolio: str) -> None:
        """Count exactly; what this decision added is not written yet."""
        fresh = sum(1 for (key, _), at in self.known.items() if key == portfolio and at == self.now)
        count, oldest = count_reached(portfolio, self.now)
        self.at_most[portfolio] = count + fresh
        self.exact[portfolio] = oldest or self.now


def load(asks: Sequence[Ask], now: int) -> Portfolios | None:
    """Lock the portfolios of the asks that have a tier; None when there are none."""
    limited = {ask.portfolio for ask in asks if ask.tier}
    return Portfolios(now, _lock(limited), _known(asks)) if limited else None


def _known(asks: Sequence[Ask]) -> dict[Reached, int]:
    people = {(ask.portfolio, ask.contact) for ask in asks if ask.tier}
    return database.select_pairs(
        PortfolioReach, ("portfolio_id", "contact_id", "last_at"), sorted(people), "varchar"
    )


def look(asks: Sequence[Ask], now: int) -> Portfolios | None:
    """Return the same without a lock, for a look that writes nothing."""
    limited = {ask.portfolio for ask in asks if ask.tier}
    if not limited:
        return None
    return Portfolios(now, dict.fromkeys(limited, 0) | at_most(limited), _known(asks))


def at_most(portfolios: Collection[str]) -> dict[str, int]:
    """Return how many people the portfolios have reached, at most; none where nothing went."""
    counts = PortfolioUsage.objects.filter(pk__in=portfolios)
    return dict(counts.values_list("portfolio_id", "at_most"))


def count_reached(portfolio: str, now: int) -> tuple[int, int | None]:
    """Return how many people were reached in the last 24 hours, and when the first of them."""
    rows = PortfolioReach.objects.filter(portfolio_id=portfolio, last_at__gt=now - DAY)
    found = rows.aggregate(count=Count("contact_id"), oldest=Min("last_at"))
    return found["count"], found["oldest"]


def _lock(portfolios: Collection[str]) -> dict[str, int]:
    rows = PortfolioUsage.objects.filter(pk__in=portfolios).order_by("pk").select_for_update()
    found = dict(rows.values_list("portfolio_id", "at_most"))
    missing = set(portfolios) - found.keys()
    if missing:
        PortfolioUsage.objects.bulk_create(
            [PortfolioUsage(portfolio_id=key) for key in sorted(missing)], ignore_conflicts=True
        )
        found = dict(rows.all().values_list("portfolio_id", "at_most"))
    return found
