"""An answer's bytes depend on the data alone: not on threads, on the size of tiles, or on which store answers first."""

from __future__ import annotations

import itertools
import random

import pytest

from athanor.model.budget import Budget
from athanor.promql import rows
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from athanor.query import tiles
from athanor.query.json_result import result_pieces
from tests.property.replicas import shifted_replicas, storage_of

QUERIES = [
    "c_total",
    "sum by (job) (rate(c_total[5m]))",
    "avg without (i) (g)",
    "stddev by (job) (deriv(g[10m]))",
    "quantile by (job) (0.7, g)",
    "topk(2, c_total)",
    "sum(rate(g[5m])) / count(rate(g{job='a'}[5m]))",
    "c_total{job='a'} / on (i) group_left () sum by (i) (d_total)",
    "c_total - c_total offset 3m",
    "sum by (job) (rate(c_total{code='500'}[5m])) / sum by (job) (rate(c_total[5m]))",
    "max_over_time(sum by (job) (increase(c_total[3m]))[10m:1m])",
    "{__name__=~'c_total|g'} > 0",
    "sum(g @ end()) or g unless on (i) d_total",
    "count_values by (job) ('v', ceil(g))",
    "label_replace(rate(d_total[4m]), 'code', 'x', '', '')",
    "limitk(3, g)",
    "absent(c_total{job='c'})",
    "sort_desc(g)",
]
ENGINES = {n: Engine(EngineOptions(features=Features.all()), n_threads=n) for n in (1, 2, 5)}
TILES = (1, 300, 1_000_000)
FRAMES = (1, 2, 100)
# Which store is slow, and which is named first.
DELAYS = ((0.0, 0.002), (0.002, 0.0))
# Up to so many samples a tile stays in its thread: none, some, all of them.
INLINE = (0, 0, 200, 16_384)


@pytest.fixture(scope="module", params=[1, 2])
def stores(request):
    return shifted_replicas(request.param, n_series=5)


@pytest.mark.parametrize("is_range", [True, False], ids=["range", "instant"])
@pytest.mark.parametrize("query", QUERIES)
def test_neither_threads_nor_tiles_nor_the_quicker_store_change_a_byte(stores, query, is_range, monkeypatch):
    ways = list(itertools.product(ENGINES, TILES, FRAMES, DELAYS, (1, -1), INLINE))
    answers = {}
    for way in [ways[0], *random.Random(query).sample(ways, 9)]:
        n_threads, tile_samples, frame_series, delays, order, inline_samples = way
        monkeypatch.setattr(rows, "INLINE_SAMPLES", inline_samples)
        monkeypatch.setattr(tiles, "TILE_SAMPLES", tile_samples)
        for store, delay_s in zip(stores, delays, strict=True):
            store.delay_s, store.frame_series = delay_s, frame_series
        storage = storage_of(stores[::order])
        with Budget(1 << 28) as budget:
            if is_range:
                found = ENGINES[n_threads].range(storage, query, 600_000, 3_000_000, 120_000, budget=budget)
            else:
                found = ENGINES[n_threads].instant(storage, query, 3_000_000, budget=budget)
            pieces = b"".join(result_pieces(found, None))
        answers.setdefault((pieces, *found.warnings, *found.infos), []).append(way)
    assert len(answers) == 1, list(answers.values())
