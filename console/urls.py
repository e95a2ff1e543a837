"""Addresses under /admin/ that belong to no table."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from console import views

app_name = "console"

urlpatterns = [
    path("dashboard/", admin.site.admin_view(views.dashboard), name="dashboard"),
]
