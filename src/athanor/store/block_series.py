"""The series of one block as frames in label order, read batch by batch.

References ascend in the order of the stored labels. Overlaying external labels moves a set only behind those that it is
the beginning of; such runs are found and sorted as batches arrive. Only where stored labels are replaced or left out
are the labels of all series read and sorted before the first chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from athanor.block.series import SeriesEntries
from athanor.kernel.labels import compare, concat, sort_order, take
from athanor.model.arrays import I64, U32
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.tables import LabelTable
from athanor.store.chunk_reader import ChunkReader
from athanor.store.index_reader import IndexReader
from athanor.store.label_overlay import LabelOverlay
from athanor.store.request_limits import CallLimits
from athanor.storeapi.frames import SeriesFrame, empty_chunks
from athanor.storeapi.shards import Shard, matching_rows

BATCH_SERIES = 8192
FRAME_BYTES = 1024 * 1024
"""Chunk data that is read for one frame, by the distance of references."""
FAR_BYTES = 64 * 1024
TYPICAL_CHUNK_BYTES = 512


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """What a request wants of each block."""

    first_ms: int
    last_ms: int
    aggregates: frozenset[int] = frozenset()
    skip_chunks: bool = False
    without: tuple[str, ...] = ()
    shard: Shard | None = None
    limit: int = 0


@dataclass(frozen=True, slots=True)
class _Labelled:
    """Series in range with their chunks not yet read; chunk columns as in SeriesEntries."""

    labels: LabelTable
    chunk_at: I64
    first_ms: I64
    last_ms: I64
    ref: I64

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_bytes(self) -> int:
        return self.labels.n_bytes + self.chunk_at.nbytes + 3 * self.ref.nbytes


class FrameCuts:
    """Where the blocks of one call cut their series into frames: at the same rows where blocks hold as many series, as
    neighbours in time do. Their merge then takes whole frames (``align``)."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], list[int]] = {}

    def of(self, batch_number: int, ends: I64) -> list[int]:
        """Rows where frames end. ends: int64[n+1], the bytes of chunk data before each series of the batch, and of
        all."""
        key = batch_number, ends.size
        known = self._known.get(key)
        if known is None or np.diff(ends[known], prepend=0).max() > 2 * FRAME_BYTES:
            known = _frame_ends(ends)
            self._known.setdefault(key, known)
        return known


def _frame_ends(ends: I64) -> list[int]:
    n, found = ends.size - 1, [0]
    while found[-1] < n:
        end = int(np.searchsorted(ends, ends[found[-1]] + FRAME_BYTES, side="right")) - 1
        found.append(min(max(end, found[-1] + 1), n))
    return found[1:]


