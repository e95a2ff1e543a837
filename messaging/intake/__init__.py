"""Accepting messages: one call for any number of requests, an answer for each."""

from messaging.intake.accepting import accept
from messaging.intake.requests import Accepted, Answer, MessageRequest

__all__ = ["Accepted", "Answer", "MessageRequest", "accept"]
