"""Why a message does not go now: every rule the claim asks, with its answer and when it changes."""

from messaging.explaining.claim import explain
from messaging.explaining.rule import Rule

__all__ = ["Rule", "explain"]
