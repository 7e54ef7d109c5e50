"""Which ranges share a request."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.store.partition import MAX_WASTE_BYTES, frugal_partition, partition

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/store/gap_partitioner.json").read_text())


def arrays(ranges):
    return (np.array([r[i] for r in ranges], np.int64) for i in (0, 1))


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_parts_are_those_of_the_original(case):
    parts = partition(*arrays(case["ranges"]), GOLDEN["max_gap_bytes"])
    elements = [[p["start"], p["end"], list(range(*p["elements"]))] for p in case["expected"]]
    found = [
        [s, e, np.flatnonzero(parts.part_of == i).tolist()]
        for i, (s, e) in enumerate(zip(parts.start.tolist(), parts.end.tolist(), strict=True))
    ]
    assert found == elements


def plain_partition(ranges, gap):
    parts = []
    for start, end in ranges:
        if parts and parts[-1][1] + gap >= start:
            parts[-1][1] = max(parts[-1][1], end)
        else:
            parts.append([start, end])
    return parts


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 50)), max_size=30), st.integers(0, 100))
def test_parts_cover_their_ranges(spans, gap):
    ranges = sorted((at, at + size) for at, size in spans)
    parts = partition(*arrays(ranges), gap)
    assert [list(p) for p in zip(parts.start.tolist(), parts.end.tolist(), strict=True)] == plain_partition(ranges, gap)
    for (start, end), part in zip(ranges, parts.part_of.tolist(), strict=True):
        assert parts.start[part] <= start and end <= parts.end[part]


def test_two_far_ranges_are_not_read_with_what_lies_between():
    ranges = [(0, 100), (400_000, 400_100)]
    assert partition(*arrays(ranges)).n_bytes == 400_100
    assert frugal_partition(*arrays(ranges)).n_bytes == 200


def test_many_scattered_ranges_share_requests():
    ranges = [(i * 40_000, i * 40_000 + 100) for i in range(100)]
    parts = frugal_partition(*arrays(ranges))
    assert parts.start.size == 1
    assert parts.n_bytes > MAX_WASTE_BYTES
