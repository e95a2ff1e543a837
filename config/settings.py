"""All settings, flat, from the environment; a wrong one stops the process by its name.

Two profiles share this file. Without DATABASE_URL and REDIS_URL the service runs
*embedded*: SQLite and everything in one process. Otherwise it runs as *production*.
"""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Any

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from config import console, env, headers, local_secrets, logs, rest, schedule
from config.alerting import *  # noqa: F403 - settings of one subject, each named in __all__
from config.logins import *  # noqa: F403 - as above
from ratelimit.rules import LARGEST_QUOTA

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Profile --------------------------------------------------------------------------

REDIS_URL = (
    env.url("REDIS_URL", schemes=["redis", "rediss", "unix"]) if env.raw("REDIS_URL") else ""
)
OUTBOUND_EMBEDDED = not env.raw("DATABASE_URL") and not REDIS_URL
# Where the embedded profile keeps its database and the secrets it made for itself.
OUTBOUND_VAR_DIR = Path(env.text("OUTBOUND_VAR_DIR", str(BASE_DIR / "var")))

if REDIS_URL and not env.raw("DATABASE_URL"):
    message = "DATABASE_URL is required when REDIS_URL is set: PostgreSQL holds the queue."
    raise ImproperlyConfigured(message)

# --- Security -------------------------------------------------------------------------


def _secret(name: str, bytes_of_entropy: int) -> str:
    """Return a secret; the embedded profile makes one, production has no default."""
    if not OUTBOUND_EMBEDDED or env.raw(name):
        return env.text(name)

    def make() -> str:
        return base64.urlsafe_b64encode(secrets.token_bytes(bytes_of_entropy)).decode()

    return local_secrets.read_or_create(OUTBOUND_VAR_DIR / f"{name.lower()}.secret", make)


DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = _secret("SECRET_KEY", 48)
# Fernet keys for provider secrets, newest first: the first encrypts, all of them decrypt.
OUTBOUND_ENCRYPTION_KEYS = [
    key.strip() for key in _secret("OUTBOUND_ENCRYPTION_KEYS", 32).split(",") if key.strip()
]
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
# Production sits behind TLS; only a stated "false" allows plain HTTP.
OUTBOUND_HTTPS = env.flag("OUTBOUND_HTTPS", default=not OUTBOUND_EMBEDDED)
SECURE_SSL_REDIRECT = OUTBOUND_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if OUTBOUND_HTTPS else None
# Probes and scrapes speak plain HTTP inside a cluster.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = env.whole("SECURE_HSTS_SECONDS", 31_536_000 if OUTBOUND_HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = OUTBOUND_HTTPS
SECURE_HSTS_PRELOAD = OUTBOUND_HTTPS
SESSION_COOKIE_SECURE = OUTBOUND_HTTPS
CSRF_COOKIE_SECURE = OUTBOUND_HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {"DIRECTIVES": headers.STRICT}

# --- Django ---------------------------------------------------------------------------

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["config.formats"]

INSTALLED_APPS = [
    *("unfold", "unfold.contrib.filters"),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "axes",
    "django_celery_beat",
    "django_filters",
    "django_prometheus",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    *("orgs", "consent", "ratelimit", "messaging", "alerts", "console"),
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.PageHeaders",
    "config.middleware.StaticFiles",
    "config.middleware.ConsoleSession",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "config.middleware.ConsoleAuthentication",
    "config.middleware.ConsoleMessages",
    "orgs.guard.Guard",
    "config.middleware.LoginProtection",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ratelimit.banner.context",
            ]
        },
    }
]

STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
if OUTBOUND_EMBEDDED:
    STATIC_ROOT = OUTBOUND_VAR_DIR / "static"
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
# The embedded profile serves files where the packages keep them: nothing to collect first.
WHITENOISE_USE_FINDERS = OUTBOUND_EMBEDDED
_STATIC_BACKEND = (
    "django.contrib.staticfiles.storage.StaticFilesStorage"
    if OUTBOUND_EMBEDDED
    else "whitenoise.storage.CompressedManifestStaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": _STATIC_BACKEND},
}
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Meta posts webhooks of up to 3 MB; the REST API has a lower bound of its own.
DATA_UPLOAD_MAX_MEMORY_SIZE = 3 * 1024 * 1024 + 1024

