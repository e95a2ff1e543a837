"""The console's pages of incidents, routes, checks and the report."""

from alerts.admin import checks, incidents, report, routes

__all__ = ["checks", "incidents", "report", "routes"]
