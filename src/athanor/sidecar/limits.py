"""How much one Series call may return: ``--store.limits.request-series`` and ``--store.limits.request-samples``.

compat: what fits is sent before the call fails; a chunk counts as 120 samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from athanor.model.metrics import Registry
from athanor.model.rpc import StatusError
from athanor.storeapi.frames import SeriesFrame
from athanor.storeapi.limits import SAMPLES_PER_CHUNK
from athanor.storeapi.rows import chunk_starts, take_rows


class SeriesLimits:
    """0 means no limit."""

    def __init__(self, max_series: int, max_samples: int, registry: Registry) -> None:
        self._max_series = max_series
        self._max_samples = max_samples
        dropped = registry.counter_family(
            "thanos_store_selects_dropped_total",
            "Number of select queries that were dropped due to configured limits.",
            ("reason",),
        )
        self._dropped_series, self._dropped_chunks = dropped.of("series"), dropped.of("chunks")

    def apply(self, frame: SeriesFrame, write: Callable[[SeriesFrame], Iterable[bytes]]) -> Iterator[bytes]:
        """The written series up to the first that breaks a limit, then StatusError."""
        n_fitting, error = self._fitting(frame)
        if error is None:
            yield from write(frame)
            return
        if n_fitting:
            yield from write(SeriesFrame(*take_rows(frame.labels, frame.chunks, 0, n_fitting)))
        raise error

    def _fitting(self, frame: SeriesFrame) -> tuple[int, StatusError | None]:
        n = len(frame)
        by_series = self._max_series if 0 < self._max_series < n else n
        by_samples, got_samples = n, 0
        if self._max_samples > 0:
            sent = chunk_starts(frame.chunks, n)[1:] * SAMPLES_PER_CHUNK
            by_samples = int(np.searchsorted(sent, self._max_samples, side="right"))
            got_samples = int(sent[by_samples]) if by_samples < n else 0
        if by_series == by_samples == n:
            return n, None
        if by_series <= by_samples:
            self._dropped_series.inc()
            text = f"failed to send series: limit {self._max_series} violated (got {by_series + 1})"
            return by_series, StatusError("UNKNOWN", text)
        self._dropped_chunks.inc()
        text = f"failed to send samples: limit {self._max_samples} violated (got {got_samples})"
        return by_samples, StatusError("UNKNOWN", text)
