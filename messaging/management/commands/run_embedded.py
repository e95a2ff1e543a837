"""Run web, worker and beat in this one process, on SQLite and without a broker."""

from __future__ import annotations

import errno
import threading
from argparse import ArgumentParser
from typing import Any

from celery import current_app
from celery.beat import EmbeddedService
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.core.wsgi import get_wsgi_application
from waitress.server import create_server

from messaging import schedules

WEB_THREADS = 8
WORKER_THREADS = 4


class Command(BaseCommand):
    """For a first look, development and small installations; Ctrl-C stops all of it."""

    help = "Run web, worker and beat in one process (the embedded profile)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say where to listen."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Migrate, seed, start, and stay until a signal."""
        if not settings.OUTBOUND_EMBEDDED:
            message = "run_embedded is for the embedded profile: unset DATABASE_URL and REDIS_URL."
            raise CommandError(message)
        server = _listen(options["host"], options["port"])
        call_command("migrate", verbosity=0, interactive=False)
        schedules.seed()
        web = threading.Thread(target=server.run, name="web", daemon=True)
        web.start()
        beat = _beat()
        beat.start()
        address = f"http://{options['host']}:{server.effective_port}"
        self.stdout.write(f"Outbound is listening on {address}")
        self.stdout.flush()
        worker = current_app.Worker(
            pool="threads",
            concurrency=WORKER_THREADS,
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
            quiet=True,
        )
        worker.start()  # owns the signals; returns when one of them stopped it
        server.close()


def _beat() -> Any:
    """Return beat as a thread; a process could not see a broker that lives in this one's memory."""
    beat: Any = EmbeddedService(
        current_app, max_interval=1, thread=True, scheduler_cls=settings.CELERY_BEAT_SCHEDULER
    )
    beat.daemon = True
    return beat


def _listen(host: str, port: int) -> Any:
    """Return the web server, bound; a busy port is a sentence, not a stack trace."""
    try:
        return create_server(
            get_wsgi_application(),
            host=host,
            port=port,
            threads=WEB_THREADS,
            server_name=host,
            ident=None,
        )
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"failed: {error.strerror}"
        message = f"Port {port} on {host} {reason}. Choose another with --port."
        raise CommandError(message) from error
