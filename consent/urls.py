"""The app's part of /api/v1/."""

from __future__ import annotations

from django.urls import path

from consent import views

urlpatterns = [
    path("consents", views.ConsentList.as_view(), name="consent-list"),
    path("consents/bulk", views.ConsentBulk.as_view(), name="consent-bulk"),
    path("consents/<int:pk>", views.ConsentDetail.as_view(), name="consent-detail"),
    path("consents/<int:pk>/revoke", views.RevokeConsent.as_view(), name="consent-revoke"),
]
