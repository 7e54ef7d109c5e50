"""Limits inside the store gateway: what one call may touch, whatever the number of its blocks (sheet: 8.12 of Thanos'
BucketStore). Thread-safe: blocks reserve in parallel."""

from __future__ import annotations

import threading
from collections.abc import Callable

from athanor.model.rpc import StatusError
from athanor.storeapi.limits import Limiter

SERIES, CHUNKS, BYTES = "series", "chunks", "bytes"


class Exceeded(StatusError):
    """A limit was passed; ``text`` is the status as text, for the messages that wrap it."""

    def __init__(self, message: str) -> None:
        super().__init__("RESOURCE_EXHAUSTED", message)
        self.text = f"rpc error: code = ResourceExhausted desc = {message}"


class CallLimits:
    """The three limiters of one call; 0 means no limit. on_dropped gets the reason, once a limiter."""

    def __init__(
        self, max_series: int, max_chunks: int, max_bytes: int, on_dropped: Callable[[str], None] = lambda reason: None
    ) -> None:
        self._lock = threading.Lock()
        self._series = Limiter(max_series, lambda: on_dropped(SERIES))
        self._chunks = Limiter(max_chunks, lambda: on_dropped(CHUNKS))
        self._bytes = Limiter(max_bytes, lambda: on_dropped(BYTES))

    def series(self, n: int) -> None:
        self._reserve(self._series, n, "exceeded series limit")

    def chunks(self, n: int) -> None:
        self._reserve(self._chunks, n, "exceeded chunks limit")

    def fetched(self, n_bytes: int, phase: str) -> None:
        """Bytes that came from the bucket. phase: ``fetching postings``, ``fetching series``, ``fetching chunks``."""
        self._reserve(self._bytes, n_bytes, f"exceeded bytes limit while {phase}")

    def _reserve(self, limiter: Limiter, n: int, what: str) -> None:
        with self._lock:
            try:
                limiter.reserve(n)
            except ValueError as error:
                raise Exceeded(f"{what}: {error}") from None
