"""Which blocks answer a range."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from athanor.model.errors import DataError
from athanor.store.blockset import BlockSet, group_blocks

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/store/block_selection.json").read_text())


@dataclass(frozen=True)
class Span:
    resolution_ms: int
    min_ms: int
    end_ms: int


BLOCKS = [Span(*b) for b in GOLDEN["blocks"]]


@pytest.mark.parametrize("case", GOLDEN["get_for"])
def test_chosen_blocks_are_those_of_the_original(case):
    chosen = BlockSet((), BLOCKS).choose(case["mint"], case["maxt"], case["max_resolution_ms"], lambda b: True)
    assert [[b.resolution_ms, b.min_ms, b.end_ms] for b in chosen] == case["expected"]


def test_a_refused_coarse_block_is_not_replaced_by_finer_ones():
    blocks = [Span(300_000, 0, 100), Span(0, 0, 100), Span(0, 100, 200)]
    chosen = BlockSet((), blocks).choose(0, 150, 300_000, lambda b: b.resolution_ms == 0)
    assert chosen == [Span(0, 100, 200)]


def test_an_inverted_range_chooses_nothing():
    assert BlockSet((), BLOCKS).choose(5, 4, 0, lambda b: True) == []


def test_announced_intervals_are_those_of_the_original():
    cases = GOLDEN["tsdb_infos"]
    pairs = [(tuple(map(tuple, labels)), Span(0, low, high)) for low, high, labels in cases["blocks"]]
    found = [[i.min_ms, i.end_ms, [list(p) for p in i.labels]] for s in group_blocks(pairs) for i in s.intervals()]
    assert sorted(found, key=lambda i: (i[2], i[0])) == sorted(cases["expected"], key=lambda i: (i[2], i[0]))


def test_a_contained_block_does_not_shorten_an_interval():
    (interval,) = BlockSet((), [Span(0, 0, 1000), Span(0, 200, 300)]).intervals()
    assert (interval.min_ms, interval.end_ms) == (0, 1000)


def test_a_resolution_that_nobody_writes_is_refused():
    with pytest.raises(DataError, match="unsupported downsampling resolution 7"):
        BlockSet((), [Span(7, 0, 1)])
