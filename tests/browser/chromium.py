"""Where Chromium is. `python -m tests.browser.chromium` prints it, or fails where there is none."""

from __future__ import annotations

import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "browser tests need Chromium: install it or set CHROMIUM to its path"
# No sandbox: containers seldom allow one, and every page is our own.
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-quic"]


def find() -> str | None:
    """Return the program that CHROMIUM names, or the first on the path."""
    wanted = os.environ.get("CHROMIUM")
    names = (wanted,) if wanted else NAMES
    return next(filter(None, map(shutil.which, names)), None)


def is_required() -> bool:
    """Say whether tests must fail, not be skipped, where there is no Chromium."""
    return os.environ.get("REQUIRE_BROWSER") == "1"


if __name__ == "__main__":
    path = find()
    sys.stdout.write(f"{path}\n" if path else "")
    sys.exit(0 if path else MISSING)
