"""Series with native histograms: read as they were appended, replicas merged as Thanos merges them."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.block.reader import LocalBlock, open_block
from athanor.chunk.histogram import decode_histogram_chunks, histogram_shapes
from athanor.model.tables import (
    ENCODING_FLOAT_HISTOGRAM,
    ENCODING_HISTOGRAM,
    FLOAT,
    HISTOGRAM,
    ChunkTable,
    HistogramLayouts,
    Histograms,
    Samples,
)
from athanor.model.workspace import Workspace
from athanor.query.dedup import Reading
from athanor.query.mixed_reading import fold, has_histograms, read_mixed, weigh_histograms

GOLDEN = Path(__file__).parents[2] / "golden/histograms"
T0 = 1_700_006_400_000
STALE_BITS = 0x7FF0000000000002
BLOCKS = {"a": "01HF80000000000000000000AA", "b": "01HF80000000000000000000BB"}
NAMES = {"XOR": 1, "histogram": ENCODING_HISTOGRAM, "floathistogram": ENCODING_FLOAT_HISTOGRAM}
ALL = Reading(-(2**62), 2**62, is_counter=False, deduplicate=True)


def opened(replica: str) -> tuple[LocalBlock, ChunkTable, list[dict[str, str]], np.ndarray]:
    """A block, its chunks, the labels of its series without replica, and where the chunks of each begin."""
    block = open_block(GOLDEN / "blocks" / BLOCKS[replica])
    entries = block.entries(block.series_refs())
    labels = block.labels(entries)
    return block, block.chunks(entries), [dict(labels.pairs(i)) for i in range(len(labels))], entries.chunk_at


@pytest.mark.parametrize("replica", BLOCKS)
def test_every_chunk_of_the_blocks_has_the_times_and_hints_that_prometheus_read(replica: str):
    _, chunks, labels, starts = opened(replica)
    recorded = {
        tuple(sorted(s["labels"].items())): s for s in json.loads((GOLDEN / f"chunks_{replica}.json").read_text())
    }
    assert len(recorded) == len(labels)
    for own, (first, end) in zip(labels, itertools.pairwise(starts.tolist()), strict=True):
        wanted = recorded[tuple(sorted(own.items()))]["chunks"]
        assert len(wanted) == end - first
        for row, chunk in zip(range(first, end), wanted, strict=True):
            bounds = int(chunks.first_ms[row]) - T0, int(chunks.last_ms[row]) - T0
            assert (int(chunks.encoding[row]), *bounds) == (NAMES[chunk["encoding"]], chunk["min"], chunk["max"])
            if chunk["encoding"] != "XOR":
                decoded = decode_histogram_chunks(chunks, np.array([row]))
                assert decoded.table.hint.tolist() == [int(hint) for hint in chunk["read_hints"]]
                assert (int(decoded.ts_ms[0]) - T0, int(decoded.ts_ms[-1]) - T0) == (chunk["min"], chunk["max"])


def indexes(spans: list[list[int]]) -> list[int]:
    found, at = [], 0
    for offset, length in spans:
        at += offset
        found += range(at, at + length)
        at += length
    return found


def appended(sample: dict[str, Any]) -> Any:
    """A sample as it was appended: a float, or all that a histogram holds; a stale one is only that."""
    if "f" in sample:
        return float(sample["f"])
    h, is_float = sample.get("h") or sample["fh"], "fh" in sample
    if h["sum"] == "STALE":
        return "stale"
    sides = []
    for spans, buckets in (("ps", "p"), ("ns", "n")):
        counts = h[f"{buckets}b"] if is_float else list(itertools.accumulate(h[f"{buckets}d"]))
        sides.append({k: float(c) for k, c in zip(indexes(h[spans]), counts, strict=True) if c})
    return h["schema"], float(h["zt"]), float(h["count"]), float(h["sum"]), float(h["zc"]), h["cv"], *sides


def cell(samples: Samples, i: int) -> Any:
    """The same of a sample that was read."""
    assert samples.kind is not None and samples.histograms is not None
    if samples.kind[i] == FLOAT:
        return float(samples.values[i])
    h, row = samples.histograms, int(samples.values[i])
    a, layout, at = h.layouts, int(h.layout[row]), int(h.bucket_at[row])
    if h.sum.view(np.uint64)[row] == STALE_BITS:
        return "stale"
    first, middle, end = int(a.pos_at[layout]), int(a.neg_at[layout]), int(a.pos_at[layout + 1])
    counts = dict(enumerate(h.buckets[at : at + end - first].tolist(), first))
    sides = [
        {int(a.index[k]): counts[k] for k in span if counts[k]} for span in (range(first, middle), range(middle, end))
    ]
    bounds = a.bounds[a.bounds_at[layout] : a.bounds_at[layout + 1]].tolist()
    scalars = float(h.count[row]), float(h.sum[row]), float(h.zero_count[row])
    return int(a.schema[layout]), float(a.zero_threshold[layout]), *scalars, bounds, *sides


def same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


def test_a_block_reads_as_what_was_appended():
    _, chunks, labels, starts = opened("a")
    assert has_histograms(chunks, starts)
    read = read_mixed(chunks, starts, ALL, Workspace())
    recorded = {
        tuple(sorted(s["labels"].items())): s["samples"]
        for s in json.loads(gzip.decompress((GOLDEN / "samples_a.json.gz").read_bytes()))
    }
    assert len(recorded) == len(labels) == read.n_series
    n_histograms = 0
    for i, own in enumerate(labels):
        wanted = recorded[tuple(sorted(own.items()))]
        rows = range(int(read.offsets[i]), int(read.offsets[i + 1]))
        assert [int(read.ts_ms[row]) for row in rows] == [sample["t"] for sample in wanted]
        for row, sample in zip(rows, wanted, strict=True):
            assert same(cell(read, row), appended(sample)), (own, sample["t"])
            n_histograms += "f" not in sample
    assert n_histograms > 500


# The rule in plain Python. A sample is (t, value, is a histogram); a sequence is what one replica's chunks hold.
Sample = tuple[int, float, bool]


class Leaf:
    """A replica without the resets of its floats, and what it was lifted by."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples: list[Sample] = []
        self.at, self.lifted, last, total = -1, 0.0, 0.0, 0.0
        for t, v, native in samples:
            if native:
                self.samples.append((t, v, True))
            elif not math.isnan(v):
                total += v if v < last else v - last
                last = v
                self.samples.append((t, total, False))

    def current(self) -> Sample | None:
        return self.samples[self.at] if 0 <= self.at < len(self.samples) else None

    def seek(self, t: int) -> Sample | None:
        self.at = max(self.at, 0)
        while self.at < len(self.samples) and self.samples[self.at][0] < t:
            self.at += 1
        return self.current()

    def value(self) -> tuple[int, float, bool]:
        t, v, native = self.samples[self.at]
        return t, v if native else v + self.lifted, native

    def lift(self, p: float) -> None:
        v = self.value()[1]
        if p > v:
            self.lifted += p - v


