"""The StoreAPI over the blocks of a bucket: Series, LabelNames, LabelValues (thanos pkg/store/bucket.go).

A call takes the blocks that are served when it begins, chooses by external labels, time and resolution, expands the
matchers of all chosen blocks, and only then streams. A block whose index turns out broken is quarantined: the call says
so in a warning and answers from the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from athanor.block.header import IndexHeader
from athanor.model.arrays import U32
from athanor.model.budget import Budget, OverBudget
from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.errors import AthanorError, DataError
from athanor.model.matchers import Matcher
from athanor.model.rpc import Call, StatusError
from athanor.store.align import merge_block_sets
from athanor.store.block_series import BlockSeries, FrameCuts, SeriesQuery
from athanor.store.blocks import Blocks, Served, ServedBlock
from athanor.store.blockset import LabelPairs
from athanor.store.chunk_reader import MissingAggregate
from athanor.store.hints import accepts_block, block_matchers
from athanor.store.index_reader import IndexReader
from athanor.store.metrics import StoreMetrics
from athanor.store.prefetch import BlockFrames, PrefetchedFrames
from athanor.store.request_limits import CallLimits, Exceeded
from athanor.storeapi.columns import frame_writer
from athanor.storeapi.frames import SeriesFrame, warning_frame
from athanor.storeapi.matching import consume_external, parse_matchers
from athanor.storeapi.merge import Batch, merge_streams
from athanor.storeapi.messages import hints
from athanor.storeapi.rebatch import write_batches
from athanor.storeapi.server import tenant_of
from athanor.storeapi.shards import shard_of

GATE_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """min_time_ms, max_time_ms: read at every call, because they may be relative to now; limits: 0 means none.
    n_readers: threads that read blocks, for a bucket that makes them wait; 0: each call reads in its own."""

    min_time_ms: Callable[[], int]
    max_time_ms: Callable[[], int]
    max_concurrency: int = 0
    max_series: int = 0
    max_chunks: int = 0
    max_bytes: int = 0
    n_readers: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """One block that a call reads, with the matchers that are left once external labels are decided."""

    block: ServedBlock
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Expanded:
    """The series of a block that a call wants."""

    target: Target
    index: IndexReader
    refs: U32


def _phase(error: Exceeded) -> str:
    """What the original was doing when this limit was passed."""
    if "fetching series" in error.message:
        return "preload series: "
    return "load chunks: " if "fetching chunks" in error.message else ""


def _by_labels(found: Sequence[Expanded], sources: Sequence[BlockFrames]) -> list[list[BlockFrames]]:
    """The sources of blocks with the same external labels together, in the order of the blocks."""
    groups: dict[LabelPairs, list[BlockFrames]] = {}
    for one, source in zip(found, sources, strict=True):
        groups.setdefault(one.target.block.labels, []).append(source)
    return list(groups.values())


@contextmanager
def _named(target: Target) -> Iterator[None]:
    """Errors of a bucket name the block."""
    try:
        yield
    except (StatusError, Cancelled):
        raise
    except AthanorError as error:
        raise StatusError("ABORTED", f"fetch postings for block {target.block.ulid}: {error}") from error


class _Counted:
    """Batches passing by, their series counted."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self.n_series = 0

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            self.n_series += len(batch)
            yield batch

    def close(self) -> None:
        self._batches.close()  # type: ignore[attr-defined]


class Gate:
    """At most so many calls at once, 0 for no limit; waiting ends when the caller leaves."""

    def __init__(self, limit: int, metrics: StoreMetrics) -> None:
        self._semaphore = threading.Semaphore(limit) if limit else None
        self._metrics = metrics
        metrics.gate_max.set(limit)

    def enter(self, cancel: CancelToken) -> None:
        started_s = time.monotonic()
        while self._semaphore is not None and not self._semaphore.acquire(timeout=GATE_WAIT_S):
            if cancel.cancelled:
                late = cancel.remaining_s() == 0.0
                code, text = ("DEADLINE_EXCEEDED", "deadline exceeded") if late else ("CANCELLED", "canceled")
                raise StatusError(code, f"failed to wait for turn: context {text}")
        self._metrics.gate_total.inc()
        self._metrics.gate_in_flight.inc()
        self._metrics.gate_seconds.observe(time.monotonic() - started_s)

    def leave(self) -> None:
        self._metrics.gate_in_flight.dec()
        if self._semaphore is not None:
            self._semaphore.release()


