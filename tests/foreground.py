"""Runs one command in the foreground and hands every request to stop on to it."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end and return its exit code, 128 + n if signal n ended it.

    From then on the signals only reach the command, so that what the caller has to tidy up
    afterwards is not interrupted.
    """
    asked: list[int] = []
    with subprocess.Popen(command, env=environment) as process:

        def forward(signum: int, _frame: object) -> None:
            asked.append(signum)
            # A Ctrl-C in a terminal reaches the command by itself.
            if signum != signal.SIGINT or not sys.stdin.isatty():
                process.send_signal(signum)

        for signum in STOP_SIGNALS:
            signal.signal(signum, forward)
        code = process.wait()
    if asked:
        return 128 + asked[0]
    return code if code >= 0 else 128 - code
