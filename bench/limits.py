"""How fast the limits decide: both stores, beside a bare INCR and the literal row lock."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

from bench.installation import SETTINGS
from bench.report import Report
from tests import services
from tests.e2e import installation
from tests.e2e.stack import Stack

PARTS = DECISIONS, API = ("decisions", "API")
THREADS = (1, 16)
# Short measurements, so that what is compared is measured close together.
SECONDS = 2.0
ROUNDS = 5
API_REQUESTS = 400
API_WARM_REQUESTS = 50

Figures = dict[str, float]


def run(options: Namespace) -> Report:
    """Measure every case several times in turn; the medians are reported."""
    seconds = min(options.seconds, SECONDS)
    report = Report("limits", f"one organisation, medians of {ROUNDS} rounds of {seconds:g} s")
    if options.part != API:
        _decisions(report, seconds)
    if options.part != DECISIONS:
        report.add("API", **_api(options))
    return report


def _decisions(report: Report, seconds: float) -> None:
    url, _ = installation.copy_database(os.environ["DATABASE_URL"])
    env = {**installation.environment(), **SETTINGS, "DATABASE_URL": url}
    env["DATABASE_POOL_SIZE"] = "32"
    # Sixteen threads of one process wait for its interpreter longer than a claim ever does.
    env["OUTBOUND_REDIS_TIMEOUT_SECONDS"] = "5"
    try:
        for threads in THREADS:
            _add(report, env, threads, seconds)
    finally:
        installation.drop_database(url)


def _add(report: Report, env: dict[str, str], threads: int, seconds: float) -> None:
    rounds = _load(env, threads, seconds)
    medians = {name: _median(runs) for name, runs in rounds.items()}
    incr = medians["bare INCR"]["decisions_per_second"]
    literal = medians["literal row lock"]["permits_per_second"]
    for name, figures in medians.items():
        figures["of_bare_incr"] = figures["decisions_per_second"] / incr
        figures["times_the_literal"] = figures["permits_per_second"] / literal
        report.add(f"{name}, {threads} thr.", **figures)


def _load(env: dict[str, str], threads: int, seconds: float) -> dict[str, list[Figures]]:
    """Run all cases several times in turn, in one process; return the figures of each."""
    command = [sys.executable, "-m", "bench.limits_load", "--seconds", str(seconds)]
    command += ["--threads", str(threads), "--rounds", str(ROUNDS)]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, list[Figures]] = json.loads(done.stdout)
    return figures


def _median(runs: list[Figures]) -> Figures:
    return {name: statistics.median(figures[name] for figures in runs) for name in runs[0]}


def _api(options: Namespace) -> Figures:
    """Measure the time of the API with Redis there and with Redis stopped, in turns."""
    with (
        services.redis(private=True) as redis,
        tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder,
        Stack(
            Path(folder),
            embedded=False,
            settings={**SETTINGS, "REDIS_URL": redis.url, "WEB_WORKERS": "1"},
            sandbox=["--latency-ms", str(options.latency_ms)],
            start=["web"],
        ) as stack,
    ):
        stack.consent("+12025550100")
        _requests(stack, API_WARM_REQUESTS)
        there: list[float] = []
        stopped: list[float] = []
        for _ in range(2):
            there += _requests(stack, API_REQUESTS)
            redis.stop()
            stopped += _requests(stack, API_REQUESTS)
            redis.start()
    p95_there, p95_stopped = (statistics.quantiles(each, n=20)[-1] for each in (there, stopped))
    return {
        "p95_ms_with_redis": p95_there * 1000,
        "p95_ms_redis_stopped": p95_stopped * 1000,
        "times_with_redis": p95_stopped / p95_there,
    }


def _requests(stack: Stack, count: int) -> list[float]:
    """Accept messages and read the quota, half each; return how long each request took."""
    times = []
    for place in range(count):
        begun = time.monotonic()
        if place % 2:
            answer = stack.api("GET", "rate-limits/whatsapp/quota")
        else:
            answer = stack.send("+12025550100")
        times.append(time.monotonic() - begun)
        assert answer.status_code in {200, 201}, answer.text
    return times
