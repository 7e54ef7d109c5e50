"""Deduplication against answers recorded from a running Thanos 0.43 (tests/golden/dedup/thanos_penalty.json.gz).

Each case holds the chunks of two or three replicas as the StoreAPI sent them and the querier's answers: `raw` is
``name[70m]`` at T0 + 3700 s, `selector_step60` the plain selector each minute, ``<fn>_5m`` a function each five
minutes.
"""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from athanor.chunk.xor import encode_series
from athanor.model.tables import COUNTER, ChunkTable
from athanor.model.workspace import Workspace
from athanor.promql.windows import WINDOW_FUNCTIONS, evaluate_windows, latest_samples
from athanor.query.dedup import Reading, read_series

GOLDEN = json.loads(gzip.decompress((Path(__file__).parents[2] / "golden/dedup/thanos_penalty.json.gz").read_bytes()))
T0, CASES = GOLDEN["T0"], GOLDEN["cases"]
COUNTER_FUNCTIONS = {"rate", "increase", "irate", "resets"}


def chunk_table(case) -> ChunkTable:
    """All replicas' chunks as one series in the proxy's order: (first, last) time, the larger bytes first."""
    chunks = [c for replica in sorted(case["chunks"]) for c in case["chunks"][replica]]
    chunks.sort(key=lambda c: bytes.fromhex(c[3]), reverse=True)
    chunks.sort(key=lambda c: (c[0], c[1]))
    data = [bytes.fromhex(c[3]) for c in chunks]
    n, size = len(chunks), np.array([len(d) for d in data], np.int64)
    return ChunkTable(
        np.zeros(n, np.int32), np.array([T0 + c[0] for c in chunks], np.int64),
        np.array([T0 + c[1] for c in chunks], np.int64), np.ones(n, np.uint8), np.zeros(n, np.uint8),
        np.zeros(n, np.uint64), np.cumsum(size) - size, size, np.frombuffer(b"".join(data), np.uint8),
    )  # fmt: skip


def read(case, first_ms, last_ms, is_counter=False):
    table = chunk_table(case)
    inside = np.flatnonzero((table.first_ms <= last_ms) & (table.last_ms >= first_ms))
    table = ChunkTable(
        table.series[inside], table.first_ms[inside], table.last_ms[inside], table.encoding[inside],
        table.aggregate[inside], table.hash[inside], table.at[inside], table.size[inside], table.arena,
    )  # fmt: skip
    reading = Reading(first_ms, last_ms, is_counter, deduplicate=True)
    return read_series(table, np.array([0, inside.size], np.int64), reading, Workspace())


def number(text: str) -> float:
    return math.nan if text in ("NaN", "STALE") else float(text)


def is_stale(value: float) -> bool:
    return bool(np.float64(value).view(np.uint64) == 0x7FF0000000000002)


@pytest.mark.parametrize("name", CASES)
def test_the_raw_samples_are_those_that_thanos_chose(name):
    # A range of 70 minutes: the window is left-open, so the selection starts one millisecond later.
    samples = read(CASES[name], T0 + 3_700_000 - 4_200_000 + 1, T0 + 3_700_000)
    got = [(int(t) - T0, float(v)) for t, v in zip(samples.ts_ms, samples.values, strict=True) if not is_stale(v)]
    assert [t for t, _ in got] == [t for t, _ in CASES[name]["penalty"]["raw"]]
    assert [v for _, v in got] == [number(v) for _, v in CASES[name]["penalty"]["raw"]]


@pytest.mark.parametrize("name", CASES)
def test_a_selector_each_minute_sees_what_thanos_saw(name):
    samples = read(CASES[name], T0 - 300_000 + 1, T0 + 3_600_000)
    values, kind = np.zeros((1, 61)), np.zeros((1, 61), np.uint8)
    latest_samples(samples, T0, 60_000, 61, 300_000, values, kind)
    got = [[60_000 * j, float(values[0, j])] for j in range(61) if kind[0, j]]
    assert got == [[t, number(v)] for t, v in CASES[name]["penalty"]["selector_step60"]]


RECORDED = [
    (name, key.removesuffix("_5m"))
    for name, case in CASES.items()
    for key in case["penalty"]
    if key.removesuffix("_5m") in WINDOW_FUNCTIONS
]


@pytest.mark.parametrize(("name", "function"), RECORDED)
def test_functions_of_five_minutes_answer_as_thanos_did(name, function):
    recorded = CASES[name]["penalty"][f"{function}_5m"]
    samples = read(CASES[name], T0 + 1, T0 + 3_600_000, function in COUNTER_FUNCTIONS)
    values, kind = np.zeros((1, 12)), np.zeros((1, 12), np.uint8)
    evaluate_windows(function, samples, T0 + 300_000, 300_000, 12, 300_000, [], values, kind, Workspace())
    got = [[300_000 * (j + 1), float(values[0, j])] for j in range(12) if kind[0, j]]
    assert [t for t, _ in got] == [t for t, _ in recorded]
    assert [v for _, v in got] == pytest.approx([number(v) for _, v in recorded], rel=1e-9, nan_ok=True)


RESETS = json.loads((Path(__file__).parents[2] / "golden/dedup/counter_resets.json").read_text())["cases"]


@pytest.mark.parametrize("as_counter", [True, False], ids=["rate", "xrate"])
@pytest.mark.parametrize("case", RESETS, ids=[case["id"] for case in RESETS])
def test_downsampled_counters_lose_their_resets_as_in_the_original(case, as_counter):
    named = {"NaN": math.nan, "StaleNaN": float(np.uint64(0x7FF0000000000002).view(np.float64))}
    samples = [[(t, named.get(v, v)) for t, v in chunk] for chunk in case["chunks"]]
    flat = [sample for chunk in samples for sample in chunk]
    made = encode_series(
        np.array([t for t, _ in flat], np.int64), np.array([v for _, v in flat], np.float64),
        np.cumsum([0, *map(len, samples)]),
    )  # fmt: skip
    n = len(made)
    table = ChunkTable(
        np.zeros(n, np.int32), np.array([chunk[0][0] for chunk in samples]), np.array([c[-1][0] for c in samples]),
        np.ones(n, np.uint8), np.full(n, COUNTER, np.uint8), np.zeros(n, np.uint64), made.at, made.size, made.arena,
    )  # fmt: skip
    reading = Reading(0, 2**62, as_counter, deduplicate=True, loses_resets=True)
    read = read_series(table, np.array([0, n], np.int64), reading, Workspace())
    assert [list(sample) for sample in zip(read.ts_ms.tolist(), read.values.tolist(), strict=True)] == case["expected"]
