"""Consents as files: the good rows go in, the others are explained, a STOP stays."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from consent import ledger, taking
from consent.models import (
    Consent,
    ConsentEvent,
    ConsentImport,
    Contact,
    ImportPart,
    ImportProblem,
)
from consent.transfer import exporting, importing, upload
from consent.transfer.upload import UploadError
from orgs import guard
from orgs.models import AuditEvent
from tests.factories.consent import ContactFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

State = ConsentImport.State
ANA, BO, CY = "+12025550123", "+12025550124", "+12025550125"


def stored(org, text: str | bytes, actor: str = "user:1") -> ConsentImport:
    raw = text if isinstance(text, bytes) else text.encode()
    return upload.store(org, io.BytesIO(raw), actor=actor)


def tried(org, text: str | bytes) -> ConsentImport:
    made = stored(org, text)
    run()
    made.refresh_from_db()
    return made


def recorded(org, text: str | bytes) -> ConsentImport:
    made = tried(org, text)
    assert importing.start(made, actor="user:2")
    run()
    made.refresh_from_db()
    return made


def run() -> None:
    for _ in range(100):
        if not importing.proceed():
            return


def said_stop(org, phone: str) -> None:
    contact = ContactFactory(org=org, phone=phone)
    at = timezone.now() - timedelta(days=5)
    entry = ledger.Entry(contact.pk, "WHATSAPP", "marketing", "person", "person", at, {"w": "stop"})
    ledger.revoke(org, [entry])


GOOD = f"""phone,purpose,status,occurred_at,proof_text
{ANA},marketing,GRANTED,2026-01-02T10:00:00Z,Yes
{BO},Marketing,denied,2026-01-02T10:00:00Z,
"""


class TestImport:
    def test_trying_out_shows_what_would_change_and_changes_nothing(self, org):
        made = tried(org, GOOD)
        assert (made.state, made.rows, made.preview) == (
            State.READY,
            2,
            {"granted": 1, "denied": 1},
        )
        assert not Consent.objects.exists()
        assert not Contact.objects.exists()
        run()
        assert not Consent.objects.exists()

    def test_on_a_word_it_is_recorded_with_source_time_and_proof(self, org):
        made = recorded(org, GOOD)
        assert (made.state, made.result) == (State.DONE, {"granted": 1, "denied": 1})
        consent = Consent.objects.get(contact__phone=ANA)
        assert (consent.status, consent.source) == ("GRANTED", "import")
        assert consent.proof == {"text": "Yes"}
        assert consent.decided_at == datetime(2026, 1, 2, 10, tzinfo=UTC)
        assert ConsentEvent.objects.filter(consent=consent).get().actor == "user:2"
        assert not ImportPart.objects.exists()

    def test_the_same_file_again_changes_nothing(self, org):
        recorded(org, GOOD)
        assert recorded(org, GOOD).result == {"unchanged": 2}
        assert ConsentEvent.objects.count() == 2

    def test_a_stop_is_never_undone_not_even_by_a_later_proof(self, org):
        said_stop(org, ANA)
        later = timezone.now().isoformat()
        text = f"phone,purpose,occurred_at,proof_form\n{ANA},marketing,{later},signed\n"
        text += f"{BO},marketing,,\n"
        made = recorded(org, text)
        assert made.preview == made.result == {"opted_out": 1, "granted": 1}
        assert Consent.objects.get(contact__phone=ANA).status == "REVOKED"
        (problem,) = made.problems.all()
        assert (problem.line, problem.code) == (2, "opted_out")

    def test_mistakes_are_told_by_line_and_column_without_the_value(self, org):
        text = (
            "phone;purpose;status;expires_at;proof\n"
            f"{ANA};marketing;;;\n"
            "12025550999;marketing;;;\n"
            f"{BO};selling;;;\n"
            f"{BO};marketing;MAYBE;tomorrow;\n"
            f"{BO};marketing;;;not json\n"
            f"{BO};marketing\n"
            "\n"
            f";marketing;;;\n"
            f"{CY};transactional;;;\n"
        )
        made = recorded(org, text)
        assert made.result == {"granted": 2, "wrong": 6}
        found = list(made.problems.values_list("line", "column"))
        assert found == [
            (3, "phone"),
            (4, "purpose"),
            (5, "status"),
            (5, "expires_at"),
            (6, "proof"),
            (7, "row"),
            (9, "phone"),
        ]
        told = " ".join(made.problems.values_list("detail", flat=True))
        assert not any(value in told for value in ("12025550999", "selling", "MAYBE", "not json"))
        assert Consent.objects.count() == 2

    def test_a_cell_over_several_lines_keeps_the_count_right(self, org):
        text = f'phone,purpose,proof_text\n{ANA},marketing,"one\ntwo"\nx,marketing,\n'
        made = recorded(org, text)
        assert made.problems.get().line == 4
        assert Consent.objects.get().proof == {"text": "one\ntwo"}

    @pytest.mark.parametrize(
        ("raw", "why"),
        [
            (b"", "empty"),
            (b"phone,purpose\n\xff\xfe", "UTF-8"),
            (b'phone,purpose\n"+1202', "not CSV"),
            (b"phone,name\n", "purpose"),
            (b"purpose\n", "phone"),
            (b"phone,purpose,shoe_size\n", "one of"),
            (b"phone,phone,purpose\n", "once"),
        ],
    )
    def test_a_file_that_is_none_is_refused_and_nothing_kept(self, org, raw, why):
        with pytest.raises(UploadError, match=why):
            stored(org, raw)
        assert not ConsentImport.objects.exists()
        assert not ImportPart.objects.exists()

    def test_a_byte_order_mark_and_tabs_are_fine(self, org):
        assert recorded(org, f"\ufeffphone\tpurpose\n{ANA}\tmarketing\n").result == {"granted": 1}

    def test_large_files_go_part_by_part(self, org, monkeypatch):
        monkeypatch.setattr(upload, "PART_ROWS", 3)
        rows = "".join(f"+1202555{n:04},marketing\n" for n in range(100, 110))
        made = stored(org, "phone,purpose\n" + rows)
        assert ImportPart.objects.count() == 4
        assert [importing.proceed() for _ in range(2)] == [3, 3]
        made.refresh_from_db()
        assert (made.state, made.done_rows) == (State.TRYING, 6)
        run()
        assert importing.start(made, actor="user:1")
        run()
        made.refresh_from_db()
        assert (made.state, made.result) == (State.DONE, {"granted": 10})

    def test_a_part_that_fails_is_done_again_whole(self, org, monkeypatch):
        made = tried(org, GOOD)
        importing.start(made, actor="user:1")
        with monkeypatch.context() as patch:
            patch.setattr(ImportPart, "delete", lambda _self: 1 / 0)
            assert importing.proceed() == 0
        assert not Consent.objects.exists()
        run()
        assert Consent.objects.count() == 2

    def test_a_part_that_always_fails_ends_its_import_and_no_other(
        self, org, other_org, monkeypatch
    ):
        bad, good = stored(org, GOOD), stored(other_org, GOOD)
        take = taking.take
        monkeypatch.setattr(
            taking, "take", lambda who, *a, **k: 1 / 0 if who == org else take(who, *a, **k)
        )
        for _ in range(10):
            importing.proceed()
        bad.refresh_from_db()
        good.refresh_from_db()
        assert (bad.state, good.state) == (State.FAILED, State.READY)
        assert not ImportPart.objects.filter(of=bad).exists()
        assert AuditEvent.objects.filter(action="consent_import.failed").count() == 1

    def test_files_take_turns(self, org, other_org, monkeypatch):
        monkeypatch.setattr(upload, "PART_ROWS", 1)
        large = stored(org, "phone,purpose\n" + f"{ANA},marketing\n" * 10)
        small = stored(other_org, f"phone,purpose\n{BO},marketing\n")
        for _ in range(4):
            importing.proceed()
        small.refresh_from_db()
        large.refresh_from_db()
        assert (small.state, large.state) == (State.READY, State.TRYING)

    @pytest.mark.parametrize(
        "proof", ['{"a":"\\u0000"}', '{"a":NaN}', '{"a":"\\ud800"}', '{"a":"' + "x" * 11_000 + '"}']
    )
    def test_a_proof_that_cannot_be_kept_is_a_mistake_of_its_row(self, org, proof):
        cell = proof.replace('"', '""')
        made = recorded(org, f'phone,purpose,proof\n{ANA},marketing,"{cell}"\n{BO},marketing,\n')
        assert made.result == {"wrong": 1, "granted": 1}
        assert made.problems.get().column == "proof"

    def test_a_nul_in_the_first_line_is_no_part_of_a_name(self, org):
        assert recorded(org, f"phone,pur\x00pose\n{ANA},marketing\n").result == {"granted": 1}

    def test_a_stop_stays_when_a_client_has_repeated_it(self, org):
        said_stop(org, ANA)
        contact = Contact.objects.get(phone=ANA)
        at = timezone.now() - timedelta(days=1)
        ledger.revoke(org, [ledger.Entry(contact.pk, "WHATSAPP", "marketing", "api", "key:x", at)])
        made = recorded(org, f"phone,purpose,proof_form\n{ANA},marketing,signed\n")
        assert made.result == {"opted_out": 1}
        assert Consent.objects.get(contact=contact).status == "REVOKED"

    def test_discarded_while_it_is_uploaded_it_stays_discarded(self, org, monkeypatch):
        parts = upload._store_parts

        def store_parts(made, file):
            parts(made, file)
            assert importing.discard(ConsentImport.objects.get(pk=made.pk), actor="user:2")

        monkeypatch.setattr(upload, "_store_parts", store_parts)
        assert stored(org, GOOD).state == State.DISCARDED

    def test_the_statements_of_a_part_do_not_grow(self, org, django_assert_max_num_queries):
        rows = "".join(f"+1202555{n:04},marketing\n" for n in range(100, 600))
        stored(org, "phone,purpose\n" + rows)
        with django_assert_max_num_queries(41):
            importing.proceed()

    def test_only_the_first_problems_are_kept_but_all_are_counted(self, org, monkeypatch):
        monkeypatch.setattr(importing, "MOST_PROBLEMS", 3)
        made = tried(org, "phone,purpose\n" + "x,marketing\n" * 7)
        assert made.preview == {"wrong": 7}
        assert ImportProblem.objects.count() == 3

    def test_discarded_it_is_gone(self, org):
        made = tried(org, GOOD)
        assert importing.discard(made, actor="user:1")
        assert not importing.start(made, actor="user:1")
        run()
        assert not Consent.objects.exists()
        assert not ImportPart.objects.exists()

    def test_what_nobody_wants_is_discarded_after_a_day(self, org):
        made = tried(org, GOOD)
        ConsentImport.objects.update(updated_at=timezone.now() - timedelta(days=2))
        run()
        made.refresh_from_db()
        assert made.state == State.DISCARDED

    def test_every_step_is_audited(self, org):
        recorded(org, GOOD)
        actions = AuditEvent.objects.order_by("id").values_list("action", "actor")
        assert list(actions) == [
            ("consent_import.uploaded", "user:1"),
            ("consent_import.started", "user:2"),
            ("consent_import.finished", "user:2"),
        ]


class TestExport:
    def test_what_is_written_can_be_read_back(self, org, other_org):
        recorded(org, GOOD)
        Contact.objects.filter(phone=ANA).update(time_zone="America/Denver")
        text = "".join(exporting.lines(Consent.objects.of(org)))
        assert text.splitlines()[0].startswith("phone,bsuid,channel,purpose,status")
        assert recorded(other_org, text).result == {"granted": 1, "denied": 1}
        shown = "phone", "time_zone"
        theirs, ours = (
            set(Contact.objects.of(one).values_list(*shown)) for one in (other_org, org)
        )
        assert theirs == ours
        assert Consent.objects.get(org=other_org, contact__phone=ANA).proof == {"text": "Yes"}


class TestConsole:
    ADD = "/admin/consent/consentimport/add/"

    def send(self, client, org, text: str):
        file = SimpleUploadedFile("people.csv", text.encode(), "text/csv")
        return client.post(self.ADD, {"org": org.pk, "file": file}, follow=True)

    def test_a_file_is_uploaded_looked_at_and_recorded(self, admin_client, org):
        answer = self.send(admin_client, org, GOOD + "x,marketing,,,\n")
        made = ConsentImport.objects.get()
        page = f"/admin/consent/consentimport/{made.pk}"
        assert "Refresh" not in answer.headers
        assert f'hx-get="{page}/progress/"' in answer.content.decode()
        run()
        text = admin_client.get(f"{page}/change/").content.decode()
        assert "1 granted, 1 denied, 1 with mistakes" in text
        assert "/progress/" not in text
        assert admin_client.get(f"{page}/record/").status_code == 200
        assert not Consent.objects.exists()
        admin_client.post(f"{page}/record/")
        run()
        assert Consent.objects.count() == 2
        assert "1 granted, 1 denied" in admin_client.get(f"{page}/change/").content.decode()

    def test_its_progress_is_asked_for_without_keeping_the_session_alive(
        self, admin_client, org, monkeypatch, settings
    ):
        self.send(admin_client, org, GOOD)
        page = f"/admin/consent/consentimport/{ConsentImport.objects.get().pk}/progress/"
        asked = {"HTTP_HX_REQUEST": "true", "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}
        part = admin_client.get(page, **asked)
        assert "0 of 2 rows" in part.content.decode()
        assert "Being tried out" in part.content.decode()
        assert "HX-Refresh" not in part.headers
        run()
        # What can be done now stands outside of the part: the page is loaded anew, once.
        assert admin_client.get(page, **asked).headers["HX-Refresh"] == "true"
        whole = admin_client.get(page.replace("progress", "change")).content.decode()
        assert "Waits for your word" in whole
        assert "/record" in whole
        assert "/progress/" not in whole
        later = time.time() + settings.OUTBOUND_SESSION_IDLE_SECONDS + 1
        monkeypatch.setattr(guard.time, "time", lambda: later)
        assert admin_client.get(page, **asked).status_code == 401

    def test_a_file_that_is_none_comes_back_with_the_reason(self, admin_client, org):
        assert "must name the columns" in self.send(admin_client, org, "a,b\n").content.decode()
        assert not ConsentImport.objects.exists()

    def test_consents_are_handed_out_as_the_list_is_filtered(self, admin_client, org):
        recorded(org, GOOD)
        url = "/admin/consent/consent/export-csv"
        answer = admin_client.get(url, {"status__exact": "DENIED"}, follow=True)
        text = b"".join(answer.streaming_content).decode()
        assert BO in text
        assert ANA not in text
        assert AuditEvent.objects.filter(action="consents.exported").exists()

    def test_who_may_not_gets_neither(self, client, django_user_model, org):
        clerk = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
        client.force_login(clerk)
        assert client.get(self.ADD).status_code == 403
        assert client.get("/admin/consent/consent/export-csv/").status_code in {302, 403, 404}
