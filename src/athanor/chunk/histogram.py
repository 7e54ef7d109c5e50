"""Histogram chunks: the samples of many as one table of native histograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from athanor.chunk.xor import BrokenChunk
from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import I64, U8
from athanor.model.tables import ENCODING_HISTOGRAM_ST, ChunkTable, HistogramLayouts, Histograms

kernels = LazyKernels("athanor.chunk.histogram_kernels")

HEADER_BYTES = 3
_UNKNOWN_SCHEMA = 2
_SHAPE_FIELDS = 6


@dataclass(frozen=True, slots=True)
class HistogramSamples:
    """m chunks: the samples of chunk i are rows offsets[i]:offsets[i+1] of the table, at ts_ms.

    start_ms: when the sample's counter began (0 unknown), or None where no sample tells.
    """

    ts_ms: I64
    offsets: I64
    table: Histograms
    start_ms: I64 | None = None


@dataclass(frozen=True, slots=True)
class HistogramShapes:
    """What m chunks say of themselves before they are decoded: int64[m] each, all 0 where a chunk is broken.

    positive, negative, bounds: of the layout; buckets: at most this many counts of all samples together; status: not 0
    where the chunk is broken.
    """

    positive: I64
    negative: I64
    bounds: I64
    buckets: I64
    samples: I64
    status: I64


def histogram_shapes(chunks: ChunkTable, rows: I64) -> HistogramShapes:
    """Of these rows of a table, all of them histogram chunks. Raises BrokenChunk only for what is no chunk at all."""
    at, size, encoding = _columns(chunks, rows)
    outside = np.flatnonzero((size < HEADER_BYTES) | (at < 0) | (at > chunks.arena.size - size))
    if outside.size:
        bad = int(outside[0])
        reason = f"histogram chunk of {int(size[bad])} bytes in an arena of {chunks.arena.size}"
        raise BrokenChunk(bad, 0, reason, _place(rows, at, bad))
    shape = np.zeros(_SHAPE_FIELDS * rows.size, np.int64)
    kernels.shape(chunks.arena, at, size, encoding, shape)
    return HistogramShapes(*np.ascontiguousarray(shape.reshape(rows.size, _SHAPE_FIELDS).T))


def decode_histogram_chunks(chunks: ChunkTable, rows: I64) -> HistogramSamples:
    """Samples of these rows of a table (HISTOGRAM_ENCODINGS), in the order of ``rows``.

    Hints: gauge, unknown for the first sample of a chunk, not reset for the others; stale samples have an empty layout
    and the marker as their sum. Raises BrokenChunk.
    """
    rows = np.ascontiguousarray(rows, np.int64)
    shapes = histogram_shapes(chunks, rows)
    at, size, encoding = _columns(chunks, rows)
    counts, n = shapes.samples, rows.size
    broken = np.flatnonzero(shapes.status)
    if broken.size:
        bad = int(broken[0])
        raise _broken(int(shapes.status[bad]), bad, HEADER_BYTES, rows, at, size)
    n_index, n_bounds = int((shapes.positive + shapes.negative).sum()), int(shapes.bounds.sum())
    n_buckets = int(shapes.buckets.sum())
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    total = int(offsets[-1])
    layouts = HistogramLayouts(
        np.zeros(n + 1, np.int32), np.zeros(n + 1), np.zeros(n_index, np.int32), np.zeros(n + 2, np.int64),
        np.zeros(n + 1, np.int64), np.zeros(n_bounds), np.zeros(n + 2, np.int64),
    )  # fmt: skip
    ts_ms = np.empty(total, np.int64)
    start_ms = np.zeros(total if (encoding >= ENCODING_HISTOGRAM_ST).any() else 0, np.int64)
    table = Histograms(
        layouts, np.zeros(total, np.int32), np.zeros(total, np.uint8), np.zeros(total), np.zeros(total),
        np.zeros(total), np.zeros(total, np.int64), np.empty(n_buckets),
    )  # fmt: skip
    status, bad, byte, used = kernels.decode(
        chunks.arena, at, size, encoding, offsets, layouts.schema,
        layouts.zero_threshold, layouts.index, layouts.pos_at, layouts.neg_at, layouts.bounds, layouts.bounds_at,
        ts_ms, table.layout, table.hint, table.count, table.sum, table.zero_count, table.bucket_at, table.buckets,
        start_ms,
    )  # fmt: skip
    if status:
        raise _broken(status, bad, byte, rows, at, size)
    return HistogramSamples(ts_ms, offsets, _cut(table, used), start_ms if start_ms.any() else None)


def _columns(chunks: ChunkTable, rows: I64) -> tuple[I64, I64, U8]:
    """at, size, encoding."""
    return (
        np.ascontiguousarray(chunks.at[rows]),
        np.ascontiguousarray(chunks.size[rows]),
        np.ascontiguousarray(chunks.encoding[rows]),
    )


def _cut(table: Histograms, n_buckets: int) -> Histograms:
    """Without the room that was not used."""
    a = table.layouts
    layouts = HistogramLayouts(
        a.schema, a.zero_threshold, a.index[: int(a.pos_at[-1])], a.pos_at, a.neg_at, a.bounds, a.bounds_at
    )
    return Histograms(
        layouts, table.layout, table.hint, table.count, table.sum, table.zero_count, table.bucket_at,
        table.buckets[:n_buckets],
    )  # fmt: skip


def _place(rows: I64, at: I64, i: int) -> str:
    return f"chunk {int(rows[i])} at byte {int(at[i])}"


def _broken(status: int, i: int, byte: int, rows: I64, at: I64, size: I64) -> BrokenChunk:
    if status == _UNKNOWN_SCHEMA:
        reason = "histogram chunk has a schema that is not between -9 and 52, nor -53"
    else:
        reason = f"histogram chunk broke at byte {int(byte)} of {int(size[i])}"
    return BrokenChunk(int(i), int(byte), reason, _place(rows, at, int(i)))
