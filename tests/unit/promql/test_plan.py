"""The plan of a query: kinds of operators, parts that are evaluated once, memory asked for and given back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from athanor.model.budget import Budget, OverBudget
from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.select import QueryContext, Selection
from athanor.model.tables import Samples, StepGrid
from athanor.model.workspace import Workspace
from athanor.promql import plan, windows
from athanor.promql.engine import Engine, EngineOptions, Result
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.plan import Kind, Operator
from athanor.promql.planner import Planner, Settings
from athanor.promql.preprocess import QueryWindow, preprocess
from athanor.promql.reads import selector_reads
from athanor.promql.recursion import Recursive, run
from tests.conformance.memory_storage import MemoryStorage, MemoryTile
from tests.conformance.script import Load, Series

MINUTE_MS = 60_000
GRID = StepGrid(0, MINUTE_MS, 61)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(EngineOptions(features=Features.all()), n_threads=3)
    yield made
    made.close()


def planned(query: str) -> tuple[Operator, Planner]:
    window = QueryWindow(GRID.first_ms, GRID.last_ms, GRID.step_ms)
    tree = preprocess(parse(query, Features.all()), window)
    reads = selector_reads(tree, window, 300_000, MINUTE_MS)
    settings = Settings(300_000, MINUTE_MS, delayed=False, is_range=True)
    planner = Planner(tree, {r.selector: r.selection for r in reads}, settings, lambda who, n_bytes: None)
    return planner.plan(tree, GRID), planner


def stored(n_series: int, tile_size: int, n_samples: int = 61) -> MemoryStorage:
    """x{i}: series i counts upwards by i a minute, jobs a and b in turn."""
    storage = MemoryStorage(tile_size)
    storage.load(
        Load(
            1,
            MINUTE_MS,
            tuple(
                Series({"__name__": "x", "job": "ab"[i % 2], "i": f"{i:03}"}, [float(i * k) for k in range(n_samples)])
                for i in range(n_series)
            ),
        )
    )
    return storage


def ask(engine: Engine, storage: MemoryStorage, query: str, budget: Budget) -> Result:
    return engine.range(storage, query, GRID.first_ms, GRID.last_ms, GRID.step_ms, budget=budget)


def cells(result: Result) -> dict[bytes, bytes]:
    assert result.block is not None
    block = result.block
    return {
        block.labels.encoded(i): np.where(block.kind[i] != 0, block.values[i], 0).tobytes() + block.kind[i].tobytes()
        for i in range(len(block.labels))
    }


# ---- kinds


@pytest.mark.parametrize(
    ("query", "outline"),
    [
        (
            "sum by (job) (rate(x[5m]))",
            "sum: reducing, 61 steps\n  rate: row by row in tiles, 61 steps",
        ),
        (
            "quantile(0.9, abs(x) + 1)",
            "quantile: breaker, 61 steps\n"
            "  +: row by row in tiles, 61 steps\n"
            "    abs: row by row in tiles, 61 steps\n"
            "      a selector: row by row in tiles, 61 steps\n"
            "    a number: scalar, 61 steps\n"
            "  a number: scalar, 61 steps",
        ),
        (
            "max_over_time(sum(x)[10m:2m])",
            "max_over_time: row by row, 61 steps\n"
            "  sum: reducing, 35 steps\n"
            "    a selector: row by row in tiles, 35 steps",
        ),
        (
            "avg(max_over_time(rate(x[5m])[10m:5m]))",
            "avg: reducing, 61 steps\n"
            "  max_over_time: row by row in tiles, 61 steps\n"
            "    rate: row by row in tiles, 14 steps",
        ),
    ],
)
def test_each_operator_says_its_kind(query, outline):
    assert plan.outline(planned(query)[0]) == outline


def test_matching_needs_both_sides_whole():
    root, _ = planned("x / on (i) rate(y[5m])")
    assert root.kind is Kind.BREAKER
    assert [child.streams for child in root.inputs] == [True, True]


def test_rows_of_several_metrics_are_not_unique_once_the_name_is_gone():
    assert planned("rate(x[5m])")[0].unique
    assert not planned('rate({job="a"}[5m])')[0].unique
    assert planned('last_over_time({job="a"}[5m])')[0].unique


# ---- equal parts


def test_equal_parts_are_one_operator_wherever_they_stand():
    root, planner = planned("rate(x[5m]) / (rate( x{} [300s]))")
    assert root.inputs[0] is root.inputs[1]
    assert planner.is_shared(root.inputs[0])


@pytest.mark.parametrize(
    "query",
    [
        "x / x offset 1m",
        "rate(x[5m]) / rate(x[6m])",
        "min(x) / sum(x)",  # a store may choose other data for another function
        "x / y",
        "sum_over_time(x[10m:1m]) / sum_over_time(x[10m:2m])",
        "clamp_max(x, 0) / clamp_max(x, -0)",
    ],
)
def test_parts_that_read_or_compute_otherwise_are_apart(query):
    root, planner = planned(query)
    assert root.inputs[0] is not root.inputs[1]
    assert not planner.is_shared(root.inputs[0])


def test_a_shared_part_is_read_once(engine):
    class Counting(MemoryStorage):
        n_reads = 0

        def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[MemoryTile]:
            self.n_reads += 1
            return super().select(selection, budget, context)

    storage = Counting(2)
    storage.load(Load(1, MINUTE_MS, (Series({"__name__": "x"}, [1.0] * 61),)))
    with Budget(1 << 20) as budget:
        ask(engine, storage, "sum(x) / sum(x) + sum(x)", budget)
    assert storage.n_reads == 1


# ---- depth


def test_recursion_has_no_limit_and_errors_reach_the_callers():
    def count(n: int) -> Recursive[int]:
        if n == 0:
            raise KeyError("bottom")
        try:
            below: int = yield count(n - 1)
        except KeyError:
            if n < 100_000:
                raise
            return n
        return below + 1

    assert run(count(100_000)) == 100_000


@pytest.mark.parametrize("query", ["abs(" * 2000 + "x" + ")" * 2000, "+".join(["x"] * 2000), "-" * 2001 + "x"])
def test_deep_queries_are_answered(engine, query):
    with Budget(1 << 24) as budget:
        assert ask(engine, stored(1, 1), query, budget).block is not None


# ---- memory


WORKSPACES = 3 * 10 * 61 * 20  # three threads, each with a tile of ten series: 20 bytes for a decoded sample


def test_the_peak_of_a_reduction_does_not_grow_with_the_series(engine):
    tile = 10 * 61 * 9  # a value and a kind for each cell
    state = 2 * (61 * 17 + 10)  # of each group: sum, compensation and presence at each step, and 10 bytes beside them
    for n_series in (50, 1000):
        with Budget(1 << 30) as budget:
            ask(engine, stored(n_series, 10), "sum by (job) (rate(x[5m]))", budget)
            # Three threads: at most four tiles that the reduction has not had, and the one that it takes.
            assert tile + state <= budget.peak_bytes <= 5 * tile + state + WORKSPACES


def test_consumed_blocks_are_given_back_before_the_query_ends(engine):
    with Budget(1 << 30) as budget:
        result = ask(engine, stored(50, 10), "count(abs(sort(abs(sort(x)))))", budget)
        assert budget.held_bytes == GRID.n * plan.CELL_BYTES
    assert result.block is not None
    assert result.block.values[0].tolist() == [50.0] * 61


@pytest.mark.parametrize(
    "query", ["quantile by (job) (0.3, x)", "topk by (job) (3, x)", "bottomk(2, -x)", "limitk(3, x)"]
)
def test_a_breaker_over_its_budget_works_in_pieces_of_steps_and_answers_the_same(engine, query):
    storage = stored(100, 10)
    whole_bytes = 100 * GRID.n * plan.CELL_BYTES
    with Budget(1 << 30) as budget:
        expected = cells(ask(engine, storage, query, budget))
        assert budget.peak_bytes > whole_bytes
        limit = min(whole_bytes + WORKSPACES, budget.peak_bytes - 1)
    with Budget(limit) as budget:
        assert cells(ask(engine, storage, query, budget)) == expected
        assert budget.held_bytes <= whole_bytes


def test_over_budget_names_the_operator_and_the_numbers(engine):
    with (
        Budget(100_000) as budget,
        pytest.raises(OverBudget, match=r"sort of 100 series .* of its 100000") as caught,
    ):
        ask(engine, stored(100, 10), "sort(x)", budget)
    assert caught.value.limit_bytes == 100_000


# ---- order and cancellation


class SlowFirst(MemoryStorage):
    """The first tile takes longest, so that later ones overtake it."""

    def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[MemoryTile]:
        for i, tile in enumerate(super().select(selection, budget, context)):
            yield _Slow(tile.labels, tile.series, tile.selection) if i == 0 else tile


class _Slow(MemoryTile):
    def samples(self, workspace: Workspace) -> Samples:
        time.sleep(0.05)
        return super().samples(workspace)


def test_annotations_come_in_the_order_of_the_series(engine):
    storage = SlowFirst(1)
    storage.load(Load(1, MINUTE_MS, tuple(Series({"__name__": f"gauge_{c}", "i": c}, [1.0] * 61) for c in "abc")))
    with Budget(1 << 20) as budget:
        infos = ask(engine, storage, 'rate({__name__=~"gauge_.*"}[5m]) or vector(1)', budget)
    assert [text.split('"')[1] for text in infos.infos] == ["gauge_a", "gauge_b", "gauge_c"]


def test_a_query_that_is_given_up_drops_the_tiles_that_nobody_will_read(engine):
    token, dropped = CancelToken(), []

    class Leaving(MemoryStorage):
        def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[MemoryTile]:
            for i, tile in enumerate(super().select(selection, budget, context)):
                if i == 8:
                    token.cancel("the client left")
                yield _Dropping(tile.labels, tile.series, tile.selection)

    class _Dropping(_Slow):
        def drop(self) -> None:
            dropped.append(1)

    storage = Leaving(1)
    storage.load(Load(1, MINUTE_MS, tuple(Series({"__name__": "x", "i": str(i)}, [1.0] * 61) for i in range(40))))
    with Budget(1 << 24) as budget, pytest.raises(Cancelled):
        engine.range(storage, "sum(x)", 0, GRID.last_ms, MINUTE_MS, budget=budget, cancel=token)
    assert dropped
    assert budget.held_bytes == 0


def test_long_windows_are_evaluated_in_pieces_that_can_be_cancelled(monkeypatch):
    n_series, n = 20, 30
    ts = np.tile(np.arange(n, dtype=np.int64) * MINUTE_MS, n_series)
    samples = Samples(ts, np.arange(n_series * n, dtype=np.float64), np.arange(n_series + 1, dtype=np.int64) * n)

    def evaluate(calls: list[int]) -> bytes:
        values, kind = np.empty((n_series, n)), np.empty((n_series, n), np.uint8)
        windows.evaluate_windows(
            "stddev_over_time", samples, 0, MINUTE_MS, n, 10 * MINUTE_MS, (), values, kind, Workspace(),
            check=lambda: calls.append(1),
        )  # fmt: skip
        return values.tobytes() + kind.tobytes()

    once: list[int] = []
    often: list[int] = []
    whole = evaluate(once)
    monkeypatch.setattr(windows, "PIECE_WORK", 500)
    assert evaluate(often) == whole
    assert (len(once), len(often)) == (1, 20)  # a row is 30 samples, 30 steps and 230 samples of windows


def test_what_is_evaluated_for_one_step_has_the_order_of_an_instant_answer(engine):
    """Seen on Thanos 0.43: the first of the best is the best, also where a range query evaluates it once."""
    with Budget(1 << 26) as budget:
        result = ask(engine, stored(9, 4), "limitk(1, topk(3, x @ end()))", budget)
    assert result.block is not None
    assert [dict(result.block.labels.pairs(i))["i"] for i in range(len(result.block.labels))] == ["008"]
    assert result.block.kind.all()
