"""The console's pages for organisations, keys, people who log in, and the audit trail."""

from orgs.admin import api_keys, attempts, organizations, people, trail

__all__ = ["api_keys", "attempts", "organizations", "people", "trail"]
