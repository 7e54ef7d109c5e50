"""The fan-out: one request to every store that may have an answer, one ordered answer back (StoreAPI sheet, section 4).

Failures of stores are warnings, or end the request where the caller allows no partial response; texts are Thanos'. A
store that would have been asked but has left the active set within the unhealthy timeout counts as failed, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.errors import DataError
from athanor.model.matchers import Matcher
from athanor.model.rpc import StatusError
from athanor.storeapi import messages
from athanor.storeapi.client import TENANT_HEADER, CallError, StoreClient
from athanor.storeapi.endpoints import MissingStore
from athanor.storeapi.frames import FRAME_BYTES
from athanor.storeapi.matching import (
    MAX_TIME_MS,
    MIN_TIME_MS,
    LabelSet,
    StoreFacts,
    StoreMatchers,
    consume_external,
    overlay,
    parse_matchers,
    refusal,
    wire_matchers,
)
from athanor.storeapi.merge import Batch, merge_streams
from athanor.storeapi.messages import ABORT, info, thanos
from athanor.storeapi.rows import take_rows
from athanor.storeapi.shards import shard_of
from athanor.storeapi.streams import StoreStream, StreamFailure, StreamOptions

NO_STORES = "No StoreAPIs available"
NO_MATCHERS = "no matchers specified (excluding selector labels)"
MIN_BATCH_SERIES, MAX_BATCH_SERIES = 16, 1000


def batch_size_for(bytes_per_series: int) -> int:
    """How many series to ask for in one frame, given how big a series is likely to be."""
    return min(MAX_BATCH_SERIES, max(MIN_BATCH_SERIES, FRAME_BYTES // max(1, bytes_per_series)))


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """What one store contributed to a Series request. The last three are counted where ``ProxyCall.counts`` says so."""

    address: str
    n_messages: int
    n_bytes: int
    elapsed_s: float
    n_series: int = 0
    n_chunks: int = 0
    n_samples: int = 0


@dataclass(frozen=True, slots=True)
class ProxyCall:
    """What a request through the proxy carries besides its message.

    on_warning gets each warning's text, in order. store_matchers: ``storeMatch[]``. on_usage gets one entry for each
    store that was asked, when the request ends. keep_empty: see ``frames.read_series_frame``. counts: usage tells
    series, chunks and samples too.
    """

    cancel: CancelToken
    on_warning: Callable[[str], None]
    tenant: str = "default-tenant"
    store_matchers: StoreMatchers = ()
    on_usage: Callable[[StoreUsage], None] = lambda usage: None
    keep_empty: bool = False
    counts: bool = False

    @property
    def metadata(self) -> Mapping[str, str]:
        return {TENANT_HEADER: self.tenant}


@dataclass(frozen=True, slots=True)
class _Plan:
    """The stores to ask, and the matchers that they get."""

    stores: tuple[StoreClient, ...]
    matchers: tuple[Matcher, ...]


class _Failures:
    """Turns failures into warnings, or into the end of the request."""

    def __init__(self, call: ProxyCall, abort: bool) -> None:
        self._call = call
        self._abort = abort
        self._lock = threading.Lock()

    def warning(self, text: str) -> None:
        """A store sent a warning of its own."""
        self.failed("ABORTED", text)

    def failed(self, code: str, text: str) -> None:
        """Something that an answer lacks."""
        if self._abort:
            raise StatusError(code, text)
        with self._lock:
            self._call.on_warning(text)


def wants_abort(request: Any) -> bool:
    """Whether a request allows no partial response, in either spelling."""
    return bool(request.partial_response_disabled) or request.partial_response_strategy == ABORT


class Proxy:
    """Many stores as one. ``stores`` and ``missing`` are read for each request."""

    def __init__(
        self,
        stores: Callable[[], Sequence[StoreClient]],
        *,
        missing: Callable[[], Sequence[MissingStore]] = tuple,
        selector_labels: LabelSet = (),
        response_timeout_s: float = 0.0,
    ) -> None:
        self._stores = stores
        self._missing = missing
        self._selector_labels = selector_labels
        self._response_timeout_s = response_timeout_s

    def series(self, request: Any, budget: Budget, call: ProxyCall) -> Iterator[Batch]:
        """Merged batches of complete series for a ``SeriesRequest``.

        Whoever takes a batch gives its ``held_bytes`` back to the budget. Closing the iterator stops every stream.
        """
        failures = _Failures(call, wants_abort(request))
        matchers = consume_external(self._selector_labels, parse_matchers(request.matchers))
        if matchers is None:
            return
        if not matchers:
            raise StatusError("INVALID_ARGUMENT", NO_MATCHERS)
        plan = self._plan(request.min_time, request.max_time, matchers, call, failures, wants_abort(request))
        data = messages.encode(_downstream(request, plan.matchers))
        streams: list[StoreStream] = []
        try:
            for store in plan.stores:
                streams.append(self._open(store, request, data, budget, call, failures))
            for stream in streams:
                stream.report_opening()
            yield from _limited(merge_streams(streams, budget), request.limit)
            call.cancel.check()
        finally:
            for stream in streams:
                stream.stop()
            for stream in streams:
                stream.close()
            for store, stream in zip(plan.stores, streams, strict=False):
                call.on_usage(
                    StoreUsage(
                        store.facts.address, stream.n_messages, stream.n_bytes, stream.elapsed_s,
                        stream.n_series, stream.n_chunks, stream.n_samples,
                    )
                )  # fmt: skip

    def asked(
        self, min_time_ms: int, max_time_ms: int, matchers: tuple[Matcher, ...], store_matchers: StoreMatchers = ()
    ) -> tuple[StoreFacts, ...]:
        """The stores that would be asked for series."""
        left = consume_external(self._selector_labels, matchers) or ()
        facts = [store.facts for store in self._stores()]
        return tuple(one for one in facts if not refusal(one, min_time_ms, max_time_ms, left, store_matchers))

    def _plan(
        self,
        min_time_ms: int,
        max_time_ms: int,
        matchers: tuple[Matcher, ...],
        call: ProxyCall,
        failures: _Failures,
        need_stores: bool,
    ) -> _Plan:
        stores, missing = tuple(self._stores()), self._missing()
        for lost in missing:
            if not refusal(lost.facts, min_time_ms, max_time_ms, matchers, call.store_matchers):
                # differs: Thanos answers short and says nothing (pkg/query/endpointset.go drops the store).
                failures.failed("UNAVAILABLE", _missing_text(lost))
        if not stores and need_stores:
            raise StatusError("UNKNOWN", NO_STORES)
        chosen = tuple(
            store
            for store in stores
            if not refusal(store.facts, min_time_ms, max_time_ms, matchers, call.store_matchers)
        )
        return _Plan(chosen, matchers)

    def _open(
        self, store: StoreClient, request: Any, data: bytes, budget: Budget, call: ProxyCall, failures: _Failures
    ) -> StoreStream:
        facts = store.facts
        replica_labels = tuple(request.without_replica_labels)
        options = StreamOptions(
            where=facts.address or facts.text,
            drop_labels=() if facts.supports_without_replica_labels else replica_labels,
            shard=None if facts.supports_sharding else shard_of(request.shard_info),
            response_timeout_s=self._response_timeout_s,
            keep_empty=call.keep_empty,
            counts=call.counts,
        )

        def on_failure(failure: StreamFailure) -> None:
            call.cancel.check()
            if failure.timed_out:
                limit = go_duration(self._response_timeout_s)
                failures.failed("ABORTED", f"failed to receive any data in {limit} from {facts.text}: {failure.text}")
            elif failure.opening:
                text = f"fetch series for {facts.label_sets_text} {facts.text}: {failure.text}"
                failures.failed(failure.code, text)
            else:
                failures.failed("ABORTED", f"receive series from {facts.text}: {failure.text}")

        running = store.series(data, call.cancel, call.metadata)
        return StoreStream(running, options, budget, call.cancel, failures.warning, on_failure)

    def label_names(self, request: Any, call: ProxyCall) -> Any:
        """A ``LabelNamesResponse`` of all stores; its warnings are in the message."""

        def ask(store: StoreClient, matchers: list[Any]) -> Any:
            forwarded = thanos.LabelNamesRequest(
                partial_response_disabled=request.partial_response_disabled,
                partial_response_strategy=request.partial_response_strategy,
                start=request.start,
                end=request.end,
                hints=request.hints if request.HasField("hints") else None,
                matchers=matchers,
                without_replica_labels=request.without_replica_labels,
            )
            data = store.label_names(messages.encode(forwarded), call.cancel, call.metadata)
            return messages.decode(thanos.LabelNamesResponse, data, store.facts.text)

        answers, warnings = self._ask_all(request, call, "label names", ask)
        names = sorted({name for answer in answers for name in answer.names})
        return thanos.LabelNamesResponse(names=_first(names, request.limit), warnings=warnings)

    def label_values(self, request: Any, call: ProxyCall) -> Any:
        """A ``LabelValuesResponse`` of all stores."""
        if not request.label:
            raise StatusError("INVALID_ARGUMENT", "label name parameter cannot be empty")

        def ask(store: StoreClient, matchers: list[Any]) -> Any:
            forwarded = thanos.LabelValuesRequest(
                label=request.label,
                partial_response_disabled=request.partial_response_disabled,
                partial_response_strategy=request.partial_response_strategy,
                start=request.start,
                end=request.end,
                matchers=matchers,
                without_replica_labels=request.without_replica_labels,
                limit=request.limit,
            )
            data = store.label_values(messages.encode(forwarded), call.cancel, call.metadata)
            return messages.decode(thanos.LabelValuesResponse, data, store.facts.text)

        answers, warnings = self._ask_all(request, call, "label values", ask)
        values = sorted({value for answer in answers for value in answer.values})
        return thanos.LabelValuesResponse(values=_first(values, request.limit), warnings=warnings)

    def _ask_all(
        self, request: Any, call: ProxyCall, what: str, ask: Callable[[StoreClient, list[Any]], Any]
    ) -> tuple[list[Any], list[str]]:
        """Answers of all chosen stores, and warnings."""
        warnings: list[str] = []
        collecting = ProxyCall(call.cancel, warnings.append, call.tenant, call.store_matchers)
        failures = _Failures(collecting, wants_abort(request))
        matchers = consume_external(self._selector_labels, parse_matchers(request.matchers))
        if matchers is None:
            return [], []
        plan = self._plan(request.start, request.end, matchers, collecting, failures, False)
        if not plan.stores:
            return [], warnings

        def one(store: StoreClient) -> Any:
            try:
                return ask(store, wire_matchers(plan.matchers))
            except CallError as error:
                return error
            except DataError as error:
                return CallError("INTERNAL", str(error))

        answers = []
        with ThreadPoolExecutor(len(plan.stores), "labels") as pool:
            results = list(pool.map(one, plan.stores))
        call.cancel.check()
        for store, result in zip(plan.stores, results, strict=True):
            if isinstance(result, CallError):
                failures.failed(result.code, f"fetch {what} from store {store.facts.text}: {result}")
            else:
                answers.append(result)
                warnings += result.warnings
        return answers, warnings

    def info(self) -> Any:
        """What the proxy advertises as a store: an ``InfoResponse`` with label sets and ``store`` filled in."""
        facts = [store.facts for store in self._stores()]
        sets = {overlay(self._selector_labels, labels) for one in facts for labels in one.label_sets}
        if not sets and self._selector_labels:
            sets = {self._selector_labels}
        response = info.InfoResponse()
        for labels in sorted(sets):
            added = response.label_sets.add()
            for name, value in labels:
                added.labels.add(name=name, value=value)
        response.store.min_time = min((one.min_time_ms for one in facts), default=MIN_TIME_MS)
        response.store.max_time = max((one.max_time_ms for one in facts), default=MAX_TIME_MS)
        response.store.supports_sharding = True
        response.store.supports_without_replica_labels = True
        for one in facts:
            response.store.tsdb_infos.extend(info.TSDBInfo.FromString(data) for data in one.tsdb_infos)
        return response


def _missing_text(lost: MissingStore) -> str:
    return (
        f"store {lost.facts.label_sets_text} {lost.facts.text} answered {lost.silent_s:.0f} s ago and is not reachable "
        f"now; the answer lacks its data: {lost.error}"
    )


def _downstream(request: Any, matchers: Sequence[Matcher]) -> Any:
    """The request that stores get: not hints, step and range."""
    forwarded = thanos.SeriesRequest(
        min_time=request.min_time,
        max_time=request.max_time,
        matchers=wire_matchers(matchers),
        max_resolution_window=max(0, request.max_resolution_window),
        aggregates=request.aggregates,
        partial_response_disabled=request.partial_response_disabled,
        partial_response_strategy=request.partial_response_strategy,
        skip_chunks=request.skip_chunks,
        without_replica_labels=request.without_replica_labels,
        limit=request.limit,
        response_batch_size=max(0, request.response_batch_size),
    )
    if request.HasField("query_hints"):
        forwarded.query_hints.CopyFrom(request.query_hints)
    if request.HasField("shard_info"):
        forwarded.shard_info.CopyFrom(request.shard_info)
    return forwarded


def _limited(batches: Iterator[Batch], limit: int) -> Iterator[Batch]:
    """At most ``limit`` series, 0 for all."""
    left = limit
    for batch in batches:
        if limit <= 0 or len(batch) <= left:
            yield batch
        else:
            labels, chunks = take_rows(batch.labels, batch.chunks, 0, left)
            yield Batch(labels, chunks, batch.held_bytes)
        left -= len(batch)
        if limit > 0 and left <= 0:
            return


def _first(values: list[str], limit: int) -> list[str]:
    return values[:limit] if limit > 0 else values


def go_duration(seconds: float) -> str:
    """``1m30s`` or ``250ms``: a duration as Go prints it."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms" if seconds else "0s"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:g}s"
    return f"{hours}h{minutes}m{text}" if hours else (f"{minutes}m{text}" if minutes else text)
