"""What the limits would say now: asked by the same rules, with nothing locked, counted or kept."""

from __future__ import annotations

from django.conf import settings

from ratelimit import reach
from ratelimit.rules import SECOND, Ask, Books, Verdict
from ratelimit.stores import rows


def foresee(ask: Ask, now: int) -> Verdict:
    """Return what the database would answer; the claim asks it again, and then for good."""
    portfolios = reach.look([ask], now)
    books = Books(
        window=settings.WHATSAPP_RATE_LIMIT_WINDOW_SECONDS * SECOND,
        quotas=rows.read([ask.org]),
        slots=rows.slots([ask.number]),
        pairs=rows.debts([(ask.number, ask.contact)]) if ask.contact else {},
        reach=portfolios.held_until if portfolios else None,
    )
    (verdict,) = books.decide([ask], now)
    return verdict
