"""The pages of people who log in and of their roles; every change leaves an audit row."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orgs import roles, second_factor, staff
from orgs.admin import confirming, showing
from orgs.admin.access import OfInstallation, ScopedInline
from orgs.admin.recording import Recorded
from orgs.models import Membership

admin.site.unregister(User)
admin.site.unregister(Group)


class MembershipInline(ScopedInline, TabularInline[Membership, User]):
    """The organisations somebody is limited to."""

    model = Membership
    extra = 0
    verbose_name_plural = "limited to these organisations (with none, the groups decide)"

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Whoever may see the user."""
        return bool(request.user.has_perm("auth.view_user") or self._may(request))

    def has_add_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Whoever may change the user."""
        return self._may(request)

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """A membership is added or taken away."""
        return False

    def has_delete_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Whoever may change the user."""
        return self._may(request)

    def _may(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("auth.change_user"))


@admin.register(User)
class UserAdmin(Recorded, OfInstallation, DjangoUserAdmin[User], ModelAdmin[User]):
    """People who may log in to the console."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = [MembershipInline]
    list_display = ["username", "email", "role_names", "reach_names", "is_active"]
    list_filter = ["is_active", "is_superuser", "groups"]
    actions_detail = ["remove_second_factor"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Read roles and organisations with the people."""
        rows: QuerySet[User] = super().get_queryset(request)
        return rows.prefetch_related("groups", "memberships__org")

    @display(description="Roles")
    def role_names(self, user: User) -> str:
        """Return what they may do, in a word."""
        names = ["Superuser"] if user.is_superuser else []
        return ", ".join([*names, *(group.name for group in user.groups.all())]) or "–"

    @display(description="Limited to")
    def reach_names(self, user: User) -> str:
        """Return the organisations they are limited to."""
        memberships: Any = user.memberships
        return ", ".join(sorted(str(row.org) for row in memberships.all())) or "–"

    def get_inlines(self, request: HttpRequest, obj: User | None = None) -> list[Any]:
        """Memberships belong to somebody who is there already."""
        return list(super().get_inlines(request, obj)) if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Only a superuser makes others as mighty."""
        fields = list(super().get_readonly_fields(request, obj))
        mighty = [] if request.user.is_superuser else ["is_superuser", "user_permissions", "groups"]
        return [*fields, *mighty]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Only a superuser changes a superuser, password included."""
        beyond = obj is not None and obj.is_superuser and not request.user.is_superuser
        return not beyond and super().has_change_permission(request, obj)

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """The audit trail refers to people; make them inactive instead."""
        return False

    def snapshot(self, obj: User) -> dict[str, Any]:
        """Return name, flags, groups, permissions and memberships; never the password."""
        return {
            "username": obj.username,
            "is_active": obj.is_active,
            "is_staff": obj.is_staff,
            "is_superuser": obj.is_superuser,
            "groups": sorted(obj.groups.values_list("name", flat=True)),
            "permissions": sorted(obj.user_permissions.values_list("codename", flat=True)),
            "organizations": sorted(
                Membership.objects.filter(user=obj).values_list("org__org_id", flat=True)
            ),
        }

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:  # noqa: A002 - Django's name
        """Set a password; that somebody did is recorded."""
        answer = super().user_change_password(request, id, form_url)
        user = self.get_object(request, id)
        if request.method == "POST" and answer.status_code == 302 and user is not None:
            self.record(request, user, "password_set")
        return answer

    @action(description="Remove second factor", permissions=["reset"], url_path="second-factor")
    def remove_second_factor(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; then remove it, as when somebody's phone is lost."""
        user = self.get_object(request, object_id)
        if user is None or not self.has_change_permission(request, user):
            raise Http404
        reason = confirming.reason(request)
        if not reason:
            text = "At the next log-in the password alone lets them in, or a new one is set up."
            plan = confirming.Plan("remove", f"Remove the second factor of {user}", text, [user.pk])
            return confirming.page(self, request, plan)
        if second_factor.remove(user, actor=staff.actor(request.user), reason=reason):
            self.message_user(request, "The second factor is removed.", messages.SUCCESS)
        return redirect(reverse("admin:auth_user_change", args=[user.pk]))

    def has_reset_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may, and there is one to remove."""
        user = self.get_object(request, str(object_id)) if object_id else None
        if not self.has_change_permission(request, user):
            return False
        return request.method == "POST" or user is None or second_factor.of(user) is not None


@admin.register(Group)
class GroupAdmin(Recorded, OfInstallation, DjangoGroupAdmin, ModelAdmin[Group]):
    """Roles; the built-in ones follow a table in the code, others are made here."""

    readonly_fields = ["rights"]

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        """Show the rights in words where they are not to be chosen."""
        return ["name", "permissions" if self.has_change_permission(request, obj) else "rights"]

    @display(description="May")
    def rights(self, group: Group) -> str:
        """Return what the role may do, by part of the console."""
        found: dict[str, list[str]] = {}
        for right in group.permissions.select_related("content_type"):
            part = apps.get_app_config(right.content_type.app_label).verbose_name
            found.setdefault(str(part), []).append(right.name.removeprefix("Can "))
        return showing.facts(found)

    def snapshot(self, obj: Group) -> dict[str, Any]:
        """Return name and permissions."""
        return {
            "name": obj.name,
            "permissions": sorted(obj.permissions.values_list("codename", flat=True)),
        }

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """The next migration would undo a change of a built-in role."""
        built_in = obj is not None and obj.name in roles.ROLES
        return not built_in and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """The next migration would make a built-in role anew."""
        built_in = obj is not None and obj.name in roles.ROLES
        return not built_in and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleting is done one by one, so that built-in roles are not among them."""
        return {}
