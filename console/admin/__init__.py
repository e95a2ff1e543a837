"""Pages of tables that show more than their tables know."""

from console.admin import messages, numbers

__all__ = ["messages", "numbers"]
