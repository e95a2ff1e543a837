"""The settings of log-ins to the console and their sessions; part of config.settings."""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured

from config import env

__all__ = [
    "AUTHENTICATION_BACKENDS",
    "AXES_CLIENT_IP_CALLABLE",
    "AXES_COOLOFF_TIME",
    "AXES_DISABLE_ACCESS_LOG",
    "AXES_ENABLE_ADMIN",
    "AXES_FAILURE_LIMIT",
    "AXES_LOCKOUT_CALLABLE",
    "AXES_LOCKOUT_PARAMETERS",
    "AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT",
    "AXES_RESET_ON_SUCCESS",
    "AXES_USERNAME_CALLABLE",
    "AXES_VERBOSE",
    "OUTBOUND_LOGIN_FAILURES",
    "OUTBOUND_LOGIN_LOCKOUT_SECONDS",
    "OUTBOUND_SESSION_IDLE_SECONDS",
    "OUTBOUND_SESSION_MAX_SECONDS",
    "OUTBOUND_TOTP",
    "OUTBOUND_TRUSTED_PROXIES",
    "SESSION_COOKIE_AGE",
    "SILENCED_SYSTEM_CHECKS",
]

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# So many wrong passwords for one name from one address shut both out together …
OUTBOUND_LOGIN_FAILURES = env.whole("OUTBOUND_LOGIN_FAILURES", 5, at_least=1, at_most=1000)
# … for this long, seconds.
OUTBOUND_LOGIN_LOCKOUT_SECONDS = env.whole("OUTBOUND_LOGIN_LOCKOUT_SECONDS", 900, at_least=1)
# Proxies of ours in front, each of which appends to X-Forwarded-For; 0: none is believed.
OUTBOUND_TRUSTED_PROXIES = env.whole("OUTBOUND_TRUSTED_PROXIES", 0, at_most=10)
# Codes of an app beside the password: off, optional (who has set it up is asked), required.
OUTBOUND_TOTP = env.choice("OUTBOUND_TOTP", "off", among=["off", "optional", "required"])
# A session ends after so long without a click, and after so long in any case; seconds.
OUTBOUND_SESSION_IDLE_SECONDS = env.whole("OUTBOUND_SESSION_IDLE_SECONDS", 3600, at_least=60)
OUTBOUND_SESSION_MAX_SECONDS = env.whole("OUTBOUND_SESSION_MAX_SECONDS", 43_200, at_least=60)
if OUTBOUND_SESSION_IDLE_SECONDS > OUTBOUND_SESSION_MAX_SECONDS:
    _message = "OUTBOUND_SESSION_IDLE_SECONDS cannot be more than OUTBOUND_SESSION_MAX_SECONDS."
    raise ImproperlyConfigured(_message)
SESSION_COOKIE_AGE = OUTBOUND_SESSION_MAX_SECONDS
AXES_FAILURE_LIMIT = OUTBOUND_LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(seconds=OUTBOUND_LOGIN_LOCKOUT_SECONDS)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "orgs.logins.client_address"
AXES_USERNAME_CALLABLE = "orgs.logins.name_of"
AXES_LOCKOUT_CALLABLE = "orgs.logins.shut_out"
AXES_DISABLE_ACCESS_LOG = True  # the audit trail has it
AXES_ENABLE_ADMIN = False  # the console has its own page
AXES_VERBOSE = False
# Its middleware is there under a name of ours, off the API's path.
SILENCED_SYSTEM_CHECKS = ["axes.W002"]
