"""The way in: a query's text, its times and a storage become an answer."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64
from athanor.model.budget import Budget
from athanor.model.cancel import NEVER, CancelToken
from athanor.model.select import Selection, Storage, shares_reads
from athanor.model.tables import LabelTable, Samples, StepBlock, StepGrid
from athanor.promql import blocks
from athanor.promql.ast import Node, StringLiteral, children, unwrap
from athanor.promql.at_times import at_shifts
from athanor.promql.errors import QueryError
from athanor.promql.execute import Evaluation
from athanor.promql.explain import Explained, explain
from athanor.promql.features import Features
from athanor.promql.histogram_memory import charged_to
from athanor.promql.notes import Notes
from athanor.promql.parser import parse
from athanor.promql.planner import Planner, Settings
from athanor.promql.preprocess import QueryWindow, preprocess, require_range_type
from athanor.promql.reads import selector_reads
from athanor.promql.rows import TileRunner
from athanor.promql.rules import Rules
from athanor.promql.rules.matchers import with_conditions
from athanor.promql.rules.projection import with_projections
from athanor.promql.statistics import Measured, Statistics
from athanor.promql.x_functions import refuse_subqueries

MAX_DEPTH = 5_000  # levels of a tree; evaluation follows it with Python's own stack
FRAMES_PER_LEVEL = 10


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """lookback_ms: how old an instant sample may be; default_step_ms: of subqueries that name no step.

    use_start_timestamps: counters begin again where their samples say so.
    """

    lookback_ms: int = 300_000
    default_step_ms: int = 60_000
    features: Features = field(default_factory=Features)
    delayed_names: bool = False
    use_start_timestamps: bool = False
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Result:
    """An answer. type: scalar, vector, matrix or string.

    vector, matrix of a range query: `parts`, rows one part after the other (those without values left out; a matrix in
    label order); matrix of an instant query: `labels` and `samples` in label order; scalar: `scalar` float64[n];
    string: `string`. measured: what was read and how long it took, where that was asked for.
    """

    type: str
    grid: StepGrid
    notes: Notes
    query: bytes
    parts: tuple[StepBlock, ...] = ()
    labels: LabelTable | None = None
    samples: Samples | None = None
    scalar: F64 | None = None
    string: str | None = None
    measured: Measured | None = None

    @property
    def block(self) -> StepBlock | None:
        """All rows as one block, a copy where there are several parts."""
        return blocks.concat_blocks(self.grid, self.parts) if self.parts else None

    @property
    def warnings(self) -> list[str]:
        return self.notes.texts(self.query, infos=False)

    @property
    def infos(self) -> list[str]:
        return self.notes.texts(self.query, infos=True)


class QueryRun:
    """What a running query carries through the operators: cancellation and its annotations."""

    def __init__(self, cancel: CancelToken, notes: Notes) -> None:
        self._cancel, self._notes = cancel, notes

    def check(self) -> None:
        self._cancel.check()

    def warn(self, text: str) -> None:
        self._notes.warn(text)


class Engine:
    """Evaluates queries over any storage. One engine serves all queries of a process: it owns their worker threads."""

    def __init__(self, options: EngineOptions | None = None, n_threads: int = 2) -> None:
        self.options = options or EngineOptions()
        sys.setrecursionlimit(max(sys.getrecursionlimit(), MAX_DEPTH * FRAMES_PER_LEVEL))
        self._runner = TileRunner(n_threads)

    def instant(
        self,
        storage: Storage,
        query: str | bytes,
        at_ms: int,
        *,
        budget: Budget,
        cancel: CancelToken = NEVER,
        options: EngineOptions | None = None,
        measure: bool = False,
    ) -> Result:
        """Evaluate at one time. Raises ParseError, QueryError, OverBudget, Cancelled, NotAvailableError."""
        window = QueryWindow(at_ms, at_ms, 0)
        grid = StepGrid(at_ms, 0, 1)
        return self._evaluate(storage, query, window, grid, budget, cancel, options, is_range=False, measure=measure)

    def range(
        self,
        storage: Storage,
        query: str | bytes,
        first_ms: int,
        last_ms: int,
        step_ms: int,
        *,
        budget: Budget,
        cancel: CancelToken = NEVER,
        options: EngineOptions | None = None,
        measure: bool = False,
    ) -> Result:
        """Evaluate at first_ms, first_ms + step_ms, ... up to last_ms."""
        window = QueryWindow(first_ms, last_ms, step_ms)
        grid = StepGrid(first_ms, step_ms, (last_ms - first_ms) // step_ms + 1)
        return self._evaluate(storage, query, window, grid, budget, cancel, options, is_range=True, measure=measure)

    def explain(
        self, query: str | bytes, first_ms: int, last_ms: int, step_ms: int, *, options: EngineOptions | None = None
    ) -> Explained | None:
        """The operators as Thanos names them, None for what its engine leaves to that of Prometheus. step_ms: 0 for an
        instant query. Raises ParseError and QueryError."""
        window = QueryWindow(first_ms, last_ms, step_ms)
        return explain(_prepared(query, window, options or self.options, is_range=step_ms > 0)[0])

    def _evaluate(
        self,
        storage: Storage,
        query: str | bytes,
        window: QueryWindow,
        grid: StepGrid,
        budget: Budget,
        cancel: CancelToken,
        options: EngineOptions | None,
        is_range: bool,
        measure: bool,
    ) -> Result:
        options = options or self.options
        tree, encoded = _prepared(query, window, options, is_range=is_range)
        reads = selector_reads(tree, window, options.lookback_ms, options.default_step_ms)
        notes = Notes()
        settings = Settings(
            options.lookback_ms, options.default_step_ms, options.delayed_names, is_range,
            options.features.since_3_10, options.use_start_timestamps, options.rules,
        )  # fmt: skip
        selections = {read.selector: read.selection for read in reads}
        if options.rules.matchers:
            selections = with_conditions(tree, selections, partial(_hidden_labels, storage))
        if options.rules.projection:
            selections = with_projections(tree, selections)
        shifts = at_shifts(tree, window.first_ms, options.default_step_ms)
        planner = Planner(tree, selections, settings, budget.take, shifts)
        statistics = Statistics(budget) if measure else None
        evaluation = Evaluation(storage, self._runner, planner, budget, QueryRun(cancel, notes), notes, statistics)
        with charged_to(budget, cancel.check):
            result = _answer(evaluation, tree, grid, notes, encoded, is_range, options.delayed_names)
        if statistics is None:
            return result
        return replace(result, measured=Measured(statistics, tree, grid, planner.places, selections))

    def close(self) -> None:
        self._runner.close()


def _prepared(query: str | bytes, window: QueryWindow, options: EngineOptions, *, is_range: bool) -> tuple[Node, bytes]:
    """The tree to evaluate, and the query's bytes."""
    encoded = query.encode("utf-8", "surrogateescape") if isinstance(query, str) else query
    tree = parse(query, options.features)
    if options.features.x_functions:
        refuse_subqueries(tree, encoded)
    _check_depth(tree)
    if is_range:
        require_range_type(tree)
    return preprocess(tree, window), encoded


