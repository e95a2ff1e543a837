"""One statement for what many threads want to write at the same moment.

A commit costs far more than a row. The first thread writes for itself; whoever comes meanwhile
waits and is written together by the next. Alone, a thread waits for nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# A thread is not kept longer than this for the others' writing, seconds.
PATIENCE_SECONDS = 30.0
# Nor do more threads wait than this: whoever comes then is refused at once.
MOST_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class Room(Generic[Item]):
    """How much of memory items may take, by their sizes in bytes."""

    size: Callable[[Item], int]
    of_call: int  # of the items of one call together; a larger one goes alone
    of_all: int  # of all that wait or are being written


class _Ticket(Generic[Item, Answer]):
    """One thread's wish: its answer or error, or the word that it is to write next."""

    __slots__ = ("_gate", "answer", "called", "done", "error", "item", "size")

    def __init__(self, item: Item, size: int) -> None:
        self.item = item
        self.size = size
        self.called = False
        self.done = False
        self.answer: Answer | None = None
        self.error: Exception | None = None
        # A bare lock, opened once: an Event costs several times as much.
        self._gate = threading.Lock()
        self._gate.acquire()

    def call(self) -> None:
        """Have the thread go on."""
        self.called = True
        self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the call; say whether it has come."""
        return self._gate.acquire(timeout=seconds)

    def fail(self, error: Exception) -> None:
        """Have the thread raise the error."""
        self.done, self.error = True, error


class SharedCommit(Generic[Item, Answer]):
    """Writes the items of concurrent threads by common calls of one function.

    ``write`` takes items and returns an answer for each, in order; what it wrote must be
    committed when it returns. When it fails for a batch, it is called again for each item
    alone, so that one bad item harms nobody else; an unreachable database fails them all.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[Answer]],
        most: int,
        room: Room[Item] | None = None,
    ) -> None:
        """``most`` bounds the items of one call; ``room`` their bytes, and those that wait."""
        self._write = write
        self._most = most
        self._room = room
        self._held = 0  # bytes of all that wait or are being written
        self._waiting: deque[_Ticket[Item, Answer]] = deque()
        self._lock = threading.Lock()
        self._busy = False

    def submit(self, item: Item) -> Answer:
        """Return the answer for the item; raise what ``write`` raised for it.

        Inside a transaction the item is written at once, as part of it. Raises OperationalError
        when too much waits already, so that whoever sent it comes again.
        """
        if connection.in_atomic_block:
            return self._write([item])[0]
        ticket: _Ticket[Item, Answer] = _Ticket(item, self._room.size(item) if self._room else 0)
        with self._lock:
            self._admit(ticket)
            must_wait, self._busy = self._busy, True
        try:
            return self._have_written(ticket, must_wait=must_wait)
        finally:
            with self._lock:
                self._held -= ticket.size

    def _admit(self, ticket: _Ticket[Item, Answer]) -> None:
        """Let it wait, if there is room; one for which there never will be goes alone."""
        is_full = self._room is not None and self._held + ticket.size > self._room.of_all
        if len(self._waiting) >= MOST_WAITING or (is_full and self._held):
            message = "Too much waits to be written."
            raise OperationalError(message)
        self._held += ticket.size
        self._waiting.append(ticket)

    def _have_written(self, ticket: _Ticket[Item, Answer], *, must_wait: bool) -> Answer:
        if must_wait and not ticket.wait(PATIENCE_SECONDS) and self._give_up(ticket):
            message = "Others were being written for too long."
            raise OperationalError(message)
        if not ticket.done:
            self._write_waiting()
        if ticket.error is not None:
            raise ticket.error
        return ticket.answer  # type: ignore[return-value]  # done without error: it is there

    def _give_up(self, ticket: _Ticket[Item, Answer]) -> bool:
        """Take the ticket back; say whether nobody had called it meanwhile."""
        with self._lock:
            if ticket in self._waiting and not ticket.called:
                self._waiting.remove(ticket)
                return True
        return not ticket.wait(PATIENCE_SECONDS)

    def _write_waiting(self) -> None:
        """Write what waits, this thread's own item first among it, then call the next thread."""
        with self._lock:
            batch = self._take()
        try:
            self._answer(batch)
        finally:
            for ticket in batch:
                if not ticket.done:
                    ticket.fail(OperationalError("The thread that was writing has ended."))
                ticket.call()
            with self._lock:
                self._busy = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].call()

    def _take(self) -> list[_Ticket[Item, Answer]]:
        """Take from what waits as much as one call may write, at least one."""
        taken = [self._waiting.popleft()]
        left = self._room.of_call - taken[0].size if self._room else 0
        while self._waiting and len(taken) < self._most and self._waiting[0].size <= left:
            taken.append(self._waiting.popleft())
            left -= taken[-1].size
        return taken

    def _answer(self, batch: Sequence[_Ticket[Item, Answer]]) -> None:
        try:
            answers = self._write([ticket.item for ticket in batch])
        except (OperationalError, InterfaceError) as error:
            for ticket in batch:
                ticket.fail(type(error)(*error.args))
        except Exception as error:  # noqa: BLE001 - it is raised again by the thread it belongs to
            if len(batch) > 1:
                for ticket in batch:
                    self._answer([ticket])
            else:
                batch[0].fail(error)
        else:
            if len(answers) != len(batch):
                # Written or not: to write again would be worse than to say so.
                message = "The number of answers is not that of the items."
                raise ValueError(message)
            for ticket, answer in zip(batch, answers, strict=True):
                ticket.done, ticket.answer = True, answer
