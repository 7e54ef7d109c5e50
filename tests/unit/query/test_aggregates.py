"""Averages of downsampled series: sum / count of their chunks, the samples themselves of raw ones."""

from __future__ import annotations

import numpy as np
import pytest

from athanor.chunk.xor import encode_series
from athanor.model.errors import DataError
from athanor.model.tables import COUNT, RAW, SUM, ChunkTable
from athanor.model.workspace import Workspace
from athanor.query.aggregates import average_rows, read_average
from athanor.query.dedup import Reading

# thanos pkg/compact/downsample/downsample_test.go, TestAverageChunkIterator
SUMS, COUNTS = [(100, 30), (200, 40), (300, 5), (400, -10)], [(100, 1), (200, 5), (300, 2), (400, 10)]
AVERAGES = [(100, 30.0), (200, 8.0), (300, 2.5), (400, -1.0)]
ALL = Reading(0, 2**62, is_counter=False, deduplicate=True)


def table(parts: list[tuple[int, list[tuple[int, float]]]]) -> ChunkTable:
    """Sub-chunks of one series, all of floats: (aggregate, samples)."""
    flat = [sample for _, samples in parts for sample in samples]
    made = encode_series(
        np.array([t for t, _ in flat], np.int64), np.array([v for _, v in flat], np.float64),
        np.cumsum([0, *(len(samples) for _, samples in parts)]),
    )  # fmt: skip
    n = len(parts)
    return ChunkTable(
        np.zeros(n, np.int32), np.array([samples[0][0] for _, samples in parts]),
        np.array([samples[-1][0] for _, samples in parts]), np.ones(n, np.uint8),
        np.array([aggregate for aggregate, _ in parts], np.uint8), np.zeros(n, np.uint64),
        made.at, made.size, made.arena,
    )  # fmt: skip


def averages(chunks: ChunkTable, reading: Reading = ALL) -> list[tuple[int, float]]:
    starts = np.array([0, len(chunks)], np.int64)
    assert average_rows(chunks, starts)
    read = read_average(chunks, starts, reading, Workspace())
    return list(zip(read.ts_ms.tolist(), read.values.tolist(), strict=True))


def test_the_sums_are_divided_by_the_counts():
    assert averages(table([(COUNT, COUNTS), (SUM, SUMS)])) == AVERAGES


def test_a_series_that_was_downsampled_in_part_goes_on_with_its_raw_samples():
    raw = [(500, 7.0), (515, 8.0), (530, 9.0)]
    assert averages(table([(COUNT, COUNTS), (SUM, SUMS), (RAW, raw)])) == AVERAGES + raw
    before = [(10, 1.0), (20, 2.0)]
    assert averages(table([(RAW, before), (COUNT, COUNTS), (SUM, SUMS), (RAW, raw)])) == before + AVERAGES + raw


def test_a_raw_replica_beside_a_downsampled_one_is_chosen_by_the_rule_of_replicas():
    """By hand: the owner of the first sample makes the other one skip five seconds, and there it has ended."""
    raw = [(150, 1.0), (250, 1.0), (350, 1.0)]
    assert averages(table([(COUNT, COUNTS), (SUM, SUMS), (RAW, raw)])) == AVERAGES


def test_sums_and_counts_that_do_not_belong_together_are_errors():
    with pytest.raises(DataError, match="sum and count iterator not aligned"):
        averages(table([(COUNT, [*COUNTS[:2], COUNTS[3]]), (SUM, SUMS)]))
    with pytest.raises(DataError, match="sum and count timestamps not aligned"):
        averages(table([(COUNT, [*COUNTS[:2], (301, 2), COUNTS[3]]), (SUM, SUMS)]))
    with pytest.raises(DataError, match="no valid chunk found: the store sent 0 counts for 1 sums"):
        averages(table([(SUM, SUMS)]))
