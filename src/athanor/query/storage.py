"""Where the engine of a query reads: the fan-out, as tiles of whole series.

The request is the one that Thanos' querier builds (pkg/query/querier.go): which aggregates and resolution a function
asks for, replica labels removed by the stores, batched frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from athanor.chunk.xor_kernels import count_samples
from athanor.model.arrays import I64
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.select import QueryContext, SelectHints, Selection
from athanor.model.tables import COUNT, COUNTER, MAX, MIN, RAW, SUM, ChunkTable, LabelTable, Samples
from athanor.model.workspace import Workspace
from athanor.query.aggregates import average_rows, choose_rows, read_average
from athanor.query.dedup import Reading, read_series
from athanor.query.mixed_reading import has_histograms, read_mixed, weigh_histograms
from athanor.storeapi import messages
from athanor.storeapi.matching import wire_matchers
from athanor.storeapi.merge import Batch
from athanor.storeapi.proxy import ProxyCall, StoreUsage, batch_size_for
from athanor.storeapi.rows import chunk_starts

TILE_SAMPLES = 1_000_000  # 5 to 20 ms of work for a kernel
BYTES_PER_SAMPLE = 2.0  # of XOR chunks, for the expected size of a series; 1.3 for regular data, 8 for noise
SAMPLE_INTERVAL_MS = 15_000

COUNTER_FUNCTIONS = frozenset({"rate", "increase", "irate", "resets"})
# Over a range, these look at half of it for the resolution, so that a window holds at least two samples.
HALF_RANGE_FUNCTIONS = COUNTER_FUNCTIONS - {"resets"} | {
    "delta", "idelta", "deriv", "predict_linear", "holt_winters", "double_exponential_smoothing",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class QuerierOptions:
    """What a request to the querier says about its data."""

    deduplicate: bool = True
    replica_labels: tuple[str, ...] = ()
    partial_response: bool = True
    max_source_resolution_ms: int = 0


class Fanout(Protocol):
    def series(self, request: Any, budget: Budget, call: ProxyCall) -> Iterator[Batch]: ...


def aggregates_for(func: str) -> tuple[int, ...]:
    """The sub-chunks that a function needs of downsampled series; raw series answer with raw chunks anyway."""
    if func == "min" or func.startswith("min_"):
        return (MIN,)
    if func == "max" or func.startswith("max_"):
        return (MAX,)
    if func == "count" or func.startswith("count_"):
        return (COUNT,)
    if func.startswith("sum_"):
        return (SUM,)
    if func in COUNTER_FUNCTIONS or func in ("xrate", "xincrease"):
        return (COUNTER,)
    return (COUNT, SUM)


def resolution_for(hints: SelectHints, max_source_resolution_ms: int) -> int:
    if hints.range_ms > 0 and hints.func in HALF_RANGE_FUNCTIONS:
        return min(max_source_resolution_ms, hints.range_ms // 2)
    return max_source_resolution_ms


def series_request(selection: Selection, options: QuerierOptions) -> Any:
    """The SeriesRequest of a selection."""
    hints = selection.hints
    span_ms = max(1, selection.last_ms - selection.first_ms)
    request = messages.thanos.SeriesRequest(
        min_time=selection.first_ms,
        max_time=selection.last_ms,
        matchers=wire_matchers(selection.matchers),
        max_resolution_window=resolution_for(hints, options.max_source_resolution_ms),
        aggregates=aggregates_for(hints.func),
        partial_response_strategy=messages.WARN if options.partial_response else messages.ABORT,
        partial_response_disabled=not options.partial_response,
        response_batch_size=batch_size_for(int(span_ms / SAMPLE_INTERVAL_MS * BYTES_PER_SAMPLE)),
    )
    if options.deduplicate and options.replica_labels:
        request.without_replica_labels.extend(options.replica_labels)
    request.query_hints.step_millis = hints.step_ms
    request.query_hints.func.name = hints.func
    request.query_hints.range.millis = hints.range_ms
    if hints.grouping or hints.by:
        request.query_hints.grouping.by = hints.by
        request.query_hints.grouping.labels.extend(hints.grouping)
    return request


class _Held:
    """The bytes of a batch, given back when its last tile has been decoded or dropped."""

    def __init__(self, budget: Budget, n_bytes: int, n_tiles: int) -> None:
        self._budget, self._n_bytes, self._left = budget, n_bytes, n_tiles

    def release(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._budget.give(self._n_bytes)


@dataclass(frozen=True, slots=True)
class SeriesTile:
    """Some complete series of a batch, still encoded. A native histogram counts as many samples as it takes bytes."""

    labels: LabelTable
    n_samples_bound: int
    chunks: ChunkTable
    starts: I64
    aggregates: tuple[int, ...]
    reading: Reading
    held: _Held

    def samples(self, workspace: Workspace) -> Samples:
        try:
            if self.aggregates == (COUNT, SUM) and average_rows(self.chunks, self.starts):
                return read_average(self.chunks, self.starts, self.reading, workspace)
            chunks, starts = choose_rows(self.chunks, self.starts, self.aggregates)
            read = read_mixed if has_histograms(chunks, starts) else read_series
            return read(chunks, starts, self.reading, workspace)
        finally:
            self.held.release()

    def drop(self) -> None:
        """Give the memory back without decoding."""
        self.held.release()


def _tile_borders(starts: I64, n_samples: I64) -> list[int]:
    """Rows where tiles begin, and the end: whole series, about TILE_SAMPLES together."""
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(n_samples)))[starts]
    borders, n_series = [0], starts.size - 1
    while borders[-1] < n_series:
        reached = int(np.searchsorted(total, total[borders[-1]] + TILE_SAMPLES, "right")) - 1
        borders.append(min(n_series, max(reached, borders[-1] + 1)))
    return borders


def tiles_of(batch: Batch, aggregates: tuple[int, ...], reading: Reading, budget: Budget) -> Iterator[SeriesTile]:
    """Cut a batch into tiles of whole series."""
    chunks = batch.chunks
    n_samples = np.zeros(len(chunks), np.int64)
    count_samples(chunks.arena, np.ascontiguousarray(chunks.at), np.ascontiguousarray(chunks.size), n_samples)
    weigh_histograms(chunks, n_samples)
    starts = chunk_starts(chunks, len(batch.labels))
    borders = _tile_borders(starts, n_samples)
    held = _Held(budget, batch.held_bytes, len(borders) - 1)
    for first, end in itertools.pairwise(borders):
        rows = starts[first : end + 1]
        labels = LabelTable(batch.labels.arena, batch.labels.offsets[first : end + 1])
        bound = int(n_samples[rows[0] : rows[-1]].sum())
        yield SeriesTile(labels, bound, chunks, rows, aggregates, reading, held)


class FanoutStorage:
    """The stores behind one query. ``usage`` tells afterwards what each of them contributed."""

    def __init__(
        self,
        fanout: Fanout,
        options: QuerierOptions,
        cancel: CancelToken,
        *,
        tenant: str = "default-tenant",
        store_matchers: Any = (),
    ) -> None:
        self._fanout, self._options, self._cancel = fanout, options, cancel
        self._tenant, self._store_matchers = tenant, store_matchers
        self.usage: list[StoreUsage] = []

    def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[SeriesTile]:
        options = self._options
        hints = selection.hints
        aggregates = aggregates_for(hints.func)
        reading = Reading(
            selection.first_ms, selection.last_ms, hints.func in COUNTER_FUNCTIONS,
            options.deduplicate and bool(options.replica_labels), loses_resets=aggregates == (COUNTER,),
        )  # fmt: skip
        call = ProxyCall(
            cancel=self._cancel,
            on_warning=context.warn,
            tenant=self._tenant,
            store_matchers=self._store_matchers,
            on_usage=self.usage.append,
        )
        batches = self._fanout.series(series_request(selection, options), budget, call)
        try:
            for batch in batches:
                context.check()
                yield from tiles_of(batch, aggregates, reading, budget)
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()


__all__ = ["RAW", "Fanout", "FanoutStorage", "QuerierOptions", "SeriesTile", "aggregates_for", "series_request"]
