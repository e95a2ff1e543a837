"""The app's pages of the console."""

from ratelimit.admin import holds

__all__ = ["holds"]
