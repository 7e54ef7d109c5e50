"""Series with native histograms from chunks to samples: floats and histograms decoded apart, read as one sequence.

Series without a histogram chunk go the way of floats (`dedup`); the others are joined, or deduplicated by time, as
numbers of samples, because replicas are chosen by time alone.
compat: counters among the floats of such a series lose their resets after replicas were chosen, not before.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from athanor.chunk.histogram import decode_histogram_chunks
from athanor.chunk.xor import decode_chunks
from athanor.model.arrays import B1, F64, I64, U8
from athanor.model.tables import (
    ENCODING_FLOAT_HISTOGRAM,
    ENCODING_HISTOGRAM,
    FLOAT,
    HISTOGRAM,
    ChunkTable,
    Samples,
)
from athanor.model.workspace import Workspace
from athanor.query import dedup_kernels as kernels
from athanor.query.dedup import Reading, join_or_fold, read_floats


def has_histograms(chunks: ChunkTable, starts: I64) -> bool:
    """Whether any of these series has a histogram chunk."""
    encoding = chunks.encoding[int(starts[0]) : int(starts[-1])]
    return bool(_is_histogram(encoding).any())


def _is_histogram(encoding: U8) -> B1:
    mask: B1 = (encoding == ENCODING_HISTOGRAM) | (encoding == ENCODING_FLOAT_HISTOGRAM)
    return mask


def read_mixed(chunks: ChunkTable, starts: I64, reading: Reading, workspace: Workspace) -> Samples:
    """As `dedup.read_series`, for series of which some have histogram chunks; the arrays are new ones."""
    first, end = int(starts[0]), int(starts[-1])
    native_before = np.concatenate((np.zeros(1, np.int64), np.cumsum(_is_histogram(chunks.encoding[first:end]))))
    native = np.diff(native_before[starts - first]) > 0
    float_rows, float_starts = _rows_of(starts, ~native)
    native_rows, native_starts = _rows_of(starts, native)
    native_samples = _read_native(chunks, native_rows, native_starts, reading, workspace)
    if not float_starts.size - 1:
        return native_samples
    floats = read_floats(chunks, float_rows, float_starts, reading, workspace)
    return _interleaved(native, floats, native_samples)


def _rows_of(starts: I64, wanted: B1) -> tuple[I64, I64]:
    """The chunk rows of the wanted series, and where each series' begin among them."""
    counts = np.diff(starts)[wanted]
    local = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=local[1:])
    return np.repeat(starts[:-1][wanted] - local[:-1], counts) + np.arange(local[-1]), local


def _read_native(chunks: ChunkTable, rows: I64, starts: I64, reading: Reading, workspace: Workspace) -> Samples:
    is_histogram = _is_histogram(chunks.encoding[rows])
    decoded = decode_histogram_chunks(chunks, rows[is_histogram])
    floats = decode_chunks(chunks, rows[~is_histogram], workspace)
    counts = np.empty(rows.size, np.int64)
    counts[is_histogram], counts[~is_histogram] = np.diff(decoded.offsets), np.diff(floats.offsets)
    offsets = np.zeros(rows.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    kind: U8 = np.repeat(np.where(is_histogram, np.uint8(HISTOGRAM), np.uint8(FLOAT)), counts)
    ts, values = np.empty(kind.size, np.int64), np.empty(kind.size)
    of_histograms = kind == HISTOGRAM
    ts[of_histograms], ts[~of_histograms] = decoded.ts_ms, floats.ts_ms
    values[of_histograms] = np.arange(decoded.ts_ms.size)
    values[~of_histograms] = floats.values
    numbered = Samples(ts, np.arange(kind.size, dtype=np.float64), offsets)
    raw = replace(reading, is_counter=False)
    chosen = join_or_fold(numbered, starts, chunks.first_ms[rows], chunks.last_ms[rows], raw, workspace)
    number = chosen.values.astype(np.int64)
    result = Samples(chosen.ts_ms.copy(), values[number], chosen.offsets.copy(), kind[number], decoded.table)
    if not reading.is_counter:
        return result
    assert result.kind is not None
    keep = np.ones(number.size, np.bool_)
    kernels.remove_float_resets(result.kind, result.values, result.offsets, keep)
    return result if keep.all() else _where(result, keep)


def _where(samples: Samples, keep: B1) -> Samples:
    assert samples.kind is not None
    before = np.zeros(keep.size + 1, np.int64)
    np.cumsum(keep, out=before[1:])
    return Samples(
        samples.ts_ms[keep], samples.values[keep], before[samples.offsets], samples.kind[keep], samples.histograms
    )


def _interleaved(native: B1, floats: Samples, natives: Samples) -> Samples:
    """The series of both in their order."""
    assert natives.kind is not None
    n_floats = int(floats.offsets[-1])
    first = np.empty(native.size, np.int64)
    counts = np.empty(native.size, np.int64)
    first[~native], counts[~native] = floats.offsets[:-1], np.diff(floats.offsets)
    first[native], counts[native] = natives.offsets[:-1] + n_floats, np.diff(natives.offsets)
    offsets = np.zeros(native.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    source = np.repeat(first - offsets[:-1], counts) + np.arange(offsets[-1])
    ts = np.concatenate((floats.ts_ms[:n_floats], natives.ts_ms))
    values: F64 = np.concatenate((floats.values[:n_floats], natives.values))
    kind: U8 = np.concatenate((np.full(n_floats, FLOAT, np.uint8), natives.kind))
    return Samples(ts[source], values[source], offsets, kind[source], natives.histograms)
