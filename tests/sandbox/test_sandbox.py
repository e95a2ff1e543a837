"""The sandbox behaves like Meta's host: over real HTTP, with real signatures."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
import requests

from sandbox import signing
from sandbox.behaviours import MAGIC
from tests.sandbox.conftest import NUMBER, ROOT, SECRET

PERSON = "+12025559000"
VECTORS = json.loads(
    (Path(__file__).parents[1] / "messaging/payloads/signature-vectors.json").read_text()
)


def template(name: str = "order_update", *texts: str) -> dict[str, object]:
    content: dict[str, object] = {"name": name, "language": {"code": "en_US"}}
    if texts:
        parameters = [{"type": "text", "text": text} for text in texts]
        content["components"] = [{"type": "body", "parameters": parameters}]
    return {"type": "template", "template": content, "text": None}


def send_template(sandbox, *arguments: str):
    body = {"messaging_product": "whatsapp", "to": PERSON, **template(*arguments)}
    del body["text"]
    return sandbox.post_raw(orjson.dumps(body))


class TestSend:
    def test_an_accepted_send_looks_like_metas(self, sandbox):
        answer = sandbox.send(PERSON).json()
        assert answer["messaging_product"] == "whatsapp"
        assert answer["contacts"] == [{"input": PERSON, "wa_id": PERSON[1:]}]
        assert answer["messages"][0]["id"].startswith("wamid.")

    def test_a_template_is_answered_with_its_message_status(self, sandbox):
        answer = send_template(sandbox, "order_update", "Ana", "#1")
        assert answer.json()["messages"][0]["message_status"] == "accepted"

    def test_a_business_scoped_id_is_taken(self, sandbox):
        answer = sandbox.send("", recipient="US.13491208655302741918")
        assert answer.json()["contacts"][0]["user_id"] == "US.13491208655302741918"

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (("unknown",), 132001),
            (("order_update", "only one"), 132000),
            (("paused_news",), 132015),
        ],
    )
    def test_a_template_must_fit(self, sandbox, error_of, arguments, code):
        assert error_of(send_template(sandbox, *arguments)) == code

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"messaging_product": "sms"}, 100),
            ({"to": "garbage"}, 131009),
            ({"type": "hologram"}, 131051),
            ({"text": {}}, 131008),
            ({"text": {"body": "x" * 4097}}, 100),
            ({"image": {"id": "1"}}, 131008),
            ({"colour": "red"}, 100),
            ({"biz_opaque_callback_data": "x" * 513}, 100),
            ({"to": ""}, 131008),
        ],
    )
    def test_a_wrong_request_is_refused_with_metas_error(self, sandbox, error_of, fields, code):
        answer = sandbox.send(**{"to": PERSON, **fields})
        assert error_of(answer) == code
        assert {"message", "type", "fbtrace_id"} <= set(answer.json()["error"])

    def test_what_is_no_json_is_refused(self, sandbox, error_of):
        assert error_of(sandbox.post_raw(b"{")) == 100

    @pytest.mark.parametrize("token", ["", "expired-token"])
    def test_without_a_good_token_nothing_goes(self, sandbox, error_of, token):
        answer = sandbox.send(PERSON, token=token)
        assert (answer.status_code, error_of(answer)) == (401, 190)

    def test_marking_as_read_succeeds(self, sandbox):
        body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1"}
        assert sandbox.post_raw(orjson.dumps(body)).json() == {"success": True}


class TestWebhooks:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["description"])
    def test_signatures_are_metas(self, vector):
        body = base64.b64decode(vector["body_base64"])
        assert signing.signature(body, vector["app_secret"]) == vector["x_hub_signature_256"]

    def test_bytes_are_escaped_as_meta_does(self):
        assert signing.encode({"a": "é/😀"}) == b'{"a":"\\u00e9\\/\\ud83d\\ude00"}'

    def test_sent_delivered_and_read_come_signed(self, sandbox, receiver):
        sandbox.send(PERSON, biz_opaque_callback_data="ours")
        words = []
        for _ in range(3):
            headers, body = receiver.next("ours")
            assert headers["X-Hub-Signature-256"] == signing.signature(body, SECRET)
            (change,) = orjson.loads(body)["entry"][0]["changes"]
            (status,) = change["value"]["statuses"]
            assert status["biz_opaque_callback_data"] == "ours"
            assert change["value"]["metadata"]["phone_number_id"] == NUMBER
            words.append(status["status"])
        assert words == ["sent", "delivered", "read"]

    def test_a_delivery_is_repeated_until_it_is_taken(self, sandbox, receiver):
        receiver.answers = [500, 503]
        wamid = sandbox.wamid("+12025550103")
        assert [s["status"] for s in receiver.statuses(3, wamid)] == ["sent"] * 3

    def test_a_person_may_write(self, sandbox, receiver):
        sandbox.control(
            "POST", "inbound", json={"phone_number_id": NUMBER, "from": PERSON, "text": "STOP"}
        )
        _headers, body = receiver.next("STOP")
        (message,) = orjson.loads(body)["entry"][0]["changes"][0]["value"]["messages"]
        assert (message["from"], message["text"]["body"]) == (PERSON[1:], "STOP")

    def test_statuses_may_be_gathered(self, sandbox, receiver):
        sandbox.control("POST", "config", json={"statuses_per_post": 6})
        for n in range(2):
            sandbox.send(f"+1202555901{n}")
        _headers, body = receiver.next("1202555901")
        assert len(orjson.loads(body)["entry"][0]["changes"]) > 1


class TestMagic:
    @pytest.mark.parametrize(
        ("last", "words"),
        [
            ("0100", ["sent", "delivered"]),
            ("0102", ["sent", "read"]),
            ("0103", ["sent"]),
            ("0120", ["sent", "failed"]),
            ("0125", ["sent", "failed", "delivered"]),
            ("0134", ["sent", "delivered", "read"]),
            ("0135", ["sent", "sent", "delivered", "delivered", "read", "read"]),
            ("0136", ["read", "delivered", "sent"]),
            ("0137", ["sent", "delivered", "read"]),
        ],
    )
    def test_statuses_come_as_the_number_says(self, sandbox, receiver, last, words):
        wamid = sandbox.wamid(f"+1202555{last}")
        assert [s["status"] for s in receiver.statuses(len(words), wamid)] == words

    def test_a_failed_status_carries_its_code(self, sandbox, receiver):
        wamid = sandbox.wamid("+12025550121")
        (status,) = receiver.statuses(1, wamid)
        assert status["errors"][0]["code"] == 131047

    def test_a_person_may_be_known_by_business_scoped_id_only(self, sandbox, receiver):
        wamid = sandbox.wamid("+12025550138")
        (status,) = receiver.statuses(1, wamid)
        assert "recipient_id" not in status

    def test_the_wa_id_may_differ(self, sandbox):
        answer = sandbox.send("+12025550139").json()["contacts"][0]
        assert answer["wa_id"] != answer["input"].lstrip("+")

    @pytest.mark.parametrize(
        ("last", "status", "code"),
        [
            ("0112", 500, 131016),
            ("0126", 400, 131009),
            ("0127", 404, 132001),
            ("0128", 401, 190),
            ("0129", 400, 131042),
        ],
    )
    def test_errors_come_as_the_number_says(self, sandbox, error_of, last, status, code):
        answer = sandbox.send(f"+1202555{last}")
        assert (answer.status_code, error_of(answer)) == (status, code)

    @pytest.mark.parametrize("last", ["0110", "0113", "0114", "0115"])
    def test_each_message_fails_once_and_then_succeeds(self, sandbox, last):
        for message in ("a", "b"):
            data = json.dumps({"m": message})
            codes = [
                sandbox.send(f"+1202555{last}", biz_opaque_callback_data=data).ok for _ in range(3)
            ]
            assert codes == [False, True, True]

    def test_a_throttle_may_come_as_429_with_a_wait(self, sandbox):
        answer = sandbox.send("+12025550114")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")

    @pytest.mark.parametrize(("last", "accepted"), [("0131", 1), ("0132", 1), ("0140", 0)])
    def test_the_connection_may_break(self, sandbox, last, accepted):
        with pytest.raises(requests.ConnectionError):
            sandbox.send(f"+1202555{last}")
        assert sandbox.control("GET", "ledger").json()["count"] == accepted

    def test_an_answer_may_be_late_while_statuses_come(self, sandbox, receiver):
        body = {"messaging_product": "whatsapp", "to": "+12025550130", "type": "text"}
        raw = orjson.dumps({**body, "text": {"body": "hi"}})
        url = f"{sandbox.url}/v25.0/{NUMBER}/messages"
        with pytest.raises(requests.ReadTimeout):
            requests.post(url, data=raw, headers={"Authorization": "Bearer t"}, timeout=0.3)
        _headers, first = receiver.next("12025550130")
        assert b'"sent"' in first

    def test_a_gateway_may_answer_instead(self, sandbox):
        answer = sandbox.send("+12025550133")
        assert (answer.status_code, answer.text) == (502, "Bad Gateway")
        assert sandbox.control("GET", "ledger").json()["count"] == 0

    @pytest.mark.parametrize(("last", "start"), [("0141", ""), ("0142", "<!DOCTYPE html>")])
    def test_an_answer_may_be_unreadable(self, sandbox, last, start):
        assert sandbox.send(f"+1202555{last}").text.startswith(start)

    def test_every_magic_recipient_is_documented(self):
        page = (ROOT / "docs" / "sandbox.md").read_text()
        assert [last for last in MAGIC if f"`{last}`" not in page] == []


class TestControl:
    def test_the_ledger_is_read_by_a_cursor(self, sandbox):
        for n in range(3):
            sandbox.send(f"+1202555902{n}")
        first = sandbox.control("GET", "ledger?since=1").json()
        assert [entry["seq"] for entry in first["sends"]] == [2, 3]
        assert sandbox.control("GET", f"ledger?since={first['next']}").json()["sends"] == []

    def test_a_rule_may_name_any_code_once_or_always(self, sandbox, error_of):
        error = {"error": {"code": 80007, "http": 429, "headers": {"Retry-After": "9"}}}
        rule = {"recipient": PERSON, "behaviours": [error, "ok"]}
        assert sandbox.control("POST", "rules", json=rule).status_code == 200
        refused = sandbox.send(PERSON)
        assert (error_of(refused), refused.headers["Retry-After"]) == (80007, "9")
        assert sandbox.send(PERSON).ok
        always = {"phone_number_id": NUMBER, "behaviours": [{"error": 131031}], "repeat": "always"}
        sandbox.control("POST", "rules", json=always)
        assert [sandbox.send(PERSON).ok for _ in range(3)] == [False] * 3

    @pytest.mark.parametrize(
        "rule",
        [
            {},
            {"behaviours": []},
            {"behaviours": ["fly"]},
            {"behaviours": [{"colour": 1}]},
            {"behaviours": [{"error": "x"}]},
            {"behaviours": [{"statuses": "sent"}]},
        ],
    )
    def test_a_wrong_rule_is_said(self, sandbox, rule):
        answer = sandbox.control("POST", "rules", json=rule)
        assert answer.status_code == 400
        assert answer.json()["error"]

    @pytest.mark.parametrize("change", [{"port": 1}, {"colour": 1}, {"rate": -1}, {"rate": "x"}])
    def test_a_wrong_setting_is_said(self, sandbox, change):
        assert sandbox.control("POST", "config", json=change).status_code == 400

    def test_an_unknown_call_names_the_known_ones(self, sandbox):
        assert "/_sandbox/ledger" in sandbox.control("GET", "nothing").json()["error"]


class TestLimits:
    def test_the_rate_of_a_number_is_enforced_and_breaches_are_counted(self, sandbox):
        sandbox.control("POST", "config", json={"rate": 5})
        answers = [sandbox.send(f"+120255591{n:02}").ok for n in range(10)]
        assert answers.count(True) <= 6
        stats = sandbox.control("GET", "stats").json()
        assert stats["rate_breaches"] == answers.count(False) > 0

    def test_a_person_takes_a_burst_of_45_and_others_go_on(self, sandbox, error_of):
        sandbox.control("POST", "config", json={"pair_limit": True})
        answers = [sandbox.send(PERSON) for _ in range(46)]
        assert [answer.ok for answer in answers] == [True] * 45 + [False]
        assert error_of(answers[-1]) == 131056
        assert sandbox.send("+12025559999").ok

    def test_outside_the_window_free_form_is_accepted_and_fails(self, sandbox, receiver):
        sandbox.control("POST", "config", json={"enforce_window": True})
        wamid = sandbox.wamid(PERSON)
        (status,) = receiver.statuses(1, wamid)
        assert (status["status"], status["errors"][0]["code"]) == ("failed", 131047)


class TestManagement:
    def test_templates_are_paged_by_cursor(self, sandbox):
        names, after = [], ""
        for _ in range(5):
            page = sandbox.get("100000000000001/message_templates", limit=2, after=after).json()
            names += [row["name"] for row in page["data"]]
            after = page["paging"]["cursors"]["after"]
            if "next" not in page["paging"]:
                break
        assert len(names) == len(set(names)) == 5

    def test_templates_are_filtered(self, sandbox):
        page = sandbox.get("1/message_templates", status="PAUSED").json()
        assert [row["name"] for row in page["data"]] == ["paused_news"]

    def test_a_wrong_cursor_is_refused(self, sandbox, error_of):
        assert error_of(sandbox.get("1/message_templates", after="xyz")) == 131059

    def test_a_number_shows_the_fields_asked_for(self, sandbox):
        limit = "whatsapp_business_manager_messaging_limit"
        number = sandbox.get(NUMBER, fields=f"quality_rating,throughput,{limit}").json()
        assert number.pop("id") in NUMBER
        expected = {"quality_rating": "GREEN", "throughput": {"level": "STANDARD"}}
        assert number == {**expected, limit: "TIER_UNLIMITED"}

    def test_media_are_uploaded_and_found(self, sandbox):
        answer = requests.post(
            f"{sandbox.url}/v25.0/{NUMBER}/media",
            data={"messaging_product": "whatsapp"},
            files={"file": ("a.png", b"png")},
            headers={"Authorization": "Bearer t"},
            timeout=10,
        )
        media_id = answer.json()["id"]
        assert sandbox.get(media_id).json()["id"] == media_id

    def test_what_does_not_exist_is_said(self, sandbox, error_of):
        assert error_of(sandbox.get("me/friends")) == 100


class TestWire:
    def talk(self, sandbox, raw: bytes) -> bytes:
        parts = urlsplit(sandbox.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as client:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            data = b""
            while part := client.recv(65536):
                data += part
        return data

    def test_requests_on_one_connection_are_answered_in_order(self, sandbox):
        one = b"GET /_sandbox/health HTTP/1.1\r\nHost: x\r\n\r\n"
        two = b"GET /_sandbox/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
        parts = urlsplit(sandbox.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as client:
            client.sendall(one + two)
            data = b""
            while data.count(b"HTTP/1.1") < 2:
                data += client.recv(65536)
        assert data.index(b"200 OK") < data.index(b"404 Not Found")

    def test_a_chunked_body_is_read(self, sandbox):
        chunks = (part for part in (b'{"statuses_', b'per_post": 1}'))
        assert sandbox.control("POST", "config", data=chunks).status_code == 200

    @pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
    def test_what_is_not_http_is_refused(self, sandbox, raw):
        assert self.talk(sandbox, raw).startswith(b"HTTP/1.1 400")

    def test_a_body_over_five_megabytes_is_refused(self, sandbox):
        head = b"POST /_sandbox/config HTTP/1.1\r\nContent-Length: 6000000\r\n\r\n"
        assert self.talk(sandbox, head).startswith(b"HTTP/1.1 413")


class TestProgram:
    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def test_a_busy_port_is_one_sentence(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = self.run("--port", str(taken.getsockname()[1]))
        assert done.returncode == 2
        assert "cannot listen" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("flag", "value"),
        [
            ("--port", "many"),
            ("--status-delays-ms", "1,2"),
            ("--config", "/missing"),
            ("--rate", "-1"),
        ],
    )
    def test_a_wrong_flag_is_named(self, flag, value):
        done = self.run(flag, value)
        assert done.returncode == 2
        assert flag.strip("-").replace("-", "_") in done.stderr or value in done.stderr