class BlockSeries:
    """Reads one block for one request."""

    def __init__(
        self,
        where: str,
        index: IndexReader,
        chunks: ChunkReader,
        overlay: LabelOverlay,
        query: SeriesQuery,
        limits: CallLimits,
        budget: Budget,
        cancel: CancelToken,
        cuts: FrameCuts,
    ) -> None:
        self._cuts = cuts
        self._where = where
        self._index, self._chunks, self._overlay = index, chunks, overlay
        self._query, self._limits, self._budget, self._cancel = query, limits, budget, cancel

    def frames(self, refs: U32) -> Iterator[SeriesFrame]:
        """Not empty ones; ``n_bytes`` of each are reserved in the budget and go to whoever takes the frame."""
        for number, batch in enumerate(self._ordered(refs)):
            try:
                first = 0
                for end in self._frame_ends(number, batch):
                    self._cancel.check()
                    yield self._frame(batch, first, end)
                    first = end
            finally:
                self._budget.give(batch.n_bytes)

    def _frame_ends(self, number: int, batch: _Labelled) -> list[int]:
        if self._query.skip_chunks or batch.ref.size * FAR_BYTES <= FRAME_BYTES:
            return [len(batch)]
        return self._cuts.of(number, _data_ends(batch))

    def _frame(self, batch: _Labelled, first: int, end: int) -> SeriesFrame:
        offsets = batch.labels.offsets[first : end + 1]
        labels = LabelTable(batch.labels.arena[offsets[0] : offsets[-1]], offsets - offsets[0])
        low, high = int(batch.chunk_at[first]), int(batch.chunk_at[end])
        if self._query.skip_chunks:
            chunks = empty_chunks()
        else:
            self._limits.chunks(high - low)
            owner = np.repeat(np.arange(end - first, dtype=np.int32), np.diff(batch.chunk_at[first : end + 1]))
            columns = (batch.first_ms[low:high], batch.last_ms[low:high], batch.ref[low:high])
            chunks = self._chunks.read(owner, *columns, self._query.aggregates, self._limits)
        frame = SeriesFrame(labels, chunks)
        self._budget.take(f"series of {self._where}", frame.n_bytes)
        return frame

    def _ordered(self, refs: U32) -> Iterator[_Labelled]:
        """Batches in label order, each reserved in the budget."""
        waiting: _Labelled | None = None
        everything: list[_Labelled] = []
        for batch in self._labelled(refs):
            self._budget.take(f"labels of {self._where}", batch.n_bytes)
            if not self._overlay.keeps_order:
                everything.append(batch)
                continue
            fresh = _sorted([batch])
            if waiting is None:
                waiting = fresh
            elif compare(waiting.labels, len(waiting) - 1, fresh.labels, 0) > 0:
                waiting = _sorted([waiting, fresh])  # keeps the bytes of both reserved: they have the same sum
            else:
                yield waiting
                waiting = fresh
        if everything:
            yield _sorted(everything)
        elif waiting is not None:
            yield waiting

    def _labelled(self, refs: U32) -> Iterator[_Labelled]:
        for first in range(0, refs.size, BATCH_SERIES):
            self._cancel.check()
            span_ms = (self._query.first_ms, self._query.last_ms)
            batch = self._select(self._index.series(refs[first : first + BATCH_SERIES], span_ms, self._limits))
            if len(batch):
                yield batch

    def _select(self, entries: SeriesEntries) -> _Labelled:
        """Series that have a chunk in the range and belong to the shard."""
        labels = self._overlay.labels(entries, self._where)
        rows = np.flatnonzero(np.diff(entries.chunk_at))
        chunk_at = entries.chunk_at
        if rows.size < len(entries):
            labels = take(labels, rows)
            chunk_at = np.append(chunk_at[rows], chunk_at[-1])
        batch = _Labelled(labels, chunk_at, entries.first_ms, entries.last_ms, entries.refs)
        if self._query.shard is not None:
            batch = _reordered(batch, matching_rows(labels, self._query.shard))
        return batch


def _sorted(batches: Sequence[_Labelled]) -> _Labelled:
    joined = batches[0] if len(batches) == 1 else _joined(batches)
    order = sort_order(joined.labels)
    if (order[1:] > order[:-1]).all():
        return joined
    return _reordered(joined, order)


def _joined(batches: Sequence[_Labelled]) -> _Labelled:
    counts = np.concatenate([np.diff(batch.chunk_at) for batch in batches])
    chunk_at = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=chunk_at[1:])
    return _Labelled(
        concat([batch.labels for batch in batches]),
        chunk_at,
        np.concatenate([batch.first_ms for batch in batches]),
        np.concatenate([batch.last_ms for batch in batches]),
        np.concatenate([batch.ref for batch in batches]),
    )


def _reordered(batch: _Labelled, rows: I64) -> _Labelled:
    counts = np.diff(batch.chunk_at)[rows]
    chunk_at = np.zeros(rows.size + 1, np.int64)
    np.cumsum(counts, out=chunk_at[1:])
    chunks = np.repeat(batch.chunk_at[rows] - chunk_at[:-1], counts) + np.arange(chunk_at[-1])
    return _Labelled(
        take(batch.labels, rows), chunk_at, batch.first_ms[chunks], batch.last_ms[chunks], batch.ref[chunks]
    )


def _data_ends(batch: _Labelled) -> I64:
    """Bytes of chunk data before each series, and of all: by the distance of references, as sizes are not known yet."""
    distance = np.diff(batch.ref, append=0)
    guess = np.where((distance > 0) & (distance < FAR_BYTES), distance, TYPICAL_CHUNK_BYTES)
    total = np.zeros(guess.size + 1, np.int64)
    np.cumsum(guess, out=total[1:])
    return total[batch.chunk_at]
