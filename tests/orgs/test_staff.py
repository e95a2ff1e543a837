"""Whose rows a person who logs in may see."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User

from messaging.models import MetaApp, OutboundAttempt, OutboundMessage, WebhookDelivery
from orgs import staff
from orgs.models import ApiKey, AuditEvent, Membership, Organization
from tests.factories.messaging import (
    AttemptFactory,
    DeliveryFactory,
    MessageFactory,
    PhoneNumberFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.core]


@pytest.fixture
def user() -> User:
    return User.objects.create_user("bob", password="x", is_staff=True)


def everywhere(user: User) -> None:
    permission = Permission.objects.get(codename="reach_every_organization")
    user.user_permissions.add(permission)


class TestReach:
    def test_a_superuser_reaches_everything_whatever_the_memberships(self, user, org):
        user.is_superuser = True
        Membership.objects.create(user=user, org=org)
        assert staff.reaches_all(user)

    def test_without_membership_and_permission_nothing_is_in_reach(self, user, org):
        assert staff.reach(user) == frozenset()
        assert not staff.reaches(user, org.pk)
        assert not staff.reaches(user, None)

    def test_the_permission_gives_everything(self, user, org):
        everywhere(user)
        assert staff.reaches_all(user)
        assert staff.reaches(user, None)

    def test_a_membership_limits_even_with_the_permission(self, user, org, other_org):
        everywhere(user)
        Membership.objects.create(user=user, org=org)
        assert staff.reach(user) == {org.pk}
        assert not staff.reaches(user, other_org.pk)

    def test_nobody_and_the_inactive_reach_nothing(self, user, org):
        Membership.objects.create(user=user, org=org)
        user.is_active = False
        assert staff.reach(user) == frozenset()
        assert staff.reach(AnonymousUser()) == frozenset()


class TestVisible:
    @pytest.fixture
    def bob(self, user, org) -> User:
        Membership.objects.create(user=user, org=org)
        return user

    def test_rows_are_found_by_their_way_to_the_organization(self, bob, org, other_org):
        mine = AttemptFactory(message=MessageFactory(phone_number=PhoneNumberFactory(org=org)))
        AttemptFactory(message=MessageFactory(phone_number=PhoneNumberFactory(org=other_org)))
        assert list(staff.visible(Organization.objects.all(), bob)) == [org]
        assert list(staff.visible(OutboundMessage.objects.all(), bob)) == [mine.message]
        assert list(staff.visible(OutboundAttempt.objects.all(), bob)) == [mine]
        assert list(staff.visible(MetaApp.objects.all(), bob)) == [
            mine.message.phone_number.account.app
        ]

    def test_what_belongs_to_nobody_is_for_those_who_reach_everything(self, bob, user, org):
        AuditEvent.objects.create(actor="system:x", action="x", target="x")
        assert not staff.visible(AuditEvent.objects.all(), bob)
        assert not staff.visible(User.objects.all(), bob)
        boss = User.objects.create_superuser("ada", password="x")
        assert staff.visible(AuditEvent.objects.all(), boss)
        assert staff.visible(ApiKey.objects.all(), boss).count() == 0

    @pytest.mark.parametrize(
        ("told_of", "seen"),
        [
            (["acme"], True),
            (["acme", "acme"], True),
            (["acme", "globex"], False),
            (["acme", None], False),
            (["globex"], False),
            ([None], False),
            ([], False),
        ],
    )
    def test_a_delivery_that_touches_others_is_not_shown(self, bob, org, other_org, told_of, seen):
        ids = {"acme": org.pk, "globex": other_org.pk, None: None}
        DeliveryFactory(events=[ids[name] for name in told_of])
        assert staff.visible(WebhookDelivery.objects.all(), bob).exists() is seen
