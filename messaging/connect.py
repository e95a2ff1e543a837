"""Connecting a phone number: app, account and number in one step, checked against Meta."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction

from messaging import numbers, stops, template_sync
from messaging.models import BusinessAccount, MetaApp, PhoneNumber
from messaging.providers.whatsapp import api
from orgs import audit, database
from orgs.models import Organization


@dataclass(frozen=True, slots=True)
class Connection:
    """What it takes to send from a number and to trust its webhooks.

    Secrets of the app that are left empty stay as they are; an app that is new needs them.
    """

    app_id: str
    waba_id: str
    phone_number_id: str
    access_token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)


class TakenError(Exception):
    """The account or number belongs to another organisation."""


def connect(org: Organization, wanted: Connection, *, actor: str, verify: bool) -> PhoneNumber:
    """Create or update app, account and number; return the number.

    With ``verify`` number and account are first read from Meta with the token, so that a wrong
    token or id shows now and not at the first message, and the account's templates are read. Raises
    api.ApiError when Meta refuses, TakenError when account or number belong to another
    organisation.
    """
    info, account_name, asked_at = None, "", database.now()
    if verify:
        account_name = check_token(wanted.waba_id, wanted.access_token)
        info = numbers.fetch(wanted.phone_number_id, wanted.access_token)
    with transaction.atomic():
        account = _account(org, _app(wanted), wanted, account_name)
        number, created = PhoneNumber.objects.get_or_create(
            phone_number_id=wanted.phone_number_id, defaults={"org": org, "account": account}
        )
        if number.org_id != org.pk:
            message = "This phone number belongs to another organisation."
            raise TakenError(message)
        number.account = account
        if info is not None:
            number.display_phone_number = info.display_phone_number[:32]
            number.read_due_at = asked_at + numbers.READ_EVERY
        number.save()
        _record(org, number, actor, created=created)
        if info is not None:
            numbers.keep(number, info, asked_at)
            number.refresh_from_db()
    if verify:
        template_sync.sync(number.account)
    return number


def check_token(waba_id: str, access_token: str) -> str:
    """Return the name of the account that Meta shows for this token.

    Raises api.ApiError when Meta refuses the token, or does not show it the account.
    """
    return api.fetch_account_name(
        settings.WHATSAPP_CLOUD_API_BASE_URL,
        settings.WHATSAPP_GRAPH_VERSION,
        waba_id,
        access_token,
    )


def _app(wanted: Connection) -> MetaApp:
    MetaApp.objects.get_or_create(
        app_id=wanted.app_id,
        defaults={
            "name": f"App {wanted.app_id}",
            "app_secret": wanted.app_secret,
            "verify_token": wanted.verify_token,
        },
    )
    app = MetaApp.objects.select_for_update().get(app_id=wanted.app_id)
    if wanted.app_secret and app.app_secret != wanted.app_secret:
        # Deliveries signed with the old secret are still on their way.
        app.previous_app_secret, app.app_secret = app.app_secret, wanted.app_secret
    app.verify_token = wanted.verify_token or app.verify_token
    app.save()
    return app


def _account(org: Organization, app: MetaApp, wanted: Connection, name: str) -> BusinessAccount:
    account, _ = BusinessAccount.objects.get_or_create(
        waba_id=wanted.waba_id,
        defaults={"org": org, "app": app, "access_token": wanted.access_token},
    )
    if account.org_id != org.pk:
        message = "This WhatsApp account belongs to another organisation."
        raise TakenError(message)
    renewed = account.access_token != wanted.access_token
    account.app, account.access_token = app, wanted.access_token
    account.name = account.name or name[:100]
    account.save()
    if renewed:
        stops.look_soon(account)
    return account


def _record(org: Organization, number: PhoneNumber, actor: str, *, created: bool) -> None:
    audit.record(
        [
            audit.Entry(
                org_id=org.pk,
                actor=actor,
                action="number.connected" if created else "number.reconnected",
                target=f"number:{number.phone_number_id}",
                reason="",
                before=None,
                after={"account": number.account.waba_id, "app": number.account.app.app_id},
            )
        ]
    )