# --- Database -------------------------------------------------------------------------

if OUTBOUND_EMBEDDED:
    OUTBOUND_VAR_DIR.mkdir(parents=True, exist_ok=True)
    _database: dict[str, Any] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": OUTBOUND_VAR_DIR / "outbound.sqlite3",
        "OPTIONS": {
            "timeout": 20,  # seconds a writer waits for its turn
            # A deferred transaction that turns into a writer fails at once instead of waiting.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
else:
    _database = env.database("DATABASE_URL")
    _database["CONN_MAX_AGE"] = 0  # the pool keeps the connections
    _database["OPTIONS"] = {
        **dict(_database.get("OPTIONS") or {}),
        "connect_timeout": 5,
        # Statements that are planned once (orgs.database) are so from their first time on.
        "prepare_threshold": 0 if env.flag("DATABASE_PREPARED_STATEMENTS", default=True) else None,
        "pool": {
            "min_size": 1,
            "max_size": env.whole("DATABASE_POOL_SIZE", 16, at_least=1, at_most=500),
            "timeout": 10,  # seconds to wait for a free connection
        },
    }
DATABASES = {"default": _database}

# --- Cache and Celery -----------------------------------------------------------------

if REDIS_URL:
    CACHES: dict[str, dict[str, Any]] = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "OPTIONS": {
                "SOCKET_CONNECT_TIMEOUT": 0.5,
                "SOCKET_TIMEOUT": 0.5,
                "IGNORE_EXCEPTIONS": True,  # Redis is disposable: a lost cache is a miss
            },
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def _broker_url() -> str:
    if OUTBOUND_EMBEDDED:
        return env.text("CELERY_BROKER_URL", "memory://")
    if REDIS_URL:
        return env.text("CELERY_BROKER_URL", REDIS_URL)
    if env.raw("CELERY_BROKER_URL"):
        return env.text("CELERY_BROKER_URL")
    text = "Set REDIS_URL, or CELERY_BROKER_URL for another broker (amqp://…)."
    raise ImproperlyConfigured(text)


CELERY_BROKER_URL = _broker_url()
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"polling_interval": 0.05}
    if CELERY_BROKER_URL.startswith("memory")
    else {"socket_connect_timeout": 2, "socket_timeout": 5}
    if CELERY_BROKER_URL.startswith(("redis", "unix"))
    else {}
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = 0  # nothing is kept, so nothing needs cleaning up
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = env.text("CELERY_QUEUE", "outbound")
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "messaging.beat:Scheduler"
CELERY_TIMEZONE = "UTC"
# A name → task, period and reason table; seeded into the database, then edited there.
OUTBOUND_SCHEDULE = schedule.DEFAULTS

# --- REST API -------------------------------------------------------------------------

