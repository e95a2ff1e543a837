from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection

from messaging.models import MetaApp
from orgs import checks
from orgs.encryption import DecryptionError
from tests.factories.messaging import MetaAppFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def stored(app: MetaApp) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT app_secret FROM messaging_metaapp WHERE id = %s", [app.pk])
        return str(cursor.fetchone()[0])


def test_a_secret_is_readable_here_and_not_in_the_database():
    app = MetaAppFactory(app_secret="hush")
    assert MetaApp.objects.get(pk=app.pk).app_secret == "hush"
    assert "hush" not in stored(app)


def test_an_empty_secret_stays_empty():
    app = MetaAppFactory(previous_app_secret="")
    assert MetaApp.objects.get(pk=app.pk).previous_app_secret == ""


def test_rotation_moves_every_secret_to_the_new_key(settings):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.OUTBOUND_ENCRYPTION_KEYS = [old]
    app = MetaAppFactory(app_secret="hush")
    settings.OUTBOUND_ENCRYPTION_KEYS = [new, old]
    assert MetaApp.objects.get(pk=app.pk).app_secret == "hush"
    call_command("rotate_encryption")
    settings.OUTBOUND_ENCRYPTION_KEYS = [new]
    assert MetaApp.objects.get(pk=app.pk).app_secret == "hush"


def test_a_lost_key_is_said_clearly_and_without_the_secret(settings):
    app = MetaAppFactory(app_secret="hush")
    settings.OUTBOUND_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(DecryptionError, match=r"MetaApp\.\w+: no key") as caught:
        MetaApp.objects.get(pk=app.pk)
    assert "hush" not in str(caught.value)


def test_secrets_cannot_be_searched():
    with pytest.raises(TypeError, match="encrypted"):
        MetaApp.objects.filter(app_secret="hush").exists()


@pytest.mark.parametrize("keys", [[], ["short"], ["x" * 44]])
def test_unusable_keys_are_found_at_start(settings, keys):
    settings.OUTBOUND_ENCRYPTION_KEYS = keys
    assert [problem.id for problem in checks.encryption_keys_fit()] == ["orgs.E001"]
