"""Addresses under /admin/ that belong to no table."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from alerts.admin import report

app_name = "alerts"

urlpatterns = [
    path("dead-letter-report/", admin.site.admin_view(report.page), name="dlq-report"),
]
