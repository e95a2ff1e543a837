"""Takes one file of consents in and hands it out again; prints seconds and peak memory."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from consent import checking  # noqa: E402 - Django is set up first
from consent.models import Consent, ConsentImport  # noqa: E402 - as above
from consent.transfer import exporting, importing, upload  # noqa: E402 - as above
from orgs.models import Organization  # noqa: E402 - as above

MEBIBYTE = 1024 * 1024
FIRST_PHONE = 2_000_000  # after +1 202: the first that exists


def main(rows: int, offset: int) -> None:
    """Store, try out and record a file of new people; export and check what is there then."""
    org = Organization.objects.get(org_id="acme")
    with tempfile.TemporaryFile() as file:
        for line in _lines(rows, offset):
            file.write(line.encode())
        figures = {"file_mib": file.tell() / MEBIBYTE, "peak_at_start_mib": peak()}
        file.seek(0)
        figures["store_s"] = timed(lambda: upload.store(org, file, actor="system:bench"))
    made = ConsentImport.objects.get(state=ConsentImport.State.TRYING)
    figures["try_s"] = timed(_work)
    assert importing.start(made, actor="system:bench")
    figures["record_s"] = timed(_work)
    made.refresh_from_db()
    assert made.state == ConsentImport.State.DONE, made.state
    assert made.result == {"granted": rows}, made.result
    figures["export_s"] = timed(lambda: sum(1 for _ in exporting.lines(Consent.objects.of(org))))
    figures["check_s"] = timed(_check)
    print(json.dumps({**figures, "peak_at_end_mib": peak()}))


def timed(work: Callable[[], object]) -> float:
    """Return how long it took, in seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def peak() -> float:
    """Return the most memory this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _lines(rows: int, offset: int) -> Iterator[str]:
    yield "phone,purpose,status,occurred_at,proof_text\n"
    for n in range(FIRST_PHONE + offset, FIRST_PHONE + offset + rows):
        yield f"+1202{n:07},marketing,GRANTED,2026-01-02T10:00:00Z,Yes please\n"


def _work() -> None:
    while importing.proceed():
        pass


def _check() -> None:
    report = checking.check_all()
    assert not report.wrong, report.wrong


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
