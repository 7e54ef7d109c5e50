"""Limits on what one Series call may send: ``--store.limits.request-series`` and ``--store.limits.request-samples``."""

from __future__ import annotations

from collections.abc import Callable

from athanor.model.rpc import StatusError

SAMPLES_PER_CHUNK = 120
"""What a chunk counts for the sample limit, whatever it holds (thanos pkg/store/limiter.go)."""


class Limiter:
    """A running total that fails as soon as it exceeds the limit; 0 means none."""

    def __init__(self, limit: int, on_failure: Callable[[], None] = lambda: None) -> None:
        self._limit = limit
        self._total = 0
        self._failed = False
        self._on_failure = on_failure

    def reserve(self, n: int) -> None:
        """Add; raises ValueError with the original's text. The failure callback runs once."""
        if self._limit == 0:
            return
        self._total += n
        if self._total > self._limit:
            if not self._failed:
                self._failed = True
                self._on_failure()
            raise ValueError(f"limit {self._limit} violated (got {self._total})")


class RequestLimits:
    """Both limits of one Series call. on_dropped gets ``series`` or ``chunks``, once for each call."""

    def __init__(self, n_series: int, n_samples: int, on_dropped: Callable[[str], None] = lambda reason: None) -> None:
        self._series = Limiter(n_series, lambda: on_dropped("series"))
        self._samples = Limiter(n_samples, lambda: on_dropped("chunks"))

    def sending(self, n_series: int, n_chunks: int) -> None:
        """Called for each frame before it is sent; StatusError UNKNOWN where it would pass a limit."""
        try:
            self._series.reserve(n_series)
        except ValueError as error:
            raise StatusError("UNKNOWN", f"failed to send series: {error}") from None
        try:
            self._samples.reserve(n_chunks * SAMPLES_PER_CHUNK)
        except ValueError as error:
            raise StatusError("UNKNOWN", f"failed to send samples: {error}") from None
