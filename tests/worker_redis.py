"""A pytest plugin that gives each xdist worker a Redis database of its own.

Loaded by `-p tests.worker_redis`, so that it acts before Django reads its settings.
"""

import os

from tests.services import worker_redis_url

if os.environ.get("REDIS_URL"):
    os.environ["REDIS_URL"] = worker_redis_url(
        os.environ["REDIS_URL"], os.environ.get("PYTEST_XDIST_WORKER", "")
    )
