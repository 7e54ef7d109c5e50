"""The merge of blocks that hold the same series, as neighbours in time do: no comparison of labels, row by row.

While the next frames of all blocks begin with byte-identical label sets, each series' chunks are joined block after
block in order of time. From the first difference on the general merge goes on (``storeapi.merge``).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from athanor.model.arrays import I32, U8
from athanor.model.budget import Budget
from athanor.model.tables import ChunkTable, LabelTable
from athanor.storeapi import merge_kernels
from athanor.storeapi.frames import CHUNK_ROW_BYTES, FRAME_BYTES, SeriesFrame
from athanor.storeapi.merge import Batch, FrameSource, merge_streams
from athanor.storeapi.rows import chunk_starts, gather, take_rows


class _Held:
    """A source with what is left of its frame; ``n_bytes`` stay reserved until the whole frame has left."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self.frame: SeriesFrame | None = None
        self.n_bytes = 0

    def fill(self) -> bool:
        """Whether there is a frame."""
        if self.frame is None:
            self.frame = self._source.next_frame()
            self.n_bytes = self.frame.n_bytes if self.frame is not None else 0
        return self.frame is not None

    def next_frame(self) -> SeriesFrame | None:
        """For the general merge: what is left, then the source's own frames."""
        self.fill()
        frame, self.frame = self.frame, None
        return frame


class _MergedFrames:
    """The merged blocks of one label set as a source of the general merge."""

    def __init__(self, batches: Iterator[Batch], budget: Budget) -> None:
        self._batches = batches
        self._budget = budget

    def next_frame(self) -> SeriesFrame | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        frame = SeriesFrame(batch.labels, batch.chunks)
        if frame.n_bytes > batch.held_bytes:
            self._budget.take("merging series of several blocks", frame.n_bytes - batch.held_bytes)
        else:
            self._budget.give(batch.held_bytes - frame.n_bytes)
        return frame


def merge_block_sets(sets: Sequence[Sequence[FrameSource]], budget: Budget) -> Iterator[Batch]:
    """Batches as of ``merge_streams``: the blocks of each set among themselves, then the sets.

    Every source must hold each label set once, in one frame. The caller closes the sources.
    """
    merged = [merge_blocks(sources, budget) for sources in sets]
    try:
        if len(merged) == 1:
            yield from merged[0]
        else:
            yield from merge_streams([_MergedFrames(batches, budget) for batches in merged], budget)
    finally:
        for batches in merged:
            batches.close()


def merge_blocks(sources: Sequence[FrameSource], budget: Budget) -> Generator[Batch, None, None]:
    """The blocks of one set."""
    held = [_Held(source) for source in sources]
    try:
        while len(held) > 1:
            filled = [one.fill() for one in held]
            if not any(filled):
                return
            common = _common_head(held) if all(filled) else None
            if common is None:
                break
            yield from _pieces(common, budget)
            _advance(held, len(common.labels), budget)
        for one in held:
            _reserve_rest(one, budget)
        yield from merge_streams(held, budget)
    finally:
        for one in held:
            if one.frame is not None:
                budget.give(one.n_bytes)


def _reserve_rest(one: _Held, budget: Budget) -> None:
    """The general merge gives back exactly the bytes of the frames that it gets."""
    if one.frame is not None:
        rest = one.frame.n_bytes
        if rest > one.n_bytes:
            budget.take("the rest of a frame", rest - one.n_bytes)
        else:
            budget.give(one.n_bytes - rest)
        one.n_bytes = rest


@dataclass(frozen=True, slots=True)
class _Common:
    """Series that all blocks have, with the chunks of all: ``at`` of chunk row i is a position in arenas[source[i]]."""

    labels: LabelTable
    chunks: ChunkTable
    arenas: list[U8]
    source: I32


def _common_head(held: Sequence[_Held]) -> _Common | None:
    """The rows that all frames have in common at their head; None where the label sets differ or chunks overlap."""
    frames = [one.frame for one in held if one.frame is not None]
    n = min(len(frame) for frame in frames)
    heads = [take_rows(frame.labels, frame.chunks, 0, n) for frame in frames]
    first = heads[0][0]
    if not all(_same_sets(first, labels) for labels, _ in heads[1:]):
        return None
    chunks, arenas, source = _interleaved([chunks for _, chunks in heads])
    columns = (chunks.series, chunks.first_ms, chunks.last_ms, chunks.encoding, chunks.aggregate)
    if merge_kernels.first_overlap(*columns) >= 0:
        return None
    return _Common(first, chunks, arenas, source)


def _pieces(common: _Common, budget: Budget) -> Iterator[Batch]:
    """Batches of one frame's bytes: their chunks are copied together while they are still in the processor's cache."""
    starts = chunk_starts(common.chunks, len(common.labels))
    total = np.zeros(len(common.chunks) + 1, np.int64)
    np.cumsum(common.chunks.size, out=total[1:])
    ends = total[starts]
    first, n = 0, len(common.labels)
    while first < n:
        end = int(np.searchsorted(ends, ends[first] + FRAME_BYTES, side="right")) - 1
        end = min(max(end, first + 1), n)
        labels, chunks = take_rows(common.labels, common.chunks, first, end)
        n_bytes = int(ends[end] - ends[first]) + labels.n_bytes + CHUNK_ROW_BYTES * len(chunks)
        budget.take("merging series of several blocks", n_bytes)
        yield Batch(labels, gather(chunks, common.arenas, common.source[starts[first] : starts[end]]), n_bytes)
        first = end


def _advance(held: Sequence[_Held], n: int, budget: Budget) -> None:
    """The first n rows of every frame have left."""
    for one in held:
        frame = one.frame
        if frame is None or n == len(frame):
            budget.give(one.n_bytes)
            one.frame, one.n_bytes = None, 0
        else:
            one.frame = SeriesFrame(*take_rows(frame.labels, frame.chunks, n, len(frame)))


def _same_sets(a: LabelTable, b: LabelTable) -> bool:
    low_a, low_b = a.offsets[0], b.offsets[0]
    return bool(
        a.offsets[-1] - low_a == b.offsets[-1] - low_b
        and np.array_equal(a.offsets - low_a, b.offsets - low_b)
        and np.array_equal(a.arena[low_a : a.offsets[-1]], b.arena[low_b : b.offsets[-1]])
    )


def _interleaved(tables: Sequence[ChunkTable]) -> tuple[ChunkTable, list[U8], I32]:
    """Chunk rows by series, and of one series by table in order of its first chunk; the arenas and each row's one."""
    ordered = sorted(tables, key=lambda chunks: int(chunks.first_ms[0]) if len(chunks) else 0)
    source = np.repeat(np.arange(len(ordered), dtype=np.int32), [len(chunks) for chunks in ordered])
    owner = np.concatenate([chunks.series for chunks in ordered])
    order = np.argsort(owner, kind="stable")
    joined = ChunkTable(
        owner[order],
        np.concatenate([chunks.first_ms for chunks in ordered])[order],
        np.concatenate([chunks.last_ms for chunks in ordered])[order],
        np.concatenate([chunks.encoding for chunks in ordered])[order],
        np.concatenate([chunks.aggregate for chunks in ordered])[order],
        np.concatenate([chunks.hash for chunks in ordered])[order],
        np.concatenate([chunks.at for chunks in ordered])[order],
        np.concatenate([chunks.size for chunks in ordered])[order],
        np.empty(0, np.uint8),
    )
    return joined, [chunks.arena for chunks in ordered], source[order]
