from __future__ import annotations

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


def test_the_schema_has_no_errors_or_warnings(capsys):
    call_command("spectacular", "--validate", "--fail-on-warn")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/v1/outbound-messages", "post"),
        ("/api/v1/outbound-messages/batch", "post"),
        ("/api/v1/outbound-messages", "get"),
        ("/api/v1/outbound-messages/{id}", "get"),
        ("/api/v1/outbound-messages/{id}/cancel", "post"),
        ("/api/v1/outbound-messages/{id}/retry", "post"),
        ("/api/v1/outbound-messages/dlq", "get"),
        ("/api/v1/outbound-messages/dlq/report", "get"),
        ("/api/v1/outbound-health", "get"),
        ("/api/v1/outbound-messages/dlq/requeue", "post"),
        ("/api/v1/outbound-messages/dlq/discard", "post"),
        ("/api/v1/outbound-messages/{id}/discard", "post"),
        ("/api/v1/outbound-messages/{id}/restore", "post"),
        ("/api/v1/operations", "get"),
        ("/api/v1/operations/{id}", "get"),
        ("/api/v1/operations/{id}/stop", "post"),
        ("/api/v1/operations/{id}/resume", "post"),
        ("/api/v1/operations/{id}/undo", "post"),
        ("/api/v1/rate-limits/whatsapp/quota", "get"),
        ("/api/v1/rate-limits/whatsapp/quota", "put"),
        ("/api/v1/consents", "post"),
        ("/api/v1/consents/{id}/revoke", "post"),
        ("/api/v1/webhooks/whatsapp/inbound", "post"),
        ("/api/v1/webhooks/whatsapp/inbound", "get"),
    ],
)
def test_every_endpoint_is_documented(schema, path, method):
    assert method in schema["paths"][path]


def test_the_message_body_shows_every_type(schema):
    post = schema["paths"]["/api/v1/outbound-messages"]["post"]
    body = post["requestBody"]["content"]["application/json"]["schema"]
    assert {"template", "text", "image", "interactive", "reaction"} <= set(body["properties"])
    assert "422" in post["responses"]


def test_the_batch_body_shows_its_bounds_and_the_message(schema):
    post = schema["paths"]["/api/v1/outbound-messages/batch"]["post"]
    messages = post["requestBody"]["content"]["application/json"]["schema"]["properties"][
        "messages"
    ]
    assert (messages["minItems"], messages["maxItems"]) == (1, 1000)
    wanted = {"scheduled_at", "ttl_seconds", "on_unknown", "template", "to"}
    assert wanted <= set(messages["items"]["properties"])
