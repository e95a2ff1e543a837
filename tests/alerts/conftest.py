"""Alerts in tests: two outlets in the settings, and nothing on its way unasked."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _told_by_mail(settings) -> None:
    settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS = ["ops@example.org"]
    settings.OUTBOUND_PUBLIC_URL = "https://outbound.example.org"
    settings.DEFAULT_FROM_EMAIL = "Outbound <alerts@outbound.example.org>"
