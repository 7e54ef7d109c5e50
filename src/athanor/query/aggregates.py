"""Which sub-chunks of downsampled series are read, and how averages are made of counts and sums."""

from __future__ import annotations

import numpy as np

from athanor.chunk.xor import decode_chunks
from athanor.model.arrays import B1, F64, I64
from athanor.model.errors import DataError
from athanor.model.tables import COUNT, HISTOGRAM, RAW, SUM, ChunkTable, Samples
from athanor.model.workspace import Workspace
from athanor.promql.histograms import scaled
from athanor.query.dedup import Reading
from athanor.query.mixed_reading import decode_rows, fold


def _subset(
    chunks: ChunkTable, starts: I64, wanted: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[ChunkTable, I64]:
    rows = np.flatnonzero(wanted) + int(starts[0])
    kept_before = np.concatenate((np.zeros(1, np.int64), np.cumsum(wanted)))
    table = ChunkTable(
        chunks.series[rows], chunks.first_ms[rows], chunks.last_ms[rows], chunks.encoding[rows],
        chunks.aggregate[rows], chunks.hash[rows], chunks.at[rows], chunks.size[rows], chunks.arena,
    )  # fmt: skip
    return table, kept_before[starts - starts[0]]


def choose_rows(chunks: ChunkTable, starts: I64, aggregates: tuple[int, ...]) -> tuple[ChunkTable, I64]:
    """The chunk rows that answer: raw ones, or the one wanted sub-chunk of each aggregate chunk."""
    aggregate = chunks.aggregate[int(starts[0]) : int(starts[-1])]
    if not aggregate.any():
        return chunks, starts
    wanted = (aggregate == RAW) | (aggregate == aggregates[0])
    if not wanted.any():
        raise DataError(f"no valid chunk found: the store sent aggregates {sorted(set(aggregate.tolist()))}")
    return _subset(chunks, starts, wanted)


def average_rows(chunks: ChunkTable, starts: I64) -> bool:
    """Whether these series hold counts and sums, so that a sample is their quotient."""
    return bool((chunks.aggregate[int(starts[0]) : int(starts[-1])] == SUM).any())


def read_average(chunks: ChunkTable, starts: I64, reading: Reading, workspace: Workspace) -> Samples:
    """Samples of raw chunks, and of the others sum / count, which must agree in time."""
    first, end = int(starts[0]), int(starts[-1])
    aggregate = chunks.aggregate[first:end]
    wanted = (aggregate == RAW) | (aggregate == SUM)
    rows = np.flatnonzero(wanted) + first
    kept_before = np.concatenate((np.zeros(1, np.int64), np.cumsum(wanted)))
    is_sum = chunks.aggregate[rows] == SUM
    decoded = decode_rows(chunks, rows, workspace)
    counts = decode_chunks(chunks, _rows_of_counts(chunks, first, end, rows[is_sum]), Workspace())
    sizes = np.diff(decoded.offsets)
    if not np.array_equal(sizes[is_sum], np.diff(counts.offsets)):
        raise DataError("sum and count iterator not aligned")
    summed = np.repeat(is_sum, sizes)
    if not np.array_equal(decoded.ts_ms[summed], counts.ts_ms):
        raise DataError("sum and count timestamps not aligned")
    averages = _quotients(decoded, summed, counts.values)
    return fold(averages, kept_before[starts - first], chunks.first_ms[rows], chunks.last_ms[rows], reading, workspace)


def _rows_of_counts(chunks: ChunkTable, first: int, end: int, sums: I64) -> I64:
    """The count of each sum; sub-chunks of one aggregate chunk are neighbours."""
    counts = np.flatnonzero(chunks.aggregate[first:end] == COUNT) + first
    same = counts.size == sums.size and all(
        np.array_equal(column[counts], column[sums]) for column in (chunks.series, chunks.first_ms, chunks.last_ms)
    )
    if not same:
        raise DataError(f"no valid chunk found: the store sent {counts.size} counts for {sums.size} sums")
    return counts


def _quotients(sums: Samples, summed: B1, counts: F64) -> Samples:
    """The samples with those that are sums divided by their counts."""
    if sums.kind is None or sums.histograms is None:
        values = sums.values.copy()
        values[summed] /= counts
        return Samples(sums.ts_ms, values, sums.offsets)
    native = sums.kind == HISTOGRAM
    divisors = np.ones(sums.values.size)
    divisors[summed] = counts
    values = np.where(native, sums.values, sums.values / divisors)
    rows = sums.values[native].astype(np.int64)
    values[native] = np.arange(rows.size)
    table = scaled(sums.histograms, rows, divisors[native], divides=True, compacts=False)
    return Samples(sums.ts_ms, values, sums.offsets, sums.kind, table, sums.start_ms)
