"""Selectors that read together: what the stores are asked, what is not read together, and what that costs."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.model.budget import Budget, OverBudget
from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.matchers import Matcher, MatchType
from athanor.model.select import Selection, Sharing
from athanor.promql import joint
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.rules import Rules
from athanor.promql.rules.shared_reads import widened
from athanor.query import dedup_kernels
from tests.conformance.memory_storage import MemoryStorage
from tests.conformance.script import Load, Series
from tests.property.replicas import ReplicaStore, shifted_replicas, storage_of

FIRST_MS, LAST_MS, STEP_MS = 600_000, 3_000_000, 150_000
RATIO = 'sum by (job) (rate(c_total{code="500"}[5m])) / sum by (job) (rate(c_total[5m]))'


@pytest.fixture(scope="module")
def engine():
    made = Engine(n_threads=2)
    yield made
    made.close()


def n_requests(engine: Engine, query: str, component: str = "store", rules: Rules | None = None) -> int:
    """How often the first store was asked."""
    stores = shifted_replicas(1)
    for store in stores:
        store.facts = type(store.facts)(
            address=store.facts.address, component=component, label_sets=store.facts.label_sets,
            supports_without_replica_labels=True,
        )  # fmt: skip
    ask(engine, stores, query, 1 << 28, rules)
    return stores[0].n_requests


def ask(engine: Engine, stores: list[ReplicaStore], query: str, limit: int, rules: Rules | None = None):
    options = EngineOptions(rules=rules or Rules())
    with Budget(limit) as budget:
        return engine.range(
            storage_of(stores), query, FIRST_MS, LAST_MS, STEP_MS, budget=budget, options=options
        ), budget


@pytest.mark.parametrize(
    "query",
    [
        RATIO,
        "sum(rate(c_total[5m])) / count(rate(c_total[5m]))",
        "sum(rate(c_total[5m])) / sum(rate(c_total[12m]))",
        "c_total - c_total offset 1m",
        "min(g) + max(g) + avg(g{job='a'})",
        "absent(g) or max_over_time(sum(g)[10m:1m])",
    ],
)
def test_the_stores_are_asked_once(engine, query):
    assert n_requests(engine, query) == 1


def test_without_the_rule_the_same_series_are_asked_for_twice(engine):
    assert n_requests(engine, RATIO, rules=Rules(shared_reads=False)) == 2


@pytest.mark.parametrize(
    "query",
    [
        "sum(c_total) / sum(d_total)",
        "sum(c_total{job='a'}) / sum(c_total{job='b'})",
        # both replicas' labels are gone from the answer, so nobody could tell whose the samples are
        "sum(c_total{replica='x'}) / sum(c_total)",
        # two hours lie between the windows, and neither asks for them
        "sum(g) - sum(g offset 2h)",
        # all series for the long time that only one of them is asked for
        "sum(rate(c_total[5m])) / sum(rate(c_total{i='1'}[40m]))",
        # a block that would be held longer than if each side read alone
        "quantile(0.5, g) + max(g)",
        "topk(1, g) or topk(1, g offset 1m)",
    ],
)
def test_what_differs_too_much_is_read_apart(engine, query):
    assert n_requests(engine, query) == 2


def test_chunks_that_a_store_cuts_to_the_range_are_asked_for_range_by_range(engine):
    assert n_requests(engine, "sum(rate(c_total[5m])) / sum(rate(c_total[12m]))", "sidecar") == 2
    assert n_requests(engine, RATIO, "sidecar") == 1


def test_over_the_budget_each_part_is_read_alone(engine, monkeypatch):
    stores = shifted_replicas(2)
    apart, budget = ask(engine, stores, RATIO, 1 << 28, Rules(shared_reads=False))
    limit = budget.peak_bytes
    real, refused = joint.JointWork.row_bytes.fget, []

    def far_too_much(work: joint.JointWork) -> int:
        refused.append(real(work))
        return limit

    monkeypatch.setattr(joint.JointWork, "row_bytes", property(far_too_much))
    for store in stores:
        store.n_requests = 0
    together, budget = ask(engine, stores, RATIO, 2 * limit)
    assert refused
    assert stores[0].n_requests == 3
    assert np.array_equal(together.block.values, apart.block.values, equal_nan=True)
    with pytest.raises(OverBudget):
        ask(engine, stores, RATIO, 1000)


def test_reductions_that_read_together_hold_tiles_and_not_series(engine):
    n_series, n_steps, cell_bytes = 4000, 17, 9
    storage = MemoryStorage(tile_size=10)
    made = [Series({"__name__": "x", "i": str(i)}, [float(i)] * 61) for i in range(n_series)]
    storage.load(Load(1, 60_000, tuple(made)))
    query = "sum(rate(x[5m])) / count(rate(x[5m])) + max(x offset 1m)"
    with Budget(1 << 24) as budget:
        engine.range(storage, query, FIRST_MS, LAST_MS, STEP_MS, budget=budget)
    assert budget.peak_bytes < n_series * n_steps * cell_bytes


@pytest.mark.parametrize("query", [RATIO, "c_total - c_total offset 1m", "absent(g) or max(g offset 1m)"])
def test_a_query_that_is_given_up_ends_with_what_it_was_reading(engine, query):
    stores = shifted_replicas(1, n_series=40)
    for store in stores:
        store.delay_s = 0.1
    token, process = CancelToken().child(timeout_s=0.3), Budget(1 << 28)
    begin = time.monotonic()
    with Budget(1 << 27, parent=process) as budget, pytest.raises(Cancelled):
        engine.range(storage_of(stores, token), query, FIRST_MS, LAST_MS, STEP_MS, budget=budget, cancel=token)
    assert time.monotonic() - begin < 1.5  # all frames take two seconds
    assert process.held_bytes == 0
    # and the workers are free for others
    for store in stores:
        store.delay_s = 0.0
    assert ask(engine, stores, query, 1 << 27)[0].block is not None


# ---- the rule itself

X = Matcher(MatchType.EQ, "__name__", "x")
A = Matcher(MatchType.EQ, "a", "1")
WHOLE = Sharing(whole_chunks=True)


def selection(first_ms: int, last_ms: int, *matchers: Matcher) -> Selection:
    return Selection((X, *matchers), first_ms, last_ms)


@pytest.mark.parametrize(
    ("wide", "other", "result"),
    [
        ((0, 10), (0, 10), (0, 10)),
        ((0, 10), (5, 20), (0, 20)),
        ((5, 20), (0, 10), (0, 20)),
        ((0, 10), (11, 20), None),
        ((0, 10), (2, 8, A), (0, 10)),
        ((0, 10), (2, 12, A), None),
        ((0, 10, A), (0, 10), None),
    ],
)
def test_a_read_is_widened_only_by_what_is_asked_for(wide, other, result):
    found = widened(selection(*wide), WHOLE, selection(*other), WHOLE)
    assert (None if found is None else (found.first_ms, found.last_ms)) == result


def test_other_aggregates_or_resolutions_are_other_data():
    assert widened(selection(0, 10), Sharing("min"), selection(0, 10), Sharing("max")) is None
    assert widened(selection(0, 10), Sharing("min"), selection(0, 10), Sharing("min")) is not None


# ---- the kernel


@given(sizes=st.lists(st.integers(0, 4), max_size=6), data=st.data())
def test_sequences_are_taken_as_slices_would_be(sizes, data):
    rows = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=8)) if sizes else []
    sample_at = np.cumsum([0, *sizes])
    ts, values = np.arange(sum(sizes)) * 10, np.arange(sum(sizes)) / 2
    n = sum(sizes[row] for row in rows)
    out_ts, out_values, offsets = np.empty(n, np.int64), np.empty(n), np.empty(len(rows) + 1, np.int64)
    taken = dedup_kernels.take_sequences(np.array(rows, np.int64), sample_at, ts, values, out_ts, out_values, offsets)
    slices = [slice(sample_at[row], sample_at[row + 1]) for row in rows]
    assert taken == n
    assert out_ts.tolist() == [t for one in slices for t in ts[one].tolist()]
    assert out_values.tolist() == [v for one in slices for v in values[one].tolist()]
    assert np.diff(offsets).tolist() == [sizes[row] for row in rows]
