"""Cancellation: one flag that a caller raises when nobody waits for the work any more.

A token is passed down every call that can take long. The worker calls :meth:`CancelToken.check` between kernel calls
(never inside one); whoever holds something that blocks (a gRPC call, a socket) registers a callback that unblocks it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from athanor.model.errors import AthanorError


class Cancelled(AthanorError):
    """The work was given up; ``reason`` says by whom. ``deadline`` is true when its time had run out."""

    def __init__(self, reason: str, *, deadline: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.deadline = deadline


class CancelToken:
    """A thread-safe, one-way flag with callbacks and an optional deadline on the monotonic clock.

    deadline_at: seconds of ``time.monotonic()``; None means no deadline. A passed deadline counts as cancelled
    as soon as someone looks; callbacks run only on :meth:`cancel` (or when :meth:`check` finds the deadline passed).
    """

    __slots__ = ("_callbacks", "_deadline_hit", "_event", "_lock", "_reason", "deadline_at")

    def __init__(self, *, timeout_s: float | None = None, deadline_at: float | None = None) -> None:
        if timeout_s is not None:
            timed_at = time.monotonic() + timeout_s
            deadline_at = timed_at if deadline_at is None else min(timed_at, deadline_at)
        self.deadline_at = deadline_at
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._reason = ""
        self._deadline_hit = False
        self._callbacks: list[Callable[[], None]] = []

    def cancel(self, reason: str = "cancelled") -> None:
        """Raise the flag and run the callbacks, once; later calls change nothing."""
        self._finish(reason, deadline=False)

    def _finish(self, reason: str, *, deadline: bool) -> None:
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason
            self._deadline_hit = deadline
            callbacks, self._callbacks = self._callbacks, []
            self._event.set()
        for callback in callbacks:
            callback()

    @property
    def cancelled(self) -> bool:
        """True once cancelled or past the deadline."""
        if self._event.is_set():
            return True
        if self.deadline_at is not None and time.monotonic() >= self.deadline_at:
            self._finish("deadline exceeded", deadline=True)
            return True
        return False

    @property
    def reason(self) -> str:
        """Why it was cancelled; empty while it was not."""
        return self._reason

    def check(self) -> None:
        """Raise :class:`Cancelled` when the work should stop."""
        if self.cancelled:
            raise Cancelled(self._reason, deadline=self._deadline_hit)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until cancelled, until the deadline or for ``timeout_s``; returns :attr:`cancelled`."""
        left_s = self.remaining_s()
        if left_s is not None:
            timeout_s = left_s if timeout_s is None else min(timeout_s, left_s)
        self._event.wait(timeout_s)
        return self.cancelled

    def remaining_s(self) -> float | None:
        """Seconds to the deadline, never negative; None without a deadline."""
        return None if self.deadline_at is None else max(0.0, self.deadline_at - time.monotonic())

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Run ``callback`` when cancelled (at once when that has happened); returns a function that forgets it."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return lambda: self._forget(callback)
        callback()
        return lambda: None

    def _forget(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def child(self, *, timeout_s: float | None = None) -> CancelToken:
        """A token that is cancelled with this one, or alone, or at the earlier deadline of the two."""
        child = CancelToken(timeout_s=timeout_s, deadline_at=self.deadline_at)
        self.on_cancel(lambda: child._finish(self._reason, deadline=self._deadline_hit))
        return child


NEVER = CancelToken()
"""A token that nobody cancels: for tests and for work that must finish."""
