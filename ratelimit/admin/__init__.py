"""The app's pages of the console."""

from ratelimit.admin import holds, quotas

__all__ = ["holds", "quotas"]