def merged(a: Leaf, b: Leaf) -> list[Sample]:
    found: list[Sample] = []
    va, vb = a.seek(-(2**62)), b.seek(-(2**62))
    last_t, pen_a, pen_b, use_a, last = -(2**62), 0, 0, True, a
    while True:
        before, owner = use_a, va if use_a else vb
        previous = last.value()[1] if owner is not None and not owner[2] else None
        va = a.seek(last_t + 1 + pen_a) if va else None
        vb = b.seek(last_t + 1 + pen_b) if vb else None
        if va is None and vb is None:
            return found
        if va is None or vb is None:
            use_a = va is not None
            pen_a, pen_b = (0, pen_b) if use_a else (pen_a, 0)
        else:
            use_a = va[0] <= vb[0]
            t = va[0] if use_a else vb[0]
            penalty = 2 * (t - last_t) if last_t != -(2**62) else 5000
            pen_a, pen_b = (0, penalty) if use_a else (penalty, 0)
        last = a if use_a else b
        last_t = last.samples[last.at][0]
        if use_a != before and previous is not None:
            for side, v in ((a, va), (b, vb)):
                if v is not None and not v[2]:
                    side.lift(previous)
        found.append(last.value())


def replicas() -> st.SearchStrategy[list[list[Sample]]]:
    kinds = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 30), st.integers(0, 7)), min_size=3, max_size=25)

    def made(parts: list[list[tuple[int, int, int]]]) -> list[list[Sample]]:
        out, number = [], itertools.count()
        for r, steps in enumerate(parts):
            t, samples = r * 3, []
            for gap, value, kind in steps:
                t += gap * 1000
                v = math.nan if kind == 7 else float(value)
                samples.append((t, float(next(number)), True) if kind in (4, 5, 6) else (t, v, False))
            out.append(samples)
        return out

    return st.lists(kinds, min_size=2, max_size=2).map(made)


