"""The console's pages about consent."""

from consent.admin import ledger, policies, transfer

__all__ = ["ledger", "policies", "transfer"]
