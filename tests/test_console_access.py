"""Who may open what: every URL of the console, for nobody, somebody without rights, and somebody
limited to another organisation."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from alerts.models import Alert, Route
from consent.models import Consent, ConsentImport, ConsentPolicy, Contact
from messaging.models import (
    BulkOperation,
    BusinessAccount,
    Discard,
    MessageTemplate,
    OutboundMessage,
    PhoneNumber,
    ProviderNotice,
    WebhookDelivery,
)
from messaging.states import Status
from orgs import audit, database, keys
from orgs.admin.access import OfInstallation, Scoped, ScopedInline
from orgs.models import ApiKey, AuditEvent, Membership, Organization
from ratelimit.models import Hold, WhatsAppRateLimit
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import (
    AttemptFactory,
    DeliveryFactory,
    MessageFactory,
    PhoneNumberFactory,
    TemplateFactory,
)
from tests.factories.orgs import staff_user

pytestmark = pytest.mark.django_db

OPEN = {"/admin/login/", "/admin/logout/"}
# Theirs in every text a page could show.
MARK = "globex"


def console_paths(pk: str = "1") -> list[str]:
    """Return every address under /admin/, with this key wherever a row is asked for."""
    found: list[str] = []

    def walk(patterns: Any, prefix: str) -> None:
        for pattern in patterns:
            text = f"{prefix}{pattern.pattern}"
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, text)
            elif isinstance(pattern, URLPattern) and text.startswith("/admin/"):
                found.append(text)

    walk(get_resolver().url_patterns, "/")
    # Django writes these as expressions: the page of each app, and what is none.
    kept = [path for path in found if "?P<" not in path]
    labels = {model._meta.app_label for model in admin.site._registry}
    kept += [reverse("admin:app_list", args=[label]) for label in labels]
    return sorted({_filled(path, pk) for path in kept} - OPEN)


def _filled(path: str, pk: str) -> str:
    while "<" in path:
        before, _, rest = path.partition("<")
        kind, _, after = rest.partition(">")
        fitting = str(uuid.UUID(int=7)) if kind.startswith("uuid") and "-" not in pk else pk
        path = f"{before}{fitting}{after}"
    return path


PATHS = console_paths()


def test_the_walk_finds_the_console():
    assert len(PATHS) > 100
    assert "/admin/orgs/auditevent/export-csv/" in PATHS
    assert "/admin/consent/contact/1/erase/" in PATHS
    assert "/admin/messaging/" in PATHS


def test_every_page_keeps_organizations_apart():
    for model, page in admin.site._registry.items():
        assert isinstance(page, Scoped | OfInstallation), model
        for inline in page.inlines:
            assert issubclass(inline, ScopedInline), inline


def test_nobody_gets_anywhere(client):
    for path in PATHS:
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code in {302, 403, 404, 405}, path
            if answer.status_code == 302:
                assert answer.headers["Location"].startswith("/admin/login/"), path


def test_without_rights_nothing_opens_and_nothing_breaks(client, org):
    client.force_login(staff_user())
    harmless = {"/admin/", "/admin/jsi18n/", "/admin/search/", "/admin/password_change/"}
    harmless |= {"/admin/password_change/done/", "/admin/dashboard/"}
    for path in PATHS:
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code < 500, path
            if path not in harmless:
                assert answer.status_code in {302, 403, 404, 405}, path


@pytest.fixture
def theirs(other_org: Organization) -> list[Model]:
    """Make a row of everything, of an organisation that is not ours."""
    number = PhoneNumberFactory(
        org=other_org, display_phone_number=MARK, account__name=MARK, account__app__name=MARK
    )
    message = MessageFactory(
        phone_number=number, status=Status.FAILED, error_code="131026", reference=MARK
    )
    AttemptFactory(message=message, provider_message_id="wamid.theirs")
    key, _ = keys.issue(other_org, name=MARK, scopes=["read"], actor="system:tests")
    now = database.now()
    consent = ConsentFactory(contact=message.contact, org=other_org)
    return [
        other_org,
        number,
        number.account,
        message,
        key,
        consent,
        message.contact,
        DeliveryFactory(app=number.account.app, events=[other_org.pk]),
        TemplateFactory(account=number.account, org=other_org, name=MARK),
        AuditEvent.objects.get(action="api_key.issued"),
        ConsentPolicy.objects.create(org=other_org),
        ConsentImport.objects.create(
            org=other_org, actor=MARK, created_at=now, updated_at=now, state="READY"
        ),
        Hold.objects.create(
            org=other_org, scope="number", key=MARK, cause="paused_by_staff", opened_at=now
        ),
        WhatsAppRateLimit.objects.create(org=other_org),
        ProviderNotice.objects.create(
            org=other_org,
            account=number.account,
            topic=MARK,
            occurred_at=now,
            recorded_at=now,
            digest=MARK,
        ),
        Alert.objects.create(
            org=other_org,
            rule="dlq",
            title=MARK,
            severity="critical",
            opened_at=now,
            last_seen_at=now,
        ),
        Route.objects.create(org=other_org, name=MARK, outlet="email", least_severity="warning"),
        BulkOperation.objects.create(
            org=other_org,
            kind="requeue",
            reason=MARK,
            matched=1,
            **times("next", "created", "updated"),
        ),
        Discard.objects.create(
            org=other_org,
            message=MessageFactory(
                phone_number=number, status=Status.CANCELLED, error_code="DISCARDED", reference=MARK
            ),
            reason=MARK,
            **times("failed", "discarded"),
        ),
    ]


def times(*names: str) -> dict[str, Any]:
    return {f"{name}_at": database.now() for name in names}


@pytest.fixture
def limited(client: Client, org: Organization) -> User:
    """Log in somebody with every permission there is, for one organisation."""
    user = staff_user(orgs=(org,))
    user.user_permissions.set(Permission.objects.all())
    client.force_login(user)
    return user


def test_every_model_with_an_organization_is_in_the_cast(theirs):
    made = {type(row) for row in theirs}
    shown = {
        model._meta.concrete_model
        for model, page in admin.site._registry.items()
        if isinstance(page, Scoped) and not isinstance(page, OfInstallation)
    }
    assert shown - made == set()


def test_lists_searches_and_filters_show_nothing_of_others(client, limited, theirs, org):
    for model, page in admin.site._registry.items():
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for query in ({}, {"q": MARK}, {"q": "wamid.theirs"}, {"q": str(theirs[3].pk)}):
            if query and not page.search_fields:
                continue
            answer = client.get(url, query)
            assert answer.status_code in {200, 403}, url
            text = answer.content.decode().replace(f'value="{MARK}"', "")
            text = text.replace(f"q%3D{MARK}", "").replace(f"q={MARK}", "")
            assert MARK not in text, (url, query)
            cl = answer.context.get("cl") if answer.context else None
            if isinstance(cl, ChangeList):
                assert set(cl.queryset) <= {org}, url  # their own organisation is theirs to see


def test_no_page_of_a_row_of_others_opens(client, limited, theirs):
    """View, history, deletion and every action of a row, by GET and by POST."""
    confirmed = {"confirmed": "yes", "reason": "x", "post": "yes"}
    for row in theirs:
        for model in (type(row), *type(row).__subclasses__()):
            stem = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{row.pk}/"
            for path in console_paths(str(row.pk)):
                # The id of a message is found nowhere else: it is tried in every address.
                if not (path.startswith(stem) or ("-" in str(row.pk) and str(row.pk) in path)):
                    continue
                for answer in (client.get(path), client.post(path, confirmed)):
                    assert answer.status_code in {302, 403, 404, 405}, path
                    assert MARK not in answer.content.decode(), path
    deeds = AuditEvent.objects.filter(actor=f"user:{limited.pk}")
    assert set(deeds.values_list("action", flat=True)) <= {"login.succeeded"}
    # One waits in the dead letter queue, one is discarded.
    statuses = OutboundMessage.objects.order_by("status").values_list("status", flat=True)
    assert [*statuses] == [Status.CANCELLED, Status.FAILED]


def test_actions_on_ids_of_others_do_nothing(client, limited, theirs):
    before = {type(row): type(row).objects.filter(pk=row.pk).values().get() for row in theirs}
    for row in theirs:
        page = admin.site._registry.get(type(row))
        url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
        for name in page.actions:
            fields = {"action": name, "_selected_action": [str(row.pk)], "select_across": "1"}
            client.post(url, {**fields, "confirmed": "yes", "reason": "x", "quota": "9999"})
    after = {type(row): type(row).objects.filter(pk=row.pk).values().get() for row in theirs}
    assert after == before


def test_autocompletes_and_choices_offer_nothing_of_others(client, limited, theirs, org, number):
    for model, page in admin.site._registry.items():
        if not page.has_add_permission(_request(limited)):
            continue
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
        assert MARK not in client.get(url).content.decode(), url
    person = ConsentFactory(contact__org=org).contact
    for app, model, field, own in (
        ("consent", "consent", "contact", person),
        ("orgs", "apikey", "org", org),
        ("messaging", "phonenumber", "account", number.account),
    ):
        query = {"app_label": app, "model_name": model, "field_name": field, "term": ""}
        answer = client.get(reverse("admin:autocomplete"), query)
        assert [each["id"] for each in answer.json()["results"]] == [str(own.pk)], model
        assert MARK not in answer.content.decode()


def test_exports_hand_out_nothing_of_others(client, limited, theirs, org):
    mine = ConsentFactory(contact__org=org, contact__phone="+12025550177")
    audit.record([audit.Entry(org.pk, "user:1", "org.changed", "org:acme")])
    others = Contact.objects.filter(org__org_id=MARK).values_list("phone", flat=True)
    lines = exported(client, "consent_consent")
    assert len(lines) == 2  # with the headings
    assert mine.contact.phone in lines[1]
    assert not [phone for phone in others if phone in "".join(lines)]
    trail = exported(client, "orgs_auditevent")
    assert any("org.changed" in line for line in trail)
    assert MARK not in "".join(trail)


def exported(client: Client, page: str) -> list[str]:
    answer = client.get(reverse(f"admin:{page}_export_csv"))
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode().strip().splitlines()


def test_a_row_for_others_cannot_be_made(client, limited, theirs, other_org):
    fields = {"org": other_org.pk, "name": "mine", "scopes": ["send"]}
    answer = client.post(reverse("admin:orgs_apikey_add"), fields)
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.content.decode()
    assert ApiKey.objects.count() == 1


def test_their_own_rows_are_all_there(client, limited, org, number):
    message = MessageFactory(phone_number=number, reference="mine")
    ConsentFactory(contact=message.contact, org=org)
    TemplateFactory(account=number.account, org=org)
    DeliveryFactory(events=[org.pk])
    wanted = {
        Organization: 1,
        PhoneNumber: 1,
        BusinessAccount: 1,
        OutboundMessage: 1,
        Contact: 1,
        Consent: 1,
        MessageTemplate: 1,
        WebhookDelivery: 1,
    }
    for model, count in wanted.items():
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        answer = client.get(url)
        assert answer.status_code == 200, url
        assert answer.context["cl"].queryset.count() == count, url


def test_what_belongs_to_the_installation_stays_closed_with_every_permission(client, limited):
    for model, page in admin.site._registry.items():
        if isinstance(page, OfInstallation):
            stem = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            assert client.get(reverse(f"{stem}_changelist")).status_code == 403, model
    assert client.post(f"/admin/auth/user/{limited.pk}/password/").status_code == 403


def test_a_masked_number_cannot_be_guessed_by_its_beginning(client, limited, number):
    MessageFactory(phone_number=number, contact__phone="+12025550123")
    contacts = reverse("admin:consent_contact_changelist")
    messages = reverse("admin:messaging_outboundmessage_changelist")
    for url, lookup in (
        (contacts, "phone__startswith"),
        (contacts, "phone"),
        (messages, "to_recipient__startswith"),
        (messages, "contact__phone__startswith"),
        (messages, "payload__contains"),
    ):
        assert client.get(url, {lookup: "+1202"}).status_code == 400, lookup
    assert client.get(messages, {"status": "QUEUED"}).status_code == 200


def test_the_sidebar_shows_what_may_be_opened(client, org):
    client.force_login(staff_user("view_outboundmessage", orgs=(org,)))
    page = client.get("/admin/").content.decode()
    assert reverse("admin:messaging_outboundmessage_changelist") in page
    for hidden in ("auth_user", "orgs_apikey", "orgs_auditevent", "messaging_metaapp"):
        assert reverse(f"admin:{hidden}_changelist") not in page


def _request(user: User) -> Any:
    class Request:
        method = "GET"

    request = Request()
    request.user = User.objects.get(pk=user.pk)
    return request


def test_the_membership_counts_at_the_next_click(client, limited, org, other_org):
    url = reverse("admin:orgs_organization_changelist")
    assert list(client.get(url).context["cl"].queryset) == [org]
    Membership.objects.create(user=limited, org=other_org)
    assert set(client.get(url).context["cl"].queryset) == {org, other_org}
