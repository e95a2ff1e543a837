"""The pages of people who log in and of their roles."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orgs.admin.access import OfInstallation

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(OfInstallation, DjangoUserAdmin[User], ModelAdmin[User]):
    """People who may log in to the console."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(OfInstallation, DjangoGroupAdmin, ModelAdmin[Group]):
    """Sets of rights."""