REST_FRAMEWORK = rest.FRAMEWORK
SPECTACULAR_SETTINGS = rest.SPECTACULAR
# Largest REST request body, bytes; beyond it the answer is 413.
OUTBOUND_API_MAX_BODY_BYTES = env.whole("OUTBOUND_API_MAX_BODY_BYTES", 256 * 1024, at_least=1024)
# The same for a batch of up to 1,000 messages.
OUTBOUND_API_MAX_BATCH_BODY_BYTES = env.whole(
    "OUTBOUND_API_MAX_BATCH_BODY_BYTES", 4 * 1024 * 1024, at_least=1024
)
# How long a process trusts an API key, a Meta app's secrets or a template it has looked up,
# seconds.
OUTBOUND_API_KEY_CACHE_SECONDS = env.seconds("OUTBOUND_API_KEY_CACHE_SECONDS", 5.0)
# /metrics is for who holds this bearer token, or asks from one of these networks (the peer's own
# address); with neither set it is off in production.
OUTBOUND_METRICS_TOKEN = env.text("OUTBOUND_METRICS_TOKEN", "")
OUTBOUND_METRICS_NETWORKS = env.networks("OUTBOUND_METRICS_NETWORKS")
# Traces go to this address by OTLP over HTTP, for example http://collector:4318/v1/traces; empty:
# tracing is off.
OUTBOUND_TRACING_ENDPOINT = (
    env.url("OUTBOUND_TRACING_ENDPOINT", schemes=["http", "https"])
    if env.raw("OUTBOUND_TRACING_ENDPOINT")
    else ""
)
# The share of messages that are traced, from 0 to 1.
OUTBOUND_TRACING_SHARE = env.share("OUTBOUND_TRACING_SHARE", 1.0)

# --- Sending --------------------------------------------------------------------------

WHATSAPP_CLOUD_API_BASE_URL = env.url(
    "WHATSAPP_CLOUD_API_BASE_URL", "https://graph.facebook.com", schemes=["https", "http"]
).rstrip("/")
WHATSAPP_GRAPH_VERSION = env.text("WHATSAPP_GRAPH_VERSION", "v25.0")
# Changes to Meta's error table: a JSON object, code → the fields that differ.
WHATSAPP_ERROR_OVERRIDES = env.text("WHATSAPP_ERROR_OVERRIDES", "{}")
# Channel → what makes the provider that sends for it.
OUTBOUND_PROVIDERS = {"WHATSAPP": "messaging.providers.whatsapp.provider.create"}
# Names this installation in the data Meta echoes, so that staging and production that share
# a WABA do not take each other's statuses.
OUTBOUND_INSTANCE = env.text("OUTBOUND_INSTANCE", "outbound")
# Seconds before each attempt, counted from the one before; its length is the attempt limit.
OUTBOUND_RETRY_SCHEDULE_SECONDS = env.seconds_list(
    "OUTBOUND_RETRY_SCHEDULE_SECONDS", [0, 60, 120, 240, 480]
)
# A message that names no expiry is given up after this long, seconds (7 days).
OUTBOUND_MESSAGE_MAX_AGE_SECONDS = env.whole(
    "OUTBOUND_MESSAGE_MAX_AGE_SECONDS", 7 * 86_400, at_least=60
)
# How long a claim is good for; longer than connect + read time-outs and the recording.
OUTBOUND_LEASE_SECONDS = env.seconds("OUTBOUND_LEASE_SECONDS", 60.0, at_least=1.0)
OUTBOUND_CONNECT_TIMEOUT_SECONDS = env.seconds(
    "OUTBOUND_CONNECT_TIMEOUT_SECONDS", 5.0, at_least=0.1
)
OUTBOUND_READ_TIMEOUT_SECONDS = env.seconds("OUTBOUND_READ_TIMEOUT_SECONDS", 30.0, at_least=0.1)
# How long a lost answer waits for a status before the policy decides, from the lease's end.
OUTBOUND_UNKNOWN_WINDOW_SECONDS = env.seconds("OUTBOUND_UNKNOWN_WINDOW_SECONDS", 300.0)
# How often the templates of an account are read from Meta, seconds; webhooks tell between.
OUTBOUND_TEMPLATE_SYNC_SECONDS = env.seconds("OUTBOUND_TEMPLATE_SYNC_SECONDS", 900.0, at_least=60.0)
# What makes the calls: libcurl in one thread, or requests in one thread per call.
OUTBOUND_TRANSPORT = env.choice("OUTBOUND_TRANSPORT", "curl", among=["curl", "requests"])
# Calls in flight at once in one worker process, with those that wait for their start slots, which
# are claimed half a second ahead, and answers that wait to be recorded. With requests each call in
# flight, but none that waits, has a thread.
OUTBOUND_SEND_CONCURRENCY = env.whole(
    "OUTBOUND_SEND_CONCURRENCY",
    4000 if OUTBOUND_TRANSPORT == "curl" else 500,
    at_least=1,
    at_most=10_000,
)
# Each worker process looks for work this often even when the broker is down, seconds.
OUTBOUND_TICK_SECONDS = env.seconds("OUTBOUND_TICK_SECONDS", 1.0, at_least=0.05)
# So many different messages whose calls fail in a row are an outage of the provider.
OUTBOUND_CIRCUIT_MESSAGES = env.whole("OUTBOUND_CIRCUIT_MESSAGES", 5, at_least=2, at_most=1000)
# During an outage one message tries again after this long, seconds; doubling up to a minute.
OUTBOUND_CIRCUIT_PROBE_SECONDS = env.seconds("OUTBOUND_CIRCUIT_PROBE_SECONDS", 5.0, at_least=0.05)
# A number or account stopped by Meta is asked for its health this often, seconds.
OUTBOUND_STOP_PROBE_SECONDS = env.seconds("OUTBOUND_STOP_PROBE_SECONDS", 900.0, at_least=1.0)
# Finished messages with their attempts and timeline, and webhooks as received, are deleted
# after so many days; 0 keeps them for ever.
OUTBOUND_MESSAGE_RETENTION_DAYS = env.whole("OUTBOUND_MESSAGE_RETENTION_DAYS", 180)
# What people write is kept as long as messages are, its text for so many days; 0: no text at all.
OUTBOUND_INBOUND_TEXT_DAYS = env.whole("OUTBOUND_INBOUND_TEXT_DAYS", 30)
OUTBOUND_WEBHOOK_RETENTION_DAYS = env.whole("OUTBOUND_WEBHOOK_RETENTION_DAYS", 30)
OUTBOUND_RESCUE_SECONDS = env.seconds("OUTBOUND_RESCUE_SECONDS", 15.0, at_least=0.05)

