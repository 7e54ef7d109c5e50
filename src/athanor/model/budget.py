"""Accounting of memory: a query asks before it allocates, and fails with numbers instead of killing the process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from athanor.model.errors import AthanorError


class OverBudget(AthanorError):
    """A reservation that does not fit; HTTP 422 with the numbers."""

    def __init__(self, who: str, asked_bytes: int, held_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{who} needs {asked_bytes} bytes, but the query already holds {held_bytes} of its {limit_bytes}; "
            "ask for fewer series or steps, or raise the memory budget"
        )
        self.who, self.asked_bytes, self.held_bytes, self.limit_bytes = who, asked_bytes, held_bytes, limit_bytes


class Budget:
    """Bytes that one query, or one process as parent of its queries, may hold. Thread-safe.

    A query's budget is a context manager: whatever it still holds is released when the query ends in any way. After
    that nothing can be taken, and giving back changes nothing: threads that still wind up own nothing any more.
    """

    def __init__(self, limit_bytes: int, parent: Budget | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._parent = parent
        self._held = 0
        self._peak = 0
        self._n_reservations = 0
        self._ended = False
        self._lock = threading.Lock()
        self._let_go: deque[int] = deque()

    @property
    def held_bytes(self) -> int:
        self._settle()
        return self._held

    @property
    def peak_bytes(self) -> int:
        return self._peak

    @property
    def n_reservations(self) -> int:
        """How often something was reserved: whether anything has happened since."""
        return self._n_reservations

    def take(self, who: str, n_bytes: int) -> None:
        """Reserve before allocating; raises OverBudget and reserves nothing where it does not fit."""
        self._settle()
        with self._lock:
            if self._ended:
                raise AthanorError(f"{who} needs {n_bytes} bytes, but its query has ended")
            if self._held + n_bytes > self.limit_bytes:
                raise OverBudget(who, n_bytes, self._held, self.limit_bytes)
            self._held += n_bytes
            self._n_reservations += 1
            self._peak = max(self._peak, self._held)
        if self._parent is not None:
            try:
                self._parent.take(who, n_bytes)
            except AthanorError:
                with self._lock:
                    if not self._ended:
                        self._held -= n_bytes
                raise

    def give(self, n_bytes: int) -> None:
        with self._lock:
            if self._ended:
                return
            self._held -= n_bytes
            if self._held < 0:
                raise AssertionError(f"BUG: {-self._held} bytes more were given back than taken")
        if self._parent is not None:
            self._parent.give(n_bytes)

    def give_later(self, n_bytes: int) -> None:
        """Give back from a place that may not wait for a lock, as where memory is let go of; it counts from the next
        reservation on."""
        self._let_go.append(n_bytes)

    def _settle(self) -> None:
        while self._let_go:
            try:
                n_bytes = self._let_go.popleft()
            except IndexError:  # another thread was quicker
                return
            self.give(n_bytes)

    @contextmanager
    def holding(self, who: str, n_bytes: int) -> Iterator[None]:
        self.take(who, n_bytes)
        try:
            yield
        finally:
            self.give(n_bytes)

    def __enter__(self) -> Budget:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            left, self._held, self._ended = self._held, 0, True
        if self._parent is not None and left:
            self._parent.give(left)