def _hidden_labels(storage: Storage, selection: Selection) -> frozenset[str]:
    return storage.sharing(selection).hidden_labels if shares_reads(storage) else frozenset()


def _check_depth(tree: Node) -> None:
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise QueryError(f"the expression is nested more than {MAX_DEPTH} levels deep; split it")
        level = [kid for node in level for kid in children(node)]


def _answer(
    evaluation: Evaluation, tree: Node, grid: StepGrid, notes: Notes, query: bytes, is_range: bool, delayed: bool
) -> Result:
    bare = unwrap(tree)
    if isinstance(bare, StringLiteral):
        return Result("string", grid, notes, query, string=bare.value)
    if tree.type == "scalar":
        scalar = evaluation.scalar(tree, grid)
        if not is_range:
            return Result("scalar", grid, notes, query, scalar=scalar)
        return Result("matrix", grid, notes, query, parts=(blocks.one_series(grid, scalar),))
    if tree.type == "matrix":
        table, samples = evaluation.matrix(tree, grid)
        return Result("matrix", grid, notes, query, labels=table, samples=samples)
    parts = _rows(evaluation, tree, grid, is_range, delayed)
    return Result("matrix" if is_range else "vector", grid, notes, query, parts=parts)


def _rows(evaluation: Evaluation, tree: Node, grid: StepGrid, is_range: bool, delayed: bool) -> tuple[StepBlock, ...]:
    if is_range and not delayed:
        parts = [blocks.without_empty_rows(blocks.full_width(part)) for part in evaluation.parts(tree, grid)]
        return tuple(parts) if len(parts) > 1 else (_sorted(parts[0]),)
    result = blocks.without_empty_rows(blocks.full_width(evaluation.vector(tree, grid)))
    if delayed and result.drop_name.any():
        result = _drop_marked(result)
    return (_sorted(result) if is_range else result,)


def _sorted(result: StepBlock) -> StepBlock:
    if labels.is_strictly_sorted(result.labels):
        return result
    ordered = blocks.take_rows(result, labels.sort_order(result.labels))
    return blocks.merge_equal(ordered)


def _drop_marked(result: StepBlock) -> StepBlock:
    """Delayed name removal: the marked series lose their names; those that became equal are merged or an error."""
    bare = labels.drop(result.labels, blocks.NAME_LABELS)
    rows = np.arange(len(result.labels)) + np.where(result.drop_name, len(result.labels), 0)
    table = labels.take(labels.concat([result.labels, bare]), rows)
    return blocks.merge_equal(
        StepBlock(result.grid, result.values, result.kind, table, np.zeros(len(table), np.bool_), result.histograms)
    )
