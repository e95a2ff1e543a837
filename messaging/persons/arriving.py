"""Emptying what is still reported about somebody who was erased, as it is processed."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from typing import Any

from messaging import channels
from messaging.models import WebhookDelivery
from messaging.providers.whatsapp import persons, webhook


class _AllBut(Container[int]):
    """Every place in a body but these."""

    def __init__(self, places: Collection[int]) -> None:
        self._places = places

    def __contains__(self, place: object) -> bool:
        return place not in self._places


def empty(told: Iterable[tuple[WebhookDelivery, int, Any]]) -> None:
    """Empty these events, given by delivery, place and raw part, in the stored bodies.

    Whatever else stands in a body stays, even what names the same person: who comes back under
    the same name is somebody new.
    """
    places: dict[WebhookDelivery, set[int]] = {}
    names: dict[WebhookDelivery, set[str]] = {}
    for delivery, place, raw in told:
        if raw != webhook.ERASED:
            places.setdefault(delivery, set()).add(place)
            names.setdefault(delivery, set()).update(persons.named_in(raw))
    for delivery, positions in places.items():
        cleaned = persons.without(
            bytes(delivery.body),
            sorted(names[delivery]),
            positions,
            _AllBut(positions),
            channels.error_table(),
        )
        WebhookDelivery.objects.filter(pk=delivery.pk).update(body=cleaned.body)
