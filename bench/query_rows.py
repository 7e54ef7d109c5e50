"""Queries over samples that are decoded already: the kernels of operators that other rows do not call by themselves.

Floats are 1,000 counters with the samples of two hours, native histograms 50 series of 20 buckets; run by
bench/kernels.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from athanor.model.budget import Budget
from athanor.model.select import QueryContext, Selection
from athanor.model.tables import (
    HISTOGRAM,
    HistogramLayouts,
    Histograms,
    LabelTable,
    Samples,
    label_table,
)
from athanor.model.workspace import Workspace
from athanor.promql.engine import Engine, EngineOptions, Result
from athanor.promql.features import Features
from athanor.query.json_result import label_set_pieces, result_pieces
from kernel_rows import FIRST_MS, SCRAPE_MS, Row

N_SERIES, N_NATIVE, N_SAMPLES, N_BUCKETS = 1_000, 50, 480, 20
LAST_MS = FIRST_MS + SCRAPE_MS * N_SAMPLES
FLOATS = (
    "increase(c[5m] anchored)", "changes(c[5m] anchored)", "resets(c[5m] anchored)", "rate(c[5m] smoothed)",
    "c smoothed", "rate(begun[5m])", "irate(begun[5m])", "resets(begun[5m])", "resets(begun[5m] anchored)",
    "start_timestamp(begun)", "xincrease(c[5m])", "info(c)", "max_over_time(rate(c[5m])[10m:1m])", "c and c",
    "c + on(instance) group_left() (c or c)", "c + fill(0) c",
    "c * on(group) group_left() topk by (group) (1, rate(c[1m]))", "scalar(c) * (1 + time())", "timestamp(c)",
    "sort(c)", "topk by (group) (5, c)", "histogram_quantile(0.5, c)", "clamp(c, 1, 2)",
)  # fmt: skip
NATIVE = (
    "h", "sum(h)", "avg(h)", "rate(h[5m])", "irate(h[5m])", "resets(h[5m])", "sum_over_time(h[5m])",
    "increase(h[5m] anchored)", "h smoothed", "histogram_count(h)", "time() - timestamp(abs(h))",
    "histogram_quantile(0.9, h)",
    "histogram_fraction(0, 2, h)", "h + h", "h * 2", "h == h", "h </ 2", "count_values(\"v\", h)",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tile:
    labels: LabelTable
    decoded: Samples

    @property
    def n_samples_bound(self) -> int:
        return self.decoded.ts_ms.size

    def samples(self, workspace: Workspace) -> Samples:
        return self.decoded

    def drop(self) -> None:
        """Nothing is held."""


class _Decoded:
    """A storage of series that are in memory: one tile for each metric."""

    def __init__(self, metrics: dict[str, _Tile]) -> None:
        self._metrics = metrics

    def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[_Tile]:
        name = next((m.value for m in selection.matchers if m.name == "__name__"), "")
        if name in self._metrics:
            yield self._metrics[name]


def _sets(name: str, n: int) -> LabelTable:
    return label_table(
        [[("__name__", name), ("group", f"{i % 10}"), ("instance", f"i-{i:04}"), ("job", "j")] for i in range(n)]
    )


def _counters() -> Samples:
    rng = np.random.default_rng(21)
    values = np.cumsum(rng.integers(0, 100, (N_SERIES, N_SAMPLES)), axis=1).astype(np.float64)
    ts = np.tile(FIRST_MS + SCRAPE_MS * np.arange(N_SAMPLES), N_SERIES)
    return Samples(ts, values.ravel(), np.arange(N_SERIES + 1) * N_SAMPLES)


def _native() -> Samples:
    n = N_NATIVE * N_SAMPLES
    rng = np.random.default_rng(22)
    counts = np.cumsum(rng.integers(0, 5, (N_NATIVE, N_SAMPLES, N_BUCKETS)), axis=1).astype(np.float64)
    layouts = HistogramLayouts(
        np.zeros(1, np.int32), np.array([0.001]), np.arange(-10, N_BUCKETS - 10, dtype=np.int32),
        np.array([0, N_BUCKETS]), np.array([N_BUCKETS]), np.empty(0), np.zeros(2, np.int64),
    )  # fmt: skip
    total = counts.sum(axis=2).ravel()
    table = Histograms(
        layouts, np.zeros(n, np.int32), np.zeros(n, np.uint8), total, total * 1.5, np.zeros(n),
        np.arange(n) * N_BUCKETS, counts.ravel(),
    )  # fmt: skip
    ts = np.tile(FIRST_MS + SCRAPE_MS * np.arange(N_SAMPLES), N_NATIVE)
    kind = np.full(n, HISTOGRAM, np.uint8)
    return Samples(ts, np.arange(n, dtype=np.float64), np.arange(N_NATIVE + 1) * N_SAMPLES, kind, table)


def rows() -> Iterator[Row]:
    """All rows, each made when it is asked for."""
    counters, native = _counters(), _native()
    begun = replace(counters, start_ms=np.full(counters.ts_ms.size, FIRST_MS - 1))
    ones = Samples(counters.ts_ms[:N_SAMPLES], np.ones(N_SAMPLES), np.array([0, N_SAMPLES]))
    target = label_table([[("__name__", "target_info"), ("instance", "i-0000"), ("job", "j"), ("zone", "z")]])
    storage = _Decoded({
        "c": _Tile(_sets("c", N_SERIES), counters), "begun": _Tile(_sets("begun", N_SERIES), begun),
        "h": _Tile(_sets("h", N_NATIVE), native), "target_info": _Tile(target, ones),
    })  # fmt: skip
    engine = Engine(EngineOptions(features=replace(Features.all(), x_functions=True), use_start_timestamps=True), 1)

    def ask(query: str) -> Result:
        with Budget(1 << 32) as budget:
            return engine.range(storage, query, FIRST_MS + 600_000, LAST_MS, 60_000, budget=budget)

    def ask_once(query: str) -> Result:
        with Budget(1 << 32) as budget:
            return engine.instant(storage, query, LAST_MS, budget=budget)

    for query in FLOATS:
        yield Row(f"`{query}`", "samples", counters.ts_ms.size, lambda q=query: ask(q))
    for query in NATIVE:
        yield Row(f"`{query}`, native", "histograms", native.ts_ms.size, lambda q=query: ask(q))
    for query in ("topk(5, c)", "topk by (group) (5, c)", "limitk(5, c)"):
        yield Row(f"`{query}`, instant", "samples", N_SERIES, lambda q=query: ask_once(q))
    answer = ask("h")
    yield Row("JSON matrix: native histograms", "histograms", N_NATIVE * 111, lambda: list(result_pieces(answer)))
    with Budget(1 << 32) as budget:
        inside = engine.instant(storage, "c[30m] anchored", LAST_MS, budget=budget)
        cut = engine.instant(storage, "c[30m]", LAST_MS, budget=budget)
    assert inside.samples is not None and cut.samples is not None
    n_cut = cut.samples.ts_ms.size
    yield Row("JSON of a range vector", "samples", n_cut, lambda: list(result_pieces(cut)))
    sets = _sets("c", N_SERIES)
    yield Row("JSON of label sets", "sets", N_SERIES, lambda: list(label_set_pieces(sets)))