def as_decoded(sequences: list[list[Sample]]) -> tuple[Samples, np.ndarray, np.ndarray]:
    flat = [sample for sequence in sequences for sample in sequence]
    n = sum(native for _, _, native in flat)
    rows = itertools.count()
    values = np.array([next(rows) if native else v for _, v, native in flat], np.float64)
    offsets = np.cumsum([0, *map(len, sequences)])
    empty = HistogramLayouts(
        np.zeros(1, np.int32), np.zeros(1), np.empty(0, np.int32), np.zeros(2, np.int64), np.zeros(1, np.int64),
        np.empty(0), np.zeros(2, np.int64),
    )  # fmt: skip
    zeros = np.zeros(n)
    table = Histograms(
        empty, np.zeros(n, np.int32), np.zeros(n, np.uint8),
        np.array([v for _, v, native in flat if native]), zeros, zeros, np.zeros(n, np.int64), np.empty(0),
    )  # fmt: skip
    kind = np.array([HISTOGRAM if native else FLOAT for _, _, native in flat], np.uint8)
    bounds = [np.array([s[i][0] for s in sequences], np.int64) for i in (0, -1)]
    return Samples(np.array([t for t, _, _ in flat], np.int64), values, offsets, kind, table), *bounds


@settings(max_examples=300, deadline=None)
@given(replicas())
def test_counters_of_two_replicas_that_mix_both_kinds_are_merged_by_the_rule(sequences: list[list[Sample]]):
    sequences.sort(key=lambda s: (s[0][0], s[-1][0]))
    if sequences[1][0][0] > sequences[0][-1][0]:
        return  # one after the other: nothing is merged
    decoded, first_ms, last_ms = as_decoded(sequences)
    reading = Reading(-(2**62), 2**62, is_counter=True, deduplicate=True)
    read = fold(decoded, np.array([0, 2]), first_ms, last_ms, reading, Workspace())
    assert read.kind is not None and read.histograms is not None
    native = read.kind == HISTOGRAM
    values = read.values.copy()
    values[native] = read.histograms.count[read.values[native].astype(np.int64)]
    got = list(zip(read.ts_ms.tolist(), values.tolist(), native.tolist(), strict=True))
    assert got == merged(Leaf(sequences[0]), Leaf(sequences[1]))


def test_a_histogram_chunk_weighs_what_its_samples_take():
    _, chunks, _, _ = opened("a")
    weights = np.full(len(chunks), 7, np.int64)
    weigh_histograms(chunks, weights)
    rows = np.flatnonzero(chunks.encoding != 1)
    assert rows.size > 40 and (weights[chunks.encoding == 1] == 7).all()
    for row in rows.tolist():
        table = decode_histogram_chunks(chunks, np.array([row])).table
        columns = (table.layout, table.hint, table.count, table.sum, table.zero_count, table.bucket_at, table.buckets)
        assert 16 * weights[row] >= sum(column.nbytes for column in columns)
    shapes = histogram_shapes(chunks, rows)
    assert int(weights[rows].sum()) < 20 * int(shapes.samples.sum() + shapes.buckets.sum())
