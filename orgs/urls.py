"""Pages of the console that belong to whoever is logged in."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from orgs import views

urlpatterns = [
    path("second-factor/", views.second_factor_page, name="second_factor"),
    path("second-factor/set-up/", views.set_up_page, name="second_factor_set_up"),
    # In front of the console's own pages at the same addresses, which they go on to.
    path("password_change/", admin.site.admin_view(views.password_change_page)),
    path("search/", admin.site.admin_view(views.search_page)),
]
