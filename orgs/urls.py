"""Pages of the console that belong to whoever is logged in."""

from __future__ import annotations

from django.urls import path

from orgs import views

urlpatterns = [
    path("second-factor/", views.second_factor_page, name="second_factor"),
    path("second-factor/set-up/", views.set_up_page, name="second_factor_set_up"),
]
