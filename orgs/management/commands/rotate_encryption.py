"""Encrypt every stored secret again with the first key."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import models, transaction

from orgs.encryption import EncryptedTextField

BATCH = 500


class Command(BaseCommand):
    """After adding a new first key; then the old ones may be dropped."""

    help = "Encrypt every stored secret again with the first of OUTBOUND_ENCRYPTION_KEYS."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Go through every model that keeps secrets, a batch at a time."""
        for model in apps.get_models():
            names = [
                field.name
                for field in model._meta.concrete_fields
                if isinstance(field, EncryptedTextField)
            ]
            if names:
                count = _rotate(model, names)
                self.stdout.write(f"{model._meta.verbose_name_plural}: {count}")


def _rotate(model: type[models.Model], names: list[str]) -> int:
    rows = model._default_manager.order_by("pk")
    done, last = 0, None
    while True:
        with transaction.atomic():
            batch = rows if last is None else rows.filter(pk__gt=last)
            chosen = list(batch.select_for_update()[:BATCH])
            for row in chosen:
                row.save(update_fields=names)
        if not chosen:
            return done
        done, last = done + len(chosen), chosen[-1].pk
