"""Series with native histograms from chunks to samples: floats and histograms decoded apart, read as one sequence.

Series without a histogram chunk go the way of floats (`dedup`). Of the others replicas are chosen by time alone, so
numbers of samples take the place of values; where floats among them are read as a counter, their values stay, and
tagged NaN take the place of histograms, which keep their resets.
"""

from __future__ import annotations

import numpy as np

from athanor.chunk.histogram import HEADER_BYTES, decode_histogram_chunks, histogram_shapes
from athanor.chunk.xor import decode_chunks
from athanor.model.arrays import B1, F64, I64, U8
from athanor.model.tables import (
    COUNTER,
    FLOAT,
    HISTOGRAM,
    HISTOGRAM_ENCODINGS,
    ChunkTable,
    Samples,
)
from athanor.model.workspace import Workspace
from athanor.query import dedup_kernels as kernels
from athanor.query.dedup import Reading, join_or_fold, read_floats

# What a histogram takes while it is read: its row and its place in the sequences, its buckets, and of a float.
_ROW_BYTES, _BUCKET_BYTES, _FLOAT_BYTES = 120, 8, 16
_HISTOGRAM = np.zeros(256, np.bool_)
_HISTOGRAM[list(HISTOGRAM_ENCODINGS)] = True


def has_histograms(chunks: ChunkTable, starts: I64) -> bool:
    """Whether any of these series has a histogram chunk."""
    encoding = chunks.encoding[int(starts[0]) : int(starts[-1])]
    return bool(_is_histogram(encoding).any())


def _is_histogram(encoding: U8) -> B1:
    mask: B1 = _HISTOGRAM[encoding]
    return mask


def weigh_histograms(chunks: ChunkTable, n_samples: I64) -> None:
    """Replace the sample counts of histogram chunks by the number of floats that would take as much memory.

    A chunk that is broken weighs nothing: reading it will say so.
    """
    rows = np.flatnonzero(_is_histogram(chunks.encoding) & (chunks.size >= HEADER_BYTES))
    if rows.size:
        shapes = histogram_shapes(chunks, rows)
        n_samples[rows] = (shapes.samples * _ROW_BYTES + shapes.buckets * _BUCKET_BYTES) // _FLOAT_BYTES + 1


def read_mixed(chunks: ChunkTable, starts: I64, reading: Reading, workspace: Workspace) -> Samples:
    """As `dedup.read_series`, for series of which some have histogram chunks; the arrays are new ones."""
    first, end = int(starts[0]), int(starts[-1])
    native_before = np.concatenate((np.zeros(1, np.int64), np.cumsum(_is_histogram(chunks.encoding[first:end]))))
    native = np.diff(native_before[starts - first]) > 0
    float_rows, float_starts = _rows_of(starts, ~native)
    native_rows, native_starts = _rows_of(starts, native)
    native_samples = read_rows(chunks, native_rows, native_starts, reading, workspace)
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


def read_rows(chunks: ChunkTable, rows: I64, starts: I64, reading: Reading, workspace: Workspace) -> Samples:
    """Series of these chunk rows, of floats and histograms; starts: the first of them of each series."""
    decoded = decode_rows(chunks, rows, workspace)
    doubled = bool((chunks.aggregate[rows] == COUNTER).any())
    return fold(decoded, starts, chunks.first_ms[rows], chunks.last_ms[rows], reading, workspace, is_plain=not doubled)


def decode_rows(chunks: ChunkTable, rows: I64, workspace: Workspace) -> Samples:
    """Samples of chunks of either kind, one "series" a chunk; with no histogram chunk the workspace's."""
    is_histogram = _is_histogram(chunks.encoding[rows])
    if not is_histogram.any():
        return decode_chunks(chunks, rows, workspace)
    decoded = decode_histogram_chunks(chunks, rows[is_histogram])
    floats = decode_chunks(chunks, rows[~is_histogram], workspace)
    counts = np.empty(rows.size, np.int64)
    counts[is_histogram], counts[~is_histogram] = np.diff(decoded.offsets), np.diff(floats.offsets)
    offsets = np.zeros(rows.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    kind: U8 = np.repeat(np.where(is_histogram, np.uint8(HISTOGRAM), np.uint8(FLOAT)), counts)
    ts, values = np.empty(kind.size, np.int64), np.empty(kind.size)
    native = kind == HISTOGRAM
    ts[native], ts[~native] = decoded.ts_ms, floats.ts_ms
    values[native] = np.arange(decoded.ts_ms.size)
    values[~native] = floats.values
    start_ms = None
    if decoded.start_ms is not None:
        start_ms = np.zeros(kind.size, np.int64)
        start_ms[native] = decoded.start_ms
    return Samples(ts, values, offsets, kind, decoded.table, start_ms)


def fold(
    decoded: Samples,
    starts: I64,
    first_ms: I64,
    last_ms: I64,
    reading: Reading,
    workspace: Workspace,
    *,
    is_plain: bool = True,
) -> Samples:
    """One sequence of each series from those of its chunks; new arrays where there are histograms."""
    kind, mode = decoded.kind, reading.mode
    if kind is None:
        return join_or_fold(decoded, starts, first_ms, last_ms, reading, workspace, mode=mode, is_plain=is_plain)
    native = kind == HISTOGRAM
    if not mode or native.all():
        numbered = Samples(decoded.ts_ms, np.arange(kind.size, dtype=np.float64), decoded.offsets)
        chosen = join_or_fold(numbered, starts, first_ms, last_ms, reading, workspace, mode=0, is_plain=is_plain)
        number = chosen.values.astype(np.int64)
        start_ms = None if decoded.start_ms is None else decoded.start_ms[number]
        ts, offsets = chosen.ts_ms.copy(), chosen.offsets.copy()
        return Samples(ts, decoded.values[number], offsets, kind[number], decoded.histograms, start_ms)
    # No float may look like a tag, so that every NaN among them becomes the ordinary one; none of them is kept anyway.
    values = np.where(np.isnan(decoded.values), np.nan, decoded.values)
    values.view(np.uint64)[native] = kernels.HISTOGRAM_TAG | decoded.values[native].astype(np.uint64)
    tagged = Samples(decoded.ts_ms, values, decoded.offsets)
    mode |= kernels.HAS_HISTOGRAMS
    chosen = join_or_fold(tagged, starts, first_ms, last_ms, reading, workspace, mode=mode, is_plain=False)
    bits = chosen.values.view(np.uint64)
    kept = (bits & kernels.TAG_MASK) == kernels.HISTOGRAM_TAG
    values = np.where(kept, (bits & ~kernels.TAG_MASK).astype(np.float64), chosen.values)
    kind = np.where(kept, np.uint8(HISTOGRAM), np.uint8(FLOAT))
    start_ms = None
    if decoded.start_ms is not None:  # floats of these encodings have none
        start_ms = np.zeros(kind.size, np.int64)
        start_ms[kept] = decoded.start_ms[native][values[kept].astype(np.int64)]
    return Samples(chosen.ts_ms.copy(), values, chosen.offsets.copy(), kind, decoded.histograms, start_ms)


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
    start_ms = None
    if natives.start_ms is not None:
        start_ms = np.concatenate((np.zeros(n_floats, np.int64), natives.start_ms))[source]
    return Samples(ts[source], values[source], offsets, kind[source], natives.histograms, start_ms)
