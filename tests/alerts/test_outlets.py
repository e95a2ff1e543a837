"""Notices on their way, to a real mail server and a real web server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.core.management.base import CommandError
from standardwebhooks import Webhook

from alerts import delivery, metrics, notices, reports
from alerts.incidents import Kind, Step
from alerts.models import Alert, Notice, Route
from alerts.outlets import http
from alerts.testing import send_test
from messaging.states import Status
from orgs import database
from orgs.encryption import DecryptionError
from tests.alerts import servers
from tests.factories.messaging import MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

SECRET = "whsec_" + base64.b64encode(b"only-for-tests-only-for-tests").decode()
State = Notice.State


@pytest.fixture
def web(settings) -> Iterator[servers.Web]:
    settings.OUTBOUND_ALERT_TRUSTED_HOSTS = ["127.0.0.1"]
    with servers.web() as running:
        yield running


@pytest.fixture(scope="module")
def mail_server() -> Iterator[servers.Mail]:
    with servers.mail() as running:
        yield running


@pytest.fixture
def mail(mail_server, settings) -> servers.Mail:
    mail_server.taken.clear()
    mail_server.refused.clear()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail_server.port
    return mail_server


@pytest.fixture
def alert(org) -> Alert:
    now = database.now()
    return Alert.objects.create(
        rule="dlq",
        org=org,
        severity="critical",
        title="The dead letter queue <has> grown",
        summary="120 messages have failed.",
        figures=[["Dead letters", "120"]],
        table=[["Code", "In 24 h", "Meaning", "What to do"], ["131026", "9", "No", "Try"]],
        advice="Look & decide.",
        page="/admin/messaging/deadletter/?org=acme",
        opened_at=now,
        last_seen_at=now,
    )


def tell(alert: Alert, kind: Kind = Kind.OPENED) -> list[Notice]:
    notices.write([Step(alert, kind)], database.now())
    delivery.deliver_due()
    return list(Notice.objects.order_by("pk"))


def slack_route(web: servers.Web) -> Route:
    return Route.objects.create(name="chat", outlet="slack", url=f"{web.url}/services/T/B/x")


class TestEmail:
    def test_it_is_told_in_html_and_in_text_with_a_link(self, mail, alert):
        (notice,) = tell(alert)
        assert notice.state == State.SENT
        ((recipients, message),) = mail.taken
        assert recipients == ["ops@example.org"]
        assert message["Subject"] == "[Outbound] Critical: The dead letter queue <has> grown"
        assert message["From"] == "Outbound <alerts@outbound.example.org>"
        plain, html = (part.get_content() for part in message.iter_parts())
        link = "https://outbound.example.org/admin/messaging/deadletter/?org=acme"
        for text in (plain, html):
            assert link in text
            assert "131026" in text
            assert "120 messages have failed." in text
        assert "queue &lt;has&gt; grown" in html
        assert "#b91c1c" in html
        assert "Look & decide." in plain

    def test_all_mails_of_an_incident_are_one_conversation(self, mail, alert):
        tell(alert)
        alert.resolved_at = database.now()
        tell(alert, Kind.RESOLVED)
        first, last = (message for _to, message in mail.taken)
        assert first["References"] == last["References"]
        assert first["Message-ID"] != last["Message-ID"]
        assert last["Subject"].startswith("[Outbound] Resolved: ")

    def test_a_refused_mailbox_is_given_up_and_not_named(self, mail, alert):
        mail.refused.add("ops@example.org")
        before = metrics.ERRORS["email"].value("critical")
        (notice,) = tell(alert)
        assert notice.state == State.GIVEN_UP
        assert notice.error == "The mail server refused every recipient (550)"
        assert metrics.ERRORS["email"].value("critical") == before + 1

    def test_a_server_that_is_away_is_tried_again(self, mail, alert, settings):
        settings.EMAIL_PORT = 1
        (notice,) = tell(alert)
        assert (notice.state, notice.attempts) == (State.PENDING, 1)
        assert notice.next_try_at > database.now()
        settings.EMAIL_PORT = mail.port
        Notice.objects.update(next_try_at=database.now())
        delivery.deliver_due()
        assert Notice.objects.get().state == State.SENT

    def test_the_daily_report_comes_once(self, mail, number, settings):
        settings.OUTBOUND_ALERT_DAILY_REPORT = True
        MessageFactory(phone_number=number, status=Status.FAILED, error_code="131026")
        assert reports.write_daily() == 1
        assert reports.write_daily() == 0
        delivery.deliver_due()
        ((_to, message),) = mail.taken
        assert message["Subject"] == "[Outbound] Dead letter queue: 1 message"
        assert "131026" in message.get_body(("plain",)).get_content()


class TestSlack:
    @pytest.fixture(autouse=True)
    def _no_mail(self, settings) -> None:
        settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS = []

    def test_it_is_told_with_colour_fields_and_link(self, web, alert):
        slack_route(web)
        (notice,) = tell(alert)
        assert notice.state == State.SENT
        payload = json.loads(web.posted[0].body)
        (attachment,) = payload["attachments"]
        assert attachment["color"] == "danger"
        assert attachment["fields"][0] == {"title": "Dead letters", "value": "120", "short": True}
        assert attachment["title_link"].startswith("https://outbound.example.org/admin/")
        assert "&lt;has&gt;" in payload["text"]

    @pytest.mark.parametrize(
        ("severity", "kind", "colour"),
        [
            ("critical", Kind.OPENED, "danger"),
            ("warning", Kind.WORSE, "warning"),
            ("critical", Kind.RESOLVED, "good"),
        ],
    )
    def test_the_colour_says_how_bad_it_is(self, web, alert, severity, kind, colour):
        slack_route(web)
        alert.severity = severity
        tell(alert, kind)
        assert json.loads(web.posted[0].body)["attachments"][0]["color"] == colour

    def test_when_slack_asks_to_wait_it_is_waited_for(self, web, alert):
        slack_route(web)
        web.status, web.headers = 429, {"Retry-After": "120"}
        (notice,) = tell(alert)
        assert (notice.state, notice.error) == (State.PENDING, "Answered 429")
        wait = notice.next_try_at - database.now()
        assert timedelta(seconds=100) < wait <= timedelta(seconds=120)
        delivery.deliver_due()
        assert len(web.posted) == 1
        web.status = 200
        Notice.objects.update(next_try_at=database.now())
        delivery.deliver_due()
        assert Notice.objects.get().state == State.SENT

    def test_only_slack_is_slack(self, alert):
        Route.objects.create(name="x", outlet="slack", url="https://hooks.example.org/x")
        (notice,) = tell(alert)
        assert notice.state == State.GIVEN_UP
        assert "hooks.slack.com" in notice.error


class TestWebhook:
    @pytest.fixture(autouse=True)
    def _no_mail(self, settings) -> None:
        settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS = []

    def test_it_is_signed_as_standard_webhooks_describes(self, web, alert):
        Route.objects.create(name="pager", outlet="webhook", url=web.url, signing_secret=SECRET)
        (notice,) = tell(alert)
        assert notice.state == State.SENT
        (posted,) = web.posted
        headers = {name.lower(): value for name, value in posted.headers.items()}
        body = Webhook(SECRET).verify(posted.body, headers)
        assert body["type"] == "incident.opened"
        assert body["data"]["incident"] == alert.pk
        assert (body["data"]["status"], body["data"]["org"]) == ("open", "acme")

    def test_the_id_stays_when_it_is_tried_again(self, web, alert):
        Route.objects.create(name="pager", outlet="webhook", url=web.url, signing_secret=SECRET)
        web.status = 500
        tell(alert)
        Notice.objects.update(next_try_at=database.now())
        delivery.deliver_due()
        first, second = (posted.headers["webhook-id"] for posted in web.posted)
        assert first == second

    @pytest.mark.parametrize(
        "url", ["https://10.0.0.1/x", "https://localhost/x", "https://[::1]/x", "http://1.1.1.1/x"]
    )
    def test_it_goes_neither_into_our_own_network_nor_without_tls(self, alert, url):
        Route.objects.create(name="pager", outlet="webhook", url=url, signing_secret=SECRET)
        (notice,) = tell(alert)
        assert notice.state == State.GIVEN_UP
        assert url not in notice.error


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("1.1.1.1", True),
        ("2606:4700:4700::1111", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),  # 10.0.0.1 through a gateway
        ("64:ff9b::101:101", True),
    ],
)
def test_an_address_is_public_whichever_way_it_is_written(address, fine):
    assert http._is_public(ip_address(address)) is fine


def test_a_host_that_drips_its_answer_is_not_waited_for(alert, settings, monkeypatch):
    settings.OUTBOUND_ALERT_TRUSTED_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(http, "WHOLE_SECONDS", 0.4)
    with servers.dripping() as url:
        Route.objects.create(name="pager", outlet="webhook", url=url, signing_secret=SECRET)
        (notice,) = [each for each in tell(alert) if each.outlet == "webhook"]
    assert (notice.state, notice.error) == (State.PENDING, "No answer in time")


def test_a_proxy_of_the_environment_is_not_used(web, alert, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    Route.objects.create(name="pager", outlet="webhook", url=web.url, signing_secret=SECRET)
    (notice,) = [each for each in tell(alert) if each.outlet == "webhook"]
    assert notice.state == State.SENT


def test_an_outlet_that_fails_stops_no_other(web, mail, alert, monkeypatch):
    def broken(_letter: object) -> None:
        raise RuntimeError("secret https://hooks.slack.com/services/T/B/x")

    slack_route(web)
    monkeypatch.setitem(delivery._SENDERS, Route.Outlet.SLACK, broken)
    told = {notice.outlet: notice for notice in tell(alert)}
    assert told["email"].state == State.SENT
    assert told["slack"].state == State.PENDING
    assert told["slack"].error == "RuntimeError"


def test_a_route_whose_secrets_no_key_opens_stops_no_other(web, mail, alert, settings):
    route = slack_route(web)
    settings.OUTBOUND_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    told = {notice.outlet: notice for notice in tell(alert)}
    assert told["email"].state == State.SENT
    assert (told["slack"].state, told["slack"].attempts) == (State.PENDING, 1)
    assert "OUTBOUND_ENCRYPTION_KEYS" in told["slack"].error
    with pytest.raises(DecryptionError):
        route.refresh_from_db()


def test_a_wait_that_is_no_length_of_time_is_cut_and_stops_no_other(web, mail, alert):
    slack_route(web)
    web.status, web.headers = 429, {"Retry-After": "9" * 30}
    told = {notice.outlet: notice for notice in tell(alert)}
    assert (told["slack"].state, told["slack"].error) == (State.PENDING, "Answered 429")
    assert told["slack"].next_try_at <= database.now() + delivery.LONGEST_WAIT
    assert told["email"].state == State.SENT


def test_a_newer_notice_overtakes_one_that_waits(web, alert, settings):
    settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS = []
    slack_route(web)
    web.status = 503
    tell(alert)
    web.status = 200
    first, second = tell(alert, Kind.RESOLVED)
    assert (first.state, first.error) == (State.GIVEN_UP, notices.OVERTAKEN)
    assert second.state == State.SENT


def test_a_route_that_was_switched_off_tells_nothing_more(web, alert):
    route = slack_route(web)
    notices.write([Step(alert, Kind.OPENED)], database.now())
    Route.objects.filter(pk=route.pk).update(is_active=False)
    delivery.deliver_due()
    of_route = Notice.objects.get(route=route)
    assert (of_route.state, of_route.error) == (State.GIVEN_UP, delivery.SWITCHED_OFF)
    assert of_route.attempts == 0


def test_a_route_that_is_off_can_be_tried_out(web):
    route = slack_route(web)
    Route.objects.filter(pk=route.pk).update(is_active=False)
    (notice,) = send_test([route], with_settings=False)
    assert notice.state == State.SENT


def test_it_is_given_up_in_the_end(web, alert, settings):
    settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS = []
    slack_route(web)
    web.status = 500
    tell(alert)
    Notice.objects.update(next_try_at=database.now(), attempts=delivery.MOST_ATTEMPTS - 1)
    delivery.deliver_due()
    assert Notice.objects.get().state == State.GIVEN_UP


def test_what_is_sent_is_counted(web, alert, settings):
    settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS = []
    slack_route(web)
    before = metrics.SENT["slack"].value("critical")
    tell(alert)
    assert metrics.SENT["slack"].value("critical") == before + 1


@pytest.mark.parametrize(
    ("url", "only", "fine"),
    [
        ("https://hooks.slack.com/services/x", http.SLACK_HOST, True),
        ("https://hooks.slack.com.example.org/x", http.SLACK_HOST, False),
        ("https://user@hooks.slack.com/x", http.SLACK_HOST, False),
        ("http://hooks.slack.com/x", http.SLACK_HOST, False),
        ("https://events.example.org/x", "", True),
        ("ftp://events.example.org/x", "", False),
        ("https://[", "", False),
    ],
)
def test_a_url_is_looked_at_before_it_is_used(url, only, fine):
    assert (http.problem_of(url, only=only) == "") is fine


class TestTestAlert:
    def test_the_command_says_what_arrived(self, mail, capsys):
        call_command("send_test_alert")
        assert "E-mail (settings): sent" in capsys.readouterr().out
        assert len(mail.taken) == 1

    def test_the_command_fails_when_one_did_not_arrive_and_it_is_not_tried_again(
        self, mail, settings, capsys
    ):
        settings.EMAIL_PORT = 1
        with pytest.raises(CommandError):
            call_command("send_test_alert")
        assert "not sent. No mail server" in capsys.readouterr().out
        assert Notice.objects.get().state == State.GIVEN_UP

    def test_without_anybody_to_tell_it_says_so(self, settings):
        settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS = []
        with pytest.raises(CommandError, match="Nobody would be told"):
            call_command("send_test_alert")
