"""The whole URL map on one page."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config import health, metrics

admin.site.site_header = "Outbound"
admin.site.index_title = "Outbound"

# The busiest come first: finding a view costs a look at each line before it.
urlpatterns = [
    path("api/v1/", include("messaging.urls")),
    path("api/v1/", include("consent.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("admin/", include("console.urls")),
    path("admin/", include("orgs.urls")),
    path("admin/", admin.site.urls),
]
