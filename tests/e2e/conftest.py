from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from tests.e2e.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One installation for the tests of a module, on the profile the suite runs on."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, embedded=settings.OUTBOUND_EMBEDDED) as running:
        yield running
