"""Which sub-chunks of downsampled series are read, and how averages are made of counts and sums."""

from __future__ import annotations

import numpy as np

from athanor.model.arrays import I64
from athanor.model.errors import DataError
from athanor.model.tables import COUNT, HISTOGRAM, RAW, SUM, ChunkTable, Samples
from athanor.model.workspace import Workspace
from athanor.promql.histograms import scaled
from athanor.query.dedup import Reading, read_series
from athanor.query.mixed_reading import has_histograms, read_mixed


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
    """Samples of sum / count, read as two selections that must agree in time."""
    counts = read_series(*choose_rows(chunks, starts, (COUNT,)), reading, workspace)
    ts, values = counts.ts_ms.copy(), counts.values.copy()
    raw = chunks.aggregate[int(starts[0]) : int(starts[-1])] == RAW
    if raw.any():
        raise DataError("the store sent raw and downsampled chunks of one series in one batch, which has no average")
    sum_rows = choose_rows(chunks, starts, (SUM,))
    read = read_mixed if has_histograms(*sum_rows) else read_series
    sums = read(*sum_rows, reading, workspace)
    if sums.ts_ms.size != ts.size or not np.array_equal(sums.ts_ms, ts):
        raise DataError("sum and count timestamps not aligned")
    if sums.kind is None or sums.histograms is None:
        return Samples(ts, sums.values / values, sums.offsets)
    native = sums.kind == HISTOGRAM
    quotients = sums.values / values
    rows = sums.values[native].astype(np.int64)
    quotients[native] = np.arange(rows.size)
    table = scaled(sums.histograms, rows, values[native], divides=True, compacts=False)
    return Samples(ts, quotients, sums.offsets, sums.kind, table)
