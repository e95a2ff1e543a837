"""How the console looks: name, icon and sidebar."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _entry(title: str, icon: str, page: str, **extra: str) -> dict[str, Any]:
    def may_see(request: HttpRequest) -> bool:
        app, name = page.rsplit("_", 1)
        model = apps.get_model(app, name)
        return bool(admin.site.get_model_admin(model).has_view_permission(request))

    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{page}_changelist"),
        "permission": may_see,
        **extra,
    }


def _account_links(_request: HttpRequest) -> list[dict[str, Any]]:
    if settings.OUTBOUND_TOTP == "off":
        return []
    return [{"title": "Second factor", "link": reverse_lazy("second_factor_set_up")}]


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Outbound",
    "SITE_HEADER": "Outbound",
    "SITE_SYMBOL": "send",
    # There is no other site to go back to.
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda _request: static("outbound/favicon.svg"),
        }
    ],
    "STYLES": [lambda _request: static("console/console.css")],
    "DASHBOARD_CALLBACK": "console.views.into_index",
    "SHOW_HISTORY": False,
    "ACCOUNT": {"navigation": _account_links},
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "Messages",
                "items": [
                    {
                        "title": "Dashboard",
                        "icon": "dashboard",
                        "link": reverse_lazy("admin:index"),
                    },
                    _entry("All messages", "chat", "messaging_outboundmessage"),
                    {
                        "title": "Dead letter queue",
                        "icon": "inbox",
                        "link": reverse_lazy("admin:messaging_deadletter_causes"),
                        "active": lambda request: "/messaging/deadletter/" in request.path,
                        "permission": "messaging.admin.badges.may_see_dead_letters",
                        "badge": "messaging.admin.badges.dead_letters",
                    },
                    _entry("Operations", "published_with_changes", "messaging_bulkoperation"),
                    {
                        "title": "Send a test message",
                        "icon": "science",
                        "link": reverse_lazy("console:test-message"),
                        "permission": lambda request: request.user.has_perm(
                            "messaging.add_outboundmessage"
                        ),
                    },
                    _entry("Templates", "article", "messaging_messagetemplate"),
                    _entry("Quotas", "speed", "ratelimit_whatsappratelimit"),
                    _entry("Holds", "pause_circle", "ratelimit_hold"),
                    _entry("Notices from Meta", "campaign", "messaging_providernotice"),
                    _entry("Webhook deliveries", "webhook", "messaging_webhookdelivery"),
                ],
            },
            {
                "title": "Alerts",
                "items": [
                    _entry(
                        "Incidents",
                        "notifications",
                        "alerts_alert",
                        badge="alerts.badges.incidents",
                    ),
                    {
                        "title": "Dead letter report",
                        "icon": "assessment",
                        "link": reverse_lazy("alerts:dlq-report"),
                        "permission": "alerts.admin.report.may_see",
                    },
                    _entry("Routes", "alt_route", "alerts_route"),
                    _entry("Checks", "fact_check", "alerts_checkrun"),
                ],
            },
            {
                "title": "People",
                "items": [
                    _entry("Contacts", "contacts", "consent_contact"),
                    _entry("Consents", "verified_user", "consent_consent"),
                    _entry("Imports", "upload_file", "consent_consentimport"),
                    _entry("STOP and quiet hours", "do_not_disturb_on", "consent_consentpolicy"),
                ],
            },
            {
                "title": "Set-up",
                "items": [
                    _entry("Organisations", "apartment", "orgs_organization"),
                    _entry("API keys", "key", "orgs_apikey"),
                    _entry("Phone numbers", "call", "messaging_phonenumber"),
                    _entry("WhatsApp accounts", "storefront", "messaging_businessaccount"),
                    _entry("Meta apps", "apps", "messaging_metaapp"),
                    _entry("Workers and beat", "memory", "messaging_heartbeat"),
                    _entry("Schedules", "schedule", "django_celery_beat_periodictask"),
                    _entry("Staff", "group", "auth_user"),
                    _entry("Roles", "badge", "auth_group"),
                    _entry("Failed log-ins", "lock", "axes_accessattempt"),
                    _entry("Audit trail", "history", "orgs_auditevent"),
                ],
            },
        ],
    },
}
