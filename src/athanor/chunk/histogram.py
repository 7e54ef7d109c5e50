"""Histogram chunks: the samples of many as one table of native histograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from athanor.chunk.xor import BrokenChunk
from athanor.chunk.xor_kernels import count_samples
from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import I64
from athanor.model.tables import ChunkTable, HistogramLayouts, Histograms

kernels = LazyKernels("athanor.chunk.histogram_kernels")

_HEADER_BYTES = 3
_UNKNOWN_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class HistogramSamples:
    """m chunks: the samples of chunk i are rows offsets[i]:offsets[i+1] of the table, at ts_ms."""

    ts_ms: I64
    offsets: I64
    table: Histograms


def decode_histogram_chunks(chunks: ChunkTable, rows: I64) -> HistogramSamples:
    """Samples of these rows of a table (encodings HISTOGRAM and FLOAT_HISTOGRAM), in the order of ``rows``.

    Hints: gauge, unknown for the first sample of a chunk, not reset for the others; stale samples have an empty layout
    and the marker as their sum. Raises BrokenChunk.
    """
    rows = np.ascontiguousarray(rows, np.int64)
    at, size = np.ascontiguousarray(chunks.at[rows]), np.ascontiguousarray(chunks.size[rows])
    n = rows.size
    counts = np.empty(n, np.int64)
    bad = count_samples(chunks.arena, at, size, counts)
    if bad < 0 and n and int(size.min()) < _HEADER_BYTES:
        bad = int(size.argmin())
    if bad >= 0:
        reason = f"histogram chunk of {int(size[bad])} bytes in an arena of {chunks.arena.size}"
        raise BrokenChunk(bad, 0, reason, _place(rows, at, bad))
    shape = np.zeros(4 * n, np.int64)
    status, bad = kernels.shape(chunks.arena, at, size, shape)
    if status:
        raise _broken(status, bad, _HEADER_BYTES, counts, rows, at, size)
    n_pos, n_neg, n_bounds, n_buckets = shape.reshape(n, 4).sum(axis=0).tolist()
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    total = int(offsets[-1])
    layouts = HistogramLayouts(
        np.zeros(n + 1, np.int32), np.zeros(n + 1), np.zeros(n_pos + n_neg, np.int32), np.zeros(n + 2, np.int64),
        np.zeros(n + 1, np.int64), np.zeros(n_bounds), np.zeros(n + 2, np.int64),
    )  # fmt: skip
    ts_ms = np.empty(total, np.int64)
    table = Histograms(
        layouts, np.zeros(total, np.int32), np.zeros(total, np.uint8), np.zeros(total), np.zeros(total),
        np.zeros(total), np.zeros(total, np.int64), np.empty(n_buckets),
    )  # fmt: skip
    status, bad, byte, used = kernels.decode(
        chunks.arena, at, size, np.ascontiguousarray(chunks.encoding[rows]), offsets, layouts.schema,
        layouts.zero_threshold, layouts.index, layouts.pos_at, layouts.neg_at, layouts.bounds, layouts.bounds_at,
        ts_ms, table.layout, table.hint, table.count, table.sum, table.zero_count, table.bucket_at, table.buckets,
    )  # fmt: skip
    if status:
        raise _broken(status, bad, byte, counts, rows, at, size)
    return HistogramSamples(ts_ms, offsets, _cut(table, used))


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


def _broken(status: int, i: int, byte: int, counts: I64, rows: I64, at: I64, size: I64) -> BrokenChunk:
    what = f"histogram chunk of {int(counts[i])} samples"
    if status == _UNKNOWN_SCHEMA:
        reason = f"{what} has a schema that is not between -9 and 52, nor -53"
    else:
        reason = f"{what} broke at byte {int(byte)} of {int(size[i])}"
    return BrokenChunk(int(i), int(byte), reason, _place(rows, at, int(i)))
