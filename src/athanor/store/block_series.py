"""The series of one block as frames in label order, read batch by batch.

References ascend in the order of the stored labels. Overlaying external labels moves a set only behind those that it is
the beginning of; such runs are found and sorted as batches arrive. Only where stored labels are replaced or left out
are the labels of all series read and sorted before the first chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from athanor.block.series import ALL_MS, SeriesEntries
from athanor.kernel.labels import compare
from athanor.model.arrays import I64, U32
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.tables import LabelTable
from athanor.store.blockset import LabelPairs
from athanor.store.chunk_reader import ChunkReader
from athanor.store.index_reader import IndexReader
from athanor.store.label_overlay import LabelOverlay
from athanor.store.labelled import (
    FAR_BYTES,
    KEPT_SERIES,
    KeptSeries,
    LabelledSeries,
    data_ends,
    in_label_order,
    reordered,
)
from athanor.store.request_limits import CallLimits
from athanor.storeapi.frames import SeriesFrame, empty_chunks
from athanor.storeapi.shards import Shard, matching_rows

BATCH_SERIES = 8192
FRAME_BYTES = 1024 * 1024
"""Chunk data that is read for one frame, by the distance of references."""


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
        external: LabelPairs,
        refs: U32,
        query: SeriesQuery,
        limits: CallLimits,
        budget: Budget,
        cancel: CancelToken,
        cuts: FrameCuts,
    ) -> None:
        """external: the labels of the block; refs: the series that are wanted, ascending."""
        self._cuts = cuts
        self._where = where
        self._index, self._chunks, self._refs = index, chunks, refs
        self._query, self._limits, self._budget, self._cancel = query, limits, budget, cancel
        self._kept = index.kept_series(refs, query.without) if refs.size <= KEPT_SERIES else None
        self._overlay: LabelOverlay | None = None
        if self._kept is None:
            self._overlay = LabelOverlay(index.header, external, query.without)
            self.keeps_order = self._overlay.keeps_order
            """See ``LabelOverlay``."""
        else:
            self.keeps_order = self._kept.keeps_order

    def frames(self) -> Iterator[SeriesFrame]:
        """Not empty ones; ``n_bytes`` of each are reserved in the budget and go to whoever takes the frame."""
        for number, batch in enumerate(self._few() if self._refs.size <= KEPT_SERIES else self._ordered()):
            try:
                first = 0
                for end in self._frame_ends(number, batch):
                    self._cancel.check()
                    yield self._frame(batch, first, end)
                    first = end
            finally:
                self._budget.give(batch.n_bytes)

    def _frame_ends(self, number: int, batch: LabelledSeries) -> list[int]:
        if self._query.skip_chunks or batch.ref.size * FAR_BYTES <= FRAME_BYTES:
            return [len(batch)]
        return self._cuts.of(number, data_ends(batch))

    def _frame(self, batch: LabelledSeries, first: int, end: int) -> SeriesFrame:
        labels = batch.labels
        if end - first < len(batch):
            offsets = labels.offsets[first : end + 1]
            labels = LabelTable(labels.arena[offsets[0] : offsets[-1]], offsets - offsets[0])
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

    def _few(self) -> Iterator[LabelledSeries]:
        """The same of few series, which are kept with all their chunks: the next request has another span."""
        kept = self._kept
        if kept is None:
            whole = in_label_order([self._select(self._index.series(self._refs, ALL_MS, self._limits))])
            kept = KeptSeries(whole, self.keeps_order)
            self._index.keep_series(self._refs, self._query.without, kept)
        batch = self._of_shard(kept.series.within(self._query.first_ms, self._query.last_ms))
        if len(batch):
            self._budget.take(f"labels of {self._where}", batch.n_bytes)
            yield batch

    def _ordered(self) -> Iterator[LabelledSeries]:
        """Batches in label order, each reserved in the budget."""
        waiting: LabelledSeries | None = None
        everything: list[LabelledSeries] = []
        for batch in self._labelled(self._refs):
            self._budget.take(f"labels of {self._where}", batch.n_bytes)
            if not self.keeps_order:
                everything.append(batch)
                continue
            fresh = in_label_order([batch])
            if waiting is None:
                waiting = fresh
            elif compare(waiting.labels, len(waiting) - 1, fresh.labels, 0) > 0:
                waiting = in_label_order([waiting, fresh])  # keeps the bytes of both reserved: they have the same sum
            else:
                yield waiting
                waiting = fresh
        if everything:
            yield in_label_order(everything)
        elif waiting is not None:
            yield waiting

    def _labelled(self, refs: U32) -> Iterator[LabelledSeries]:
        for first in range(0, refs.size, BATCH_SERIES):
            self._cancel.check()
            span_ms = (self._query.first_ms, self._query.last_ms)
            batch = self._of_shard(
                self._select(self._index.series(refs[first : first + BATCH_SERIES], span_ms, self._limits))
            )
            if len(batch):
                yield batch

    def _select(self, entries: SeriesEntries) -> LabelledSeries:
        """Series that have a chunk."""
        assert self._overlay is not None
        labels = self._overlay.labels(entries, self._where)
        return LabelledSeries(
            labels, entries.chunk_at, entries.first_ms, entries.last_ms, entries.refs
        ).with_chunks()

    def _of_shard(self, batch: LabelledSeries) -> LabelledSeries:
        shard = self._query.shard
        return batch if shard is None else reordered(batch, matching_rows(batch.labels, shard))
