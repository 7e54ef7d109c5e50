"""Every kind of operator asks the query's budget for what it takes, and a query without enough of it says who asked.

What an evaluation really takes is what tracemalloc sees of it, numpy's arrays included.
"""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from athanor.model.budget import Budget, OverBudget
from athanor.promql.engine import Engine, EngineOptions, Result
from athanor.promql.features import Features
from tests.conformance.memory_storage import MemoryStorage

from .some_series import counters, histograms, loaded

STEP_MS, N_STEPS = 2_500, 1_441
MB = 1 << 20
SLACK_BYTES = 4 * MB  # plans, texts, label sets, the storage's own lists
FLOATS, HISTOGRAMS = 200, 40

FLOAT_KINDS = {
    "selector": "x",
    "range function": "rate(x[5m])",
    "sorted windows": "quantile_over_time(0.9, x[5m])",
    "subquery": "max_over_time(x[5m:10s])",
    "subquery of an aggregation": "max_over_time(sum by (i) (x)[5m:10s])",
    "extended range function": "xrate(x[5m])",
    "anchored": "rate(x[5m] anchored)",
    "smoothed": "x smoothed",
    "reduction": "stddev by (i) (x)",
    "quantile": "quantile by (job) (0.9, x)",
    "topk": "topk by (job) (3, x)",
    "limitk": "limitk(100, x)",
    "counted values": 'count_values("v", floor(x / 1000))',
    "function": "abs(x)",
    "times": "timestamp(x)",
    "labels": 'label_replace(x, "a", "$1", "i", "(.*)")',
    "sort": "sort(x)",
    "absent": "absent(x)",
    "scalar operator": "x > 5",
    "one to one": "x + x",
    "many to one": "x / on (job) group_left () sum by (job) (x)",
    "set": "x or y",
    "fill": "x + fill (0) y",
    "info": "info(x)",
    "classic histogram": 'histogram_quantile(0.9, label_replace(x, "le", "$1", "i", "0*([0-9]+)"))',
}
HISTOGRAM_KINDS = {
    "selector": "h",
    "rate": "rate(h[5m])",
    "delta": "delta(h[5m])",
    "sums of windows": "sum_over_time(h[5m])",
    "reduction": "sum by (i) (h)",
    "average": "avg by (i) (rate(h[5m]))",
    "scaled": "h * 2",
    "one to one": "h + h",
    "trimmed": "h </ 4",
    "quantile": "histogram_quantile(0.9, h)",
    "fraction": "histogram_fraction(0, 4, h)",
    "statistic": "histogram_stddev(h)",
    "subquery": "last_over_time(h[5m:10s])",
    "labels": 'label_replace(h, "a", "$1", "i", "(.*)")',
    "set": "h or y",
    "limitk": "limitk(20, h)",
}
QUERIES = {**FLOAT_KINDS, **{f"histograms: {kind}": query for kind, query in HISTOGRAM_KINDS.items()}}


@pytest.fixture(scope="module")
def storage() -> MemoryStorage:
    series = counters("x", range(FLOATS)) + counters("y", range(FLOATS // 2, FLOATS))
    return loaded(series + histograms("h", range(HISTOGRAMS)), tile_size=50)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(EngineOptions(features=replace(Features.all(), x_functions=True)), n_threads=1)
    yield made
    made.close()


def ask(engine: Engine, storage: MemoryStorage, query: str, budget: Budget) -> Result:
    return engine.range(storage, query, 0, (N_STEPS - 1) * STEP_MS, STEP_MS, budget=budget)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_an_operator_takes_what_it_has_asked_for(engine, storage, query):
    with Budget(1 << 40) as budget:
        ask(engine, storage, query, budget)  # whatever is loaded once is there
    tracemalloc.start()
    try:
        with Budget(1 << 40) as budget:
            result = ask(engine, storage, query, budget)
            taken = tracemalloc.get_traced_memory()[1]
            assert result.type == "matrix"
            assert taken <= 1.25 * budget.peak_bytes + SLACK_BYTES, (
                f"{taken / MB:.1f} of {budget.peak_bytes / MB:.1f} MiB"
            )
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_without_enough_the_operator_and_the_numbers_are_named_and_nothing_is_held(engine, storage, query):
    limit = 40_000
    parent = Budget(1 << 40)
    with Budget(limit, parent) as budget, pytest.raises(OverBudget) as caught:
        ask(engine, storage, query, budget)
    assert re.match(rf".+ needs \d+ bytes, but the query already holds \d+ of its {limit}; ", str(caught.value))
    assert parent.held_bytes == 0


def test_a_table_of_histograms_is_in_the_budget_as_long_as_something_refers_to_it(engine, storage):
    with Budget(1 << 40) as budget:
        block = ask(engine, storage, "rate(h[5m])", budget).block
        held_bytes = budget.held_bytes
        n_cells, n_buckets = HISTOGRAMS * (N_STEPS - 24), 7 + 3
        assert held_bytes >= n_cells * (8 * n_buckets + 45)
        del block
        assert budget.held_bytes < held_bytes - n_cells * 8 * n_buckets


BLOCK_BYTES = FLOATS * N_STEPS * 9  # a value and whether there is one


@pytest.mark.parametrize(
    ("query", "n_blocks"),
    [
        ("x / on (job, i) x", 1),
        ("x - x", 1),
        ("x / on (job, i) (x offset 1m)", 2),
        ("x / on (job) group_left () sum by (job) (x)", 1),
        ("sum by (job) (x) / on (job) group_right () x", 1),
        # A block that is read elsewhere, or made of one, is not written over.
        ("x / on (job, i) x or x", 4),
        ("-x / on (job, i) x", 3),
    ],
)
def test_what_two_sides_make_stands_where_one_of_them_was(engine, storage, query, n_blocks):
    with Budget(1 << 40) as budget:
        ask(engine, storage, query, budget)
        assert (n_blocks - 0.1) * BLOCK_BYTES < budget.peak_bytes < (n_blocks + 0.6) * BLOCK_BYTES
