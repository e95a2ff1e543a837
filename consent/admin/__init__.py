"""The console's pages about consent."""

from consent.admin import ledger, policies

__all__ = ["ledger", "policies"]
