"""What every page about facts has in common: to be read, not written."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """Rows that only the core writes."""

    def has_add_permission(self, *_args: Any) -> bool:
        """Nobody adds a row by hand."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Nobody edits a row by hand."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Nobody deletes a row by hand."""
        return False
