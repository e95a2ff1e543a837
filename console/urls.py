"""Addresses under /admin/ that belong to no table."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from console import views
from console.testing import views as testing

app_name = "console"

urlpatterns = [
    path("dashboard/", admin.site.admin_view(views.dashboard), name="dashboard"),
    path("test-message/", admin.site.admin_view(testing.write), name="test-message"),
    path("test-message/preview/", admin.site.admin_view(testing.preview), name="test-preview"),
    path("test-message/<uuid:pk>/", admin.site.admin_view(testing.follow), name="test-sent"),
    path("test-message/<uuid:pk>/now/", admin.site.admin_view(testing.now), name="test-now"),
]