if OUTBOUND_LEASE_SECONDS < OUTBOUND_CONNECT_TIMEOUT_SECONDS + OUTBOUND_READ_TIMEOUT_SECONDS:
    message = (
        "OUTBOUND_LEASE_SECONDS must be at least OUTBOUND_CONNECT_TIMEOUT_SECONDS + "
        "OUTBOUND_READ_TIMEOUT_SECONDS, or a slow answer would outlive its claim."
    )
    raise ImproperlyConfigured(message)

# --- Limits ---------------------------------------------------------------------------

# Messages an organisation may send in a window, unless a quota of its own is set.
WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA = env.whole(
    "WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA", 1000, at_least=1, at_most=LARGEST_QUOTA
)
# How long a window is, seconds; it begins with the first message after the last one.
WHATSAPP_RATE_LIMIT_WINDOW_SECONDS = env.whole(
    "WHATSAPP_RATE_LIMIT_WINDOW_SECONDS", 86_400, at_least=1, at_most=31 * 86_400
)
# The limiter waits this long for Redis, seconds, and then lets the database count alone.
OUTBOUND_REDIS_TIMEOUT_SECONDS = env.seconds("OUTBOUND_REDIS_TIMEOUT_SECONDS", 0.25, at_least=0.01)

# --- Console and mail -----------------------------------------------------------------

UNFOLD = console.UNFOLD
_mail_folder = f"filemail:///{OUTBOUND_VAR_DIR.resolve()}/mail"
globals().update(env.email("EMAIL_URL", _mail_folder if OUTBOUND_EMBEDDED else "dummymail://"))

# --- Logging --------------------------------------------------------------------------

LOGGING = logs.configuration(
    level=env.text("LOG_LEVEL", "INFO").upper(),
    as_text=env.flag("LOG_TEXT", default=False),
)

# Only tests set this: no slow hash for test users, and no collected files to look up.
if os.environ.get("OUTBOUND_TESTING") == "1":
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
