"""How an organisation's messages fare, as last looked at."""

from __future__ import annotations

from django.db import models

from orgs.models import Organization


class HealthReport(models.Model):
    """The figures of one organisation; kept here because not every installation has a cache."""

    org = models.OneToOneField(
        Organization, verbose_name="organisation", on_delete=models.CASCADE, related_name="+"
    )
    figures = models.JSONField()
    made_at = models.DateTimeField()
    asked_at = models.DateTimeField(help_text="Nobody asking, it is not kept up to date.")

    class Meta:
        db_table = "health_report"

    def __str__(self) -> str:
        return f"health of {self.org_id}"
