"""Where the engine of a query reads: the fan-out, as tiles of whole series.

The request is the one that Thanos' querier builds (pkg/query/querier.go): which aggregates and resolution a function
asks for, replica labels removed by the stores, batched frames.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.select import QueryContext, SelectHints, Selection, Sharing
from athanor.model.tables import COUNT, COUNTER, MAX, MIN, SUM
from athanor.query.dedup import Reading
from athanor.query.tiles import PartReading, SeriesTile, SharedSeriesTile, shared_tiles_of, tiles_of
from athanor.storeapi import messages
from athanor.storeapi.matching import StoreFacts, wire_matchers
from athanor.storeapi.merge import Batch
from athanor.storeapi.proxy import ProxyCall, StoreUsage, batch_size_for

BYTES_PER_SAMPLE = 2.0  # of XOR chunks, for the expected size of a series; 1.3 for regular data, 8 for noise
SAMPLE_INTERVAL_MS = 15_000
# These answer chunks as they are; Prometheus' remote read, and so a sidecar, cuts them to the range that is asked for.
WHOLE_CHUNKS = frozenset({"store", "receive", "rule"})

SERIES_HASH_LABEL = "__cf_series_hash__"  # where a store that leaves out labels puts a hash of all of them

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


def series_request(selection: Selection, options: QuerierOptions, asked: Collection[StoreFacts] = ()) -> Any:
    """The SeriesRequest of a selection. asked: the stores that would get it."""
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
    request.query_hints.series_hash_label_name = SERIES_HASH_LABEL
    if asked and all(_takes_hints(store, request) for store in asked):
        _set_hints(request.query_hints, hints)
    return request


def _takes_hints(store: StoreFacts, request: Any) -> bool:
    """compat: Sidecars of Thanos 0.25 to 0.33 take a function or a grouping as leave to answer what it makes of the
    series; they do not know projections. A store that leaves out labels cannot be merged with one that does not, and a
    hash of all labels is the same in replicas only without the replica labels."""
    return store.supports_projections and (store.supports_without_replica_labels or not request.without_replica_labels)


def _set_hints(wire: Any, hints: SelectHints) -> None:
    wire.step_millis = hints.step_ms
    if hints.func:
        wire.func.name = hints.func
    if hints.range_ms:
        wire.range.millis = hints.range_ms
    wire.grouping.by = hints.by
    wire.grouping.labels.extend(hints.grouping)
    if hints.projection is not None:
        wire.projection_labels.extend(hints.projection)
        wire.projection_include = True


@dataclass(frozen=True, slots=True)
class Fanned:
    """What one request to the stores was for, and what each of them contributed."""

    selections: tuple[Selection, ...]
    usage: list[StoreUsage]


class FanoutStorage:
    """The stores behind one query. ``fanned`` tells afterwards what each request has brought.

    asked: the stores that a selection would ask. counts: whether ``fanned`` is to tell series, chunks, samples.
    """

    def __init__(
        self,
        fanout: Fanout,
        options: QuerierOptions,
        cancel: CancelToken,
        *,
        tenant: str = "default-tenant",
        store_matchers: Any = (),
        asked: Callable[[Selection], Collection[StoreFacts]] = lambda selection: (StoreFacts(),),
        counts: bool = False,
    ) -> None:
        self._fanout, self._options, self._cancel = fanout, options, cancel
        self._tenant, self._store_matchers, self._asked = tenant, store_matchers, asked
        self._counts = counts
        self.fanned: list[Fanned] = []

    def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[SeriesTile]:
        aggregates, reading = aggregates_for(selection.hints.func), self._reading(selection)
        request = series_request(selection, self._options, self._asked(selection))
        with closing(self._batches(request, (selection,), budget, context)) as batches:
            for batch in batches:
                yield from tiles_of(batch, aggregates, reading, budget)

    def sharing(self, selection: Selection) -> Sharing:
        """Raw data is the same whatever the function; of downsampled data each asks for its own."""
        options = self._options
        raw_only = options.max_source_resolution_ms == 0
        key = () if raw_only else (aggregates_for(selection.hints.func), self._resolution(selection))
        return Sharing(
            key,
            frozenset(options.replica_labels if options.deduplicate else ()),
            # Of downsampled blocks the range decides which are chosen.
            raw_only and all(one.component in WHOLE_CHUNKS for one in self._asked(selection)),
        )

    def select_shared(
        self, wide: Selection, parts: Sequence[Selection], budget: Budget, context: QueryContext
    ) -> Iterator[SharedSeriesTile]:
        request = series_request(wide, self._options)
        asked = dict.fromkeys(each for part in parts for each in aggregates_for(part.hints.func))
        request.aggregates[:] = sorted(asked)
        readings = [
            PartReading(
                tuple(m for m in part.matchers if m not in wide.matchers),
                aggregates_for(part.hints.func), self._reading(part), part.first_ms, part.last_ms,
            )
            for part in parts
        ]  # fmt: skip
        with closing(self._batches(request, tuple(parts), budget, context)) as batches:
            for batch in batches:
                yield from shared_tiles_of(batch, readings, budget)

    def _resolution(self, selection: Selection) -> int:
        return resolution_for(selection.hints, self._options.max_source_resolution_ms)

    def _reading(self, selection: Selection) -> Reading:
        options, func = self._options, selection.hints.func
        first_ms, last_ms = selection.around_ms or (selection.first_ms, selection.last_ms)
        return Reading(
            first_ms, last_ms, func in COUNTER_FUNCTIONS,
            options.deduplicate and bool(options.replica_labels), loses_resets=aggregates_for(func) == (COUNTER,),
        )  # fmt: skip

    def _batches(
        self, request: Any, selections: tuple[Selection, ...], budget: Budget, context: QueryContext
    ) -> Generator[Batch, None, None]:
        fanned = Fanned(selections, [])
        self.fanned.append(fanned)
        call = ProxyCall(
            cancel=self._cancel,
            on_warning=context.warn,
            tenant=self._tenant,
            store_matchers=self._store_matchers,
            on_usage=fanned.usage.append,
            counts=self._counts,
        )
        batches = self._fanout.series(request, budget, call)
        try:
            for batch in batches:
                context.check()
                yield batch
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()


__all__ = ["Fanned", "Fanout", "FanoutStorage", "QuerierOptions", "aggregates_for", "series_request"]