class Gateway:
    """A ``StoreServer``."""

    def __init__(self, blocks: Blocks, options: GatewayOptions, budget: Budget, metrics: StoreMetrics) -> None:
        self._blocks = blocks
        self._options = options
        self._budget = budget
        self._metrics = metrics
        self._gate = Gate(options.max_concurrency, metrics)
        self._pool = ThreadPoolExecutor(options.n_readers, "store") if options.n_readers else None

    @property
    def n_running(self) -> int:
        """Series calls between their gate and their end."""
        return int(self._metrics.gate_in_flight.value)

    @property
    def served(self) -> Served:
        return self._blocks.served

    def header(self, block: ServedBlock) -> IndexHeader:
        return self._blocks.reader(block).header

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    # Series

    def series(self, request: Any, call: Call) -> Iterator[bytes]:
        """Frames in label order; warnings of blocks that are left out come first."""
        self._gate.enter(call.cancel)
        try:
            yield from self._series(request, call)
        finally:
            self._gate.leave()

    def _series(self, request: Any, call: Call) -> Iterator[bytes]:
        started_s = time.monotonic()
        tenant = tenant_of(call)
        matchers = parse_matchers(request.matchers)
        wanted = block_matchers(request, hints.SeriesRequestHints, "series")
        query = SeriesQuery(
            max(request.min_time, self._options.min_time_ms()),
            min(request.max_time, self._options.max_time_ms()),
            frozenset(request.aggregates),
            request.skip_chunks,
            tuple(sorted(set(request.without_replica_labels))),
            shard_of(request.shard_info),
            max(0, request.limit),
        )
        limits = self.new_limits(tenant)
        warnings: list[str] = []
        targets = self._targets(self._blocks.served, query, request.max_resolution_window, matchers, wanted)
        found = self.expand(targets, limits, call.cancel, warnings.append)
        self._metrics.blocks_queried.of(tenant).observe(len(targets))
        self._metrics.get_all_seconds.of(tenant).observe(time.monotonic() - started_s)
        yield from map(warning_frame, warnings)
        with Budget(self._budget.limit_bytes, self._budget) as budget:
            write = partial(write_batches, batch_size=request.response_batch_size, write=frame_writer(call.metadata))
            yield from self._stream(found, query, write, limits, budget, call.cancel, tenant)

    def _targets(
        self,
        served: Served,
        query: SeriesQuery,
        max_resolution_ms: int,
        matchers: Sequence[Matcher],
        wanted: Sequence[Matcher],
    ) -> list[Target]:
        targets: list[Target] = []
        for block_set in served.sets:
            left = consume_external(block_set.labels, matchers)
            if left is None:
                continue
            chosen = block_set.choose(
                query.first_ms,
                query.last_ms,
                max_resolution_ms,
                lambda block: accepts_block(wanted, block.ulid, block.labels),
            )
            targets += [Target(block, left) for block in chosen]
        return targets

    def expand(
        self,
        targets: Sequence[Target],
        limits: CallLimits,
        cancel: CancelToken,
        warn: Callable[[str], None],
        *,
        prefix: bool = True,
    ) -> list[Expanded]:
        """The wanted references of every block, read in parallel; the first failure ends the call. prefix: whether the
        error of a limit names the block."""

        def expand(target: Target) -> Expanded | str | None:
            cancel.check()
            block = target.block
            known = self._blocks.quarantined(block.ulid)
            if known is not None:
                return known
            try:
                index = self._blocks.reader(block)
                refs = index.expand(target.matchers, limits)
            except DataError as error:
                self._blocks.quarantine(block.ulid, str(error))
                return str(error)
            return Expanded(target, index, refs) if refs.size else None

        def checked(target: Target) -> Expanded | str | None:
            head = f"fetch postings for block {target.block.ulid}: " if prefix else ""
            try:
                found = expand(target)
            except Exceeded as error:
                inner = f"expanded matching posting: fetch and expand postings: get postings: {error.text}"
                raise StatusError(error.code, head + inner) from None
            try:
                if isinstance(found, Expanded):
                    limits.series(found.refs.size)
            except Exceeded as error:
                raise StatusError(error.code, head + error.text) from None
            return found

        found: list[Expanded] = []
        for answer in self._in_parallel(checked, targets):
            if isinstance(answer, str):
                warn(f"block left out, its data is missing: {answer}")
            elif answer is not None:
                found.append(answer)
        return found

    def _in_parallel(
        self, work: Callable[[Target], Expanded | str | None], targets: Sequence[Target]
    ) -> Iterator[Expanded | str | None]:
        """Answers in the order of the targets; what runs has ended before the first error is raised."""
        if self._pool is None or len(targets) <= 1:
            for target in targets:
                with _named(target):
                    answer = work(target)
                yield answer
            return
        futures = [self._pool.submit(work, target) for target in targets]
        wait(futures)
        for target, future in zip(targets, futures, strict=True):
            with _named(target):
                answer = future.result()
            yield answer

    def _stream(
        self,
        found: Sequence[Expanded],
        query: SeriesQuery,
        write: Callable[..., Iterator[bytes]],
        limits: CallLimits,
        budget: Budget,
        cancel: CancelToken,
        tenant: str,
    ) -> Iterator[bytes]:
        cuts = FrameCuts()
        readers = [self._block_series(one, query, limits, budget, cancel, cuts) for one in found]
        sources = [
            self._source(self._block_frames(one.target.block.ulid, reader))
            for one, reader in zip(found, readers, strict=True)
        ]
        if all(reader.keeps_order for reader in readers):
            merged = merge_block_sets(_by_labels(found, sources), budget)
        else:
            merged = merge_streams(sources, budget)
        counted = _Counted(merged)
        try:
            yield from write(counted, limit=query.limit, budget=budget)
            self._metrics.result_series.of(tenant).observe(counted.n_series)
        finally:
            counted.close()
            for source in sources:
                source.close()

    def _source(self, frames: Iterator[SeriesFrame]) -> BlockFrames:
        return BlockFrames(frames) if self._pool is None else PrefetchedFrames(frames, self._pool)

    @staticmethod
    def _block_series(
        expanded: Expanded, query: SeriesQuery, limits: CallLimits, budget: Budget, cancel: CancelToken, cuts: FrameCuts
    ) -> BlockSeries:
        block = expanded.target.block
        refs = expanded.refs[: query.limit] if query.limit else expanded.refs
        return BlockSeries(
            block.where, expanded.index, block.chunks, block.labels, refs, query, limits, budget, cancel, cuts
        )

    @staticmethod
    def _block_frames(ulid: str, reader: BlockSeries) -> Iterator[SeriesFrame]:
        head = f"receive series from {ulid}: "
        try:
            yield from reader.frames()
        except Exceeded as error:
            raise StatusError(error.code, head + _phase(error) + error.text) from None
        except OverBudget as error:
            raise StatusError("RESOURCE_EXHAUSTED", f"{head}load chunks: allocate chunk bytes: {error}") from None
        except Cancelled:
            raise
        except MissingAggregate as error:
            raise StatusError("UNKNOWN", f"{head}load chunks: {error}") from None
        except AthanorError as error:
            raise StatusError("UNKNOWN", head + str(error)) from None

    def new_limits(self, tenant: str) -> CallLimits:
        """The limiters of one call."""
        options = self._options
        return CallLimits(
            options.max_series,
            options.max_chunks,
            options.max_bytes,
            lambda reason: self._metrics.queries_dropped.of(reason, tenant).inc(),
        )
