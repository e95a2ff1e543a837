"""Starts the sandbox: `python -m sandbox`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

from sandbox import control, graph
from sandbox.config import Config, ConfigError, read
from sandbox.http_server import Connection, Request
from sandbox.world import World

BACKLOG = 1024


async def serve(config: Config) -> None:
    """Serve until SIGINT or SIGTERM; raise OSError when the port is taken."""
    world = World(config)

    def handle(request: Request, connection: Connection) -> None:
        if request.path.startswith(control.PREFIX):
            control.handle(world, request, connection)
        else:
            graph.handle(world, request, connection)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(handle), config.host, config.port, backlog=BACKLOG
    )
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"sandbox listening on http://{config.host}:{port}\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    world.poster.close()


def main(arguments: Sequence[str]) -> int:
    """Run and return the exit code: 2 for a wrong setting or a busy port."""
    try:
        config = read(arguments)
        asyncio.run(serve(config))
    except ConfigError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(
            f"sandbox: cannot listen on {config.host}:{config.port}: {error.strerror}\n"
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
