from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from tests.e2e.stack import QUICK, Stack


@pytest.fixture(scope="module")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """One installation for the tests of a module, on the profile the suite runs on.

    A module may have ``STACK_SETTINGS`` of its own.
    """
    folder = tmp_path_factory.mktemp("stack")
    chosen = getattr(request.module, "STACK_SETTINGS", QUICK)
    with Stack(folder, embedded=settings.OUTBOUND_EMBEDDED, settings=chosen) as running:
        yield running
