"""Rows of series tables: cut, take, reorder, join; chunk data is copied only where several arenas become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from athanor.kernel.labels import concat, sort_order, take
from athanor.model.arrays import I32, I64, U8
from athanor.model.errors import DataError
from athanor.model.tables import ChunkTable, LabelTable
from athanor.storeapi import write_kernels as kernels
from athanor.storeapi.frames import SeriesFrame


def take_rows(labels: LabelTable, chunks: ChunkTable, first: int, end: int) -> tuple[LabelTable, ChunkTable]:
    """The series [first, end) as views; only the chunk rows' owners are new."""
    low, high = np.searchsorted(chunks.series, (first, end)).tolist()
    cut = ChunkTable(
        chunks.series[low:high] - np.int32(first) if first else chunks.series[low:high],
        chunks.first_ms[low:high], chunks.last_ms[low:high], chunks.encoding[low:high], chunks.aggregate[low:high],
        chunks.hash[low:high], chunks.at[low:high], chunks.size[low:high], chunks.arena,
    )  # fmt: skip
    return LabelTable(labels.arena, labels.offsets[first : end + 1]), cut


def take_chunks(chunks: ChunkTable, rows: I64, series: I32) -> ChunkTable:
    """These chunk rows in this order, given new owners."""
    return ChunkTable(
        series, chunks.first_ms[rows], chunks.last_ms[rows], chunks.encoding[rows], chunks.aggregate[rows],
        chunks.hash[rows], chunks.at[rows], chunks.size[rows], chunks.arena,
    )  # fmt: skip


def gather(chunks: ChunkTable, arenas: Sequence[U8], source: I32) -> ChunkTable:
    """A table of one arena from spans in several: ``at`` of row i is a position in ``arenas[source[i]]``.

    One copy of the chunk data; raises DataError where a span does not lie inside its arena.
    """
    ends = np.cumsum(chunks.size)
    target = ends - chunks.size
    out = np.empty(int(ends[-1]) if ends.size else 0, np.uint8)
    for which, arena in enumerate(arenas):
        wrong = kernels.gather_spans(arena, which, source, chunks.at, chunks.size, target, out)
        if wrong >= 0:
            raise DataError(
                f"chunk row {wrong}: {chunks.size[wrong]} bytes at {chunks.at[wrong]} run past {arena.size} bytes read"
            )
    return replace(chunks, at=target, arena=out)


def chunk_starts(chunks: ChunkTable, n_series: int) -> I64:
    """int64[n+1]: the first chunk row of each series."""
    return np.searchsorted(chunks.series, np.arange(n_series + 1)).astype(np.int64, copy=False)


def samples_in_headers(chunks: ChunkTable) -> int:
    """How many samples the chunks say that they hold: the first two bytes of every encoding."""
    at = chunks.at[(chunks.size >= 2) & (chunks.at >= 0) & (chunks.at < chunks.arena.size - 1)]
    return int(chunks.arena[at].sum(dtype=np.int64)) * 256 + int(chunks.arena[at + 1].sum(dtype=np.int64))


def reorder(labels: LabelTable, chunks: ChunkTable, rows: I64) -> tuple[LabelTable, ChunkTable]:
    """These series rows in this order with their chunks; the arena stays."""
    starts = chunk_starts(chunks, len(labels))
    counts = (starts[1:] - starts[:-1])[rows]
    ends = np.cumsum(counts)
    owner = np.repeat(np.arange(rows.size, dtype=np.int32), counts)
    inside = np.arange(owner.size) - np.repeat(ends - counts, counts)
    return take(labels, rows), take_chunks(chunks, np.repeat(starts[:-1][rows], counts) + inside, owner)


def data_span(chunks: ChunkTable, low: int, high: int) -> tuple[int, int]:
    """The part of the arena that holds the data of the chunk rows [low, high)."""
    if low == high:
        return 0, 0
    at = chunks.at[low:high]
    return int(at.min()), int((at + chunks.size[low:high]).max())


def join(tables: Sequence[tuple[LabelTable, ChunkTable]]) -> tuple[LabelTable, ChunkTable, list[int]]:
    """The series of all tables one after the other in one arena, and where each table's rows begin, and the end."""
    starts, arena_at = [0], 0
    arenas: list[U8] = []
    ats: list[I64] = []
    owners: list[I32] = []
    for labels, chunks in tables:
        first, end = data_span(chunks, 0, len(chunks))
        arenas.append(chunks.arena[first:end])
        ats.append(chunks.at + (arena_at - first))
        owners.append(chunks.series + np.int32(starts[-1]))
        arena_at += end - first
        starts.append(starts[-1] + len(labels))
    columns = [chunks for _, chunks in tables]
    joined = ChunkTable(
        np.concatenate(owners),
        np.concatenate([c.first_ms for c in columns]),
        np.concatenate([c.last_ms for c in columns]),
        np.concatenate([c.encoding for c in columns]),
        np.concatenate([c.aggregate for c in columns]),
        np.concatenate([c.hash for c in columns]),
        np.concatenate(ats),
        np.concatenate([c.size for c in columns]),
        np.concatenate(arenas),
    )
    return concat([labels for labels, _ in tables]), joined, starts


def sorted_frames(frames: Sequence[SeriesFrame]) -> SeriesFrame:
    """All series of these frames in label order; equal sets stay apart, in their order of arrival."""
    if len(frames) == 1:
        labels, chunks = frames[0].labels, frames[0].chunks
    else:
        labels, chunks, _ = join([(frame.labels, frame.chunks) for frame in frames])
    return SeriesFrame(*reorder(labels, chunks, sort_order(labels)))
