"""Evaluates a prepared tree: every node for all its steps in one call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64
from athanor.model.budget import Budget
from athanor.model.errors import NotAvailableError
from athanor.model.matchers import MatchType
from athanor.model.select import QueryContext, Selection, Storage
from athanor.model.tables import LabelTable, Samples, StepBlock, StepGrid
from athanor.model.workspace import Workspace
from athanor.promql import blocks
from athanor.promql.aggregate import Reduction, select_aggregate
from athanor.promql.ast import (
    Aggregation,
    Binary,
    Call,
    MatrixSelector,
    Node,
    NumberLiteral,
    Paren,
    StepInvariant,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
    unwrap,
)
from athanor.promql.binary import scalar_scalar, unary_minus, vector_scalar, vector_vector
from athanor.promql.duration_value import go_max, go_min
from athanor.promql.errors import QueryError
from athanor.promql.functions import FUNCTIONS, ROWWISE, FunctionCall, absent, absent_labels, scalar_of
from athanor.promql.notes import Notes
from athanor.promql.printer import text
from athanor.promql.rows import (
    CELL_BYTES,
    RowSource,
    TileRunner,
    WindowCall,
    instant_rows,
    samples_of,
    subquery_rows,
    window_rows,
)
from athanor.promql.step_kernels import cut_samples
from athanor.promql.windows import WINDOW_FUNCTIONS

REDUCING = frozenset({"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"})
KEEPS_NAME = frozenset({"first_over_time", "last_over_time"})
SHARED_TEXT_LIMIT = 2_000  # bytes of query text up to which equal parts are looked for


@dataclass(frozen=True, slots=True)
class Settings:
    """What the whole evaluation shares.

    delayed: names are marked and dropped at the very end; since_3_10: annotations of that version and later.
    """

    lookback_ms: int
    default_step_ms: int
    delayed: bool
    is_range: bool
    since_3_10: bool = True


class Evaluation:
    """One query's evaluation. Blocks that a node has consumed are given back to the budget at once."""

    def __init__(
        self,
        storage: Storage,
        runner: TileRunner,
        selections: Mapping[VectorSelector, Selection],
        settings: Settings,
        budget: Budget,
        context: QueryContext,
        notes: Notes,
        shared_texts: frozenset[str] = frozenset(),
    ) -> None:
        self._storage, self._runner, self._selections = storage, runner, selections
        self._settings, self._budget, self._context, self._notes = settings, budget, context, notes
        self._shared_texts = shared_texts
        self._shared: dict[tuple[str, StepGrid], StepBlock] = {}

    # ---- vectors

    def vector(self, node: Node, grid: StepGrid) -> StepBlock:
        """The node at every step, as one block of all its series."""
        key = None
        if self._shared_texts and not isinstance(node, Paren | StepInvariant):
            key = (text(node), grid)
            if key[0] not in self._shared_texts:
                key = None
            elif key in self._shared:
                return self._shared[key]
        result = self._vector(node, grid)
        if key is not None:
            self._shared[key] = result
        return result

    def _vector(self, node: Node, grid: StepGrid) -> StepBlock:
        self._context.check()
        source = self._rows(node, grid)
        if source is not None:
            return self._checked(node, self._collect(source))
        match node:
            case Paren():
                return self.vector(node.expr, grid)
            case StepInvariant():
                return self._invariant(node, grid)
            case Aggregation():
                return self._aggregate(node, grid)
            case Binary():
                return self._binary(node, grid)
            case Unary():
                inner = self.vector(node.expr, grid)
                return blocks.merge_equal(unary_minus(inner, self._settings.delayed)) if node.op == "-" else inner
            case Call():
                return self._call(node, grid)
            case _:
                raise AssertionError(f"BUG: {type(node).__name__} is no vector")

    def _invariant(self, node: StepInvariant, grid: StepGrid) -> StepBlock:
        once = self.vector(node.expr, StepGrid(grid.first_ms, grid.step_ms, 1))
        self._budget.take("a step-invariant part spread over all steps", once.values.shape[0] * grid.n * CELL_BYTES)
        return blocks.full_width(StepBlock(grid, once.values, once.kind, once.labels, once.drop_name, once.histograms))

    def _collect(self, source: RowSource) -> StepBlock:
        parts = []
        for part, _ in self._runner.run(self._storage, source, self._budget, self._context):
            parts.append(part)
        return blocks.concat_blocks(source.grid, parts)

    def _checked(self, node: Node, result: StepBlock) -> StepBlock:
        """Equal label sets are an error: anywhere in the range for range functions, else where they meet at a step."""
        bare = unwrap(node)
        if isinstance(bare, VectorSelector):
            return result
        if self._settings.delayed:
            return result
        if isinstance(bare, Call) and bare.function.name in WINDOW_FUNCTIONS:
            blocks.check_unique(result)
            return result
        return blocks.merge_equal(result)

    # ---- row by row

    def _place(self, node: VectorSelector | Subquery, grid: StepGrid) -> tuple[int, int]:
        """Where the node's windows end: first and step in ms; with `@` they all end at the same time."""
        if node.timestamp_ms is not None:
            return node.timestamp_ms - node.offset_ms, 0
        return grid.first_ms - node.offset_ms, grid.step_ms

    def _rows(self, node: Node, grid: StepGrid) -> RowSource | None:
        """The node as rows of one selector, where it is that."""
        match node:
            case Paren():
                return self._rows(node.expr, grid)
            case VectorSelector():
                return self._instant(node, grid, as_time=False)
            case Unary() if node.op == "-":
                inner = self._rows(node.expr, grid)
                return None if inner is None else self._named(inner.then(self._minus))
            case Binary():
                return self._scalar_operator_rows(node, grid)
            case Call():
                return self._call_rows(node, grid)
            case _:
                return None

    def _minus(self, source: StepBlock) -> StepBlock:
        return unary_minus(source, self._settings.delayed)

    def _named(self, source: RowSource) -> RowSource:
        """After the name was dropped: rows stay unique only where the selector has one name."""
        named = any(
            m.type is MatchType.EQ and m.name == labels.METRIC_NAME and m.value for m in source.selection.matchers
        )
        return replace(source, unique=source.unique and named)

    def _instant(self, node: VectorSelector, grid: StepGrid, as_time: bool) -> RowSource:
        if node.smoothed:
            raise NotAvailableError("smoothed selectors")
        first_ms, step_ms = self._place(node, grid)
        return instant_rows(self._selections[node], grid, first_ms, step_ms, self._settings.lookback_ms, as_time)

    def _scalar_operator_rows(self, node: Binary, grid: StepGrid) -> RowSource | None:
        left_is_scalar, right_is_scalar = node.lhs.type == "scalar", node.rhs.type == "scalar"
        if left_is_scalar == right_is_scalar:
            return None
        inner = self._rows(node.rhs if left_is_scalar else node.lhs, grid)
        if inner is None:
            return None
        scalar = self.scalar(node.lhs if left_is_scalar else node.rhs, grid)
        op, return_bool, at, delayed = node.op, node.return_bool, node.start, self._settings.delayed
        notes = self._notes

        def stage(source: StepBlock) -> StepBlock:
            return vector_scalar(op, source, scalar, left_is_scalar, return_bool, notes, at, delayed)

        return self._named(inner.then(stage))

    def _call_rows(self, node: Call, grid: StepGrid) -> RowSource | None:
        name = node.function.name
        if name in WINDOW_FUNCTIONS:
            return self._window_rows(node, grid)
        if name == "timestamp":
            selector = unwrap(node.args[0])
            if isinstance(selector, VectorSelector) and isinstance(node.args[0], Paren | VectorSelector):
                times = self._instant(selector, grid, as_time=True)
                delayed = self._settings.delayed
                return self._named(times.then(lambda b: _mark(b) if delayed else blocks.drop_names(b)))
            return None
        if name not in ROWWISE or not node.args or node.args[0].type != "vector":
            return None
        inner = self._rows(node.args[0], grid)
        if inner is None:
            return None
        scalars = tuple(self.scalar(arg, grid) for arg in node.args if arg.type == "scalar")
        function = FUNCTIONS[name]
        return self._named(inner.then(lambda b: function(self._function_call(node, grid, (b,), scalars))))

    def _window_call(
        self, node: Call, grid: StepGrid, first_ms: int, step_ms: int, range_ms: int, at: int
    ) -> WindowCall:
        args = tuple(self.scalar(arg, grid) for arg in node.args if arg.type == "scalar")
        name = node.function.name
        self._check_window_arguments(node, args)
        return WindowCall(name, first_ms, step_ms, range_ms, args, name not in KEEPS_NAME, self._notes, at)

    def _check_window_arguments(self, node: Call, args: Sequence[F64]) -> None:
        name = node.function.name
        if name == "quantile_over_time":
            self._note_quantile(args[0], node.args[0].start)
        if name == "double_exponential_smoothing":
            for what, factors in zip(
                ("smoothing factor. Expected: 0 < sf < 1", "trend factor. Expected: 0 < tf < 1"), args, strict=True
            ):
                bad = factors[(factors <= 0) | (factors >= 1)]
                if bad.size:
                    raise QueryError(f"invalid {what}, got: {bad[0]:f}")

    def _note_quantile(self, q: F64, at: int) -> None:
        from athanor.promql.floats import general

        for bad in q[np.isnan(q) | (q < 0) | (q > 1)][:1]:
            self._notes.warn(f"quantile value should be between 0 and 1, got {general(float(bad))}", at)

    def _matrix(self, node: Call) -> Node:
        return unwrap(next(arg for arg in node.args if arg.type == "matrix"))

    def _window_rows(self, node: Call, grid: StepGrid) -> RowSource | None:
        matrix = self._matrix(node)
        delayed = self._settings.delayed
        keeps = node.function.name in KEEPS_NAME
        if isinstance(matrix, MatrixSelector):
            selector = matrix.selector
            if selector.anchored or selector.smoothed:
                raise NotAvailableError("anchored selectors" if selector.anchored else "smoothed selectors")
            first_ms, step_ms = self._place(selector, grid)
            call = self._window_call(node, grid, first_ms, step_ms, matrix.range_ms, matrix.start)
            source = window_rows(self._selections[selector], grid, call, unique=True, delayed=delayed)
            return source if keeps else self._named(source)
        if not isinstance(matrix, Subquery):
            raise AssertionError(f"BUG: {type(matrix).__name__} is no range vector")
        inner_grid, first_ms, step_ms = self._subquery_grid(matrix, grid)
        if inner_grid is None:
            return None
        inner = self._rows(matrix.expr, inner_grid)
        if inner is None or not inner.unique:
            return None
        call = self._window_call(node, grid, first_ms, step_ms, matrix.range_ms, 0)
        source = subquery_rows(inner, grid, call, unique=True, delayed=delayed)
        return source if keeps else self._named(source)

    def _subquery_grid(self, node: Subquery, grid: StepGrid) -> tuple[StepGrid | None, int, int]:
        """The subquery's own steps: multiples of its step on the absolute time axis inside all windows together."""
        first_ms, step_ms = self._place(node, grid)
        last_ms = first_ms + (grid.n - 1) * step_ms
        inner_step_ms = node.step_ms if node.step_ns else self._settings.default_step_ms
        if inner_step_ms <= 0:
            raise QueryError("unexpected error: runtime error: integer divide by zero")
        inner_first = ((first_ms - node.range_ms) // inner_step_ms + 1) * inner_step_ms
        inner_last = last_ms // inner_step_ms * inner_step_ms
        if inner_last < inner_first:
            return None, first_ms, step_ms
        n = (inner_last - inner_first) // inner_step_ms + 1
        # Held to the end: nothing may allocate for the steps before it is known that they fit.
        self._budget.take(f"a subquery of {n} steps", n * CELL_BYTES)
        return StepGrid(inner_first, inner_step_ms, n), first_ms, step_ms

    # ---- breakers

    def _aggregate(self, node: Aggregation, grid: StepGrid) -> StepBlock:
        if node.op in REDUCING:
            return self._reduce(node, grid)
        inner = self.vector(node.expr, grid)
        assert node.parameter is not None
        parameter = unwrap(node.parameter)
        value: F64 | str = (
            parameter.value if isinstance(parameter, StringLiteral) else self.scalar(node.parameter, grid)
        )
        return select_aggregate(
            node.op, inner, value, node.grouping, node.without, self._notes,
            node.parameter.start, node.expr.start, node.start, self._settings.is_range, check=self._context.check,
        )  # fmt: skip

    def _reduce(self, node: Aggregation, grid: StepGrid) -> StepBlock:
        reduction = Reduction(node.op, node.grouping, node.without, grid)
        source = self._rows(node.expr, grid)
        if source is None or not source.unique or (text(unwrap(node.expr)) in self._shared_texts):
            reduction.add(self.vector(node.expr, grid))
        else:
            for part, held in self._runner.run(self._storage, source, self._budget, self._context):
                reduction.add(part)
                self._budget.give(held)
        if reduction.ignored_histograms:
            self._notes.info(f"ignored histogram in {node.op} aggregation", node.expr.start)
        return reduction.finish()

    def _binary(self, node: Binary, grid: StepGrid) -> StepBlock:
        delayed = self._settings.delayed
        if node.lhs.type == "scalar" or node.rhs.type == "scalar":
            on_left = node.lhs.type == "scalar"
            scalar = self.scalar(node.lhs if on_left else node.rhs, grid)
            inner = self.vector(node.rhs if on_left else node.lhs, grid)
            result = vector_scalar(node.op, inner, scalar, on_left, node.return_bool, self._notes, node.start, delayed)
            return self._checked(node, result)
        left = self.vector(node.lhs, grid)
        right = self.vector(node.rhs, grid)
        assert node.matching is not None
        return vector_vector(node.op, left, right, node.matching, node.return_bool, self._notes, node.start, delayed)

    def _call(self, node: Call, grid: StepGrid) -> StepBlock:
        name = node.function.name
        if name == "info":
            raise NotAvailableError("info")
        if name in WINDOW_FUNCTIONS:
            return self._checked(node, self._subquery_window(node, grid))
        if name == "absent_over_time":
            return self._absent_over_time(node, grid)
        if name == "absent":
            return absent(self.vector(node.args[0], grid), self._absent_table(node.args[0]))
        if name == "vector":
            scalar = self.scalar(node.args[0], grid)
            return blocks.block(grid, labels.empty_sets(1), scalar[None, :].copy(), np.ones((1, grid.n), np.uint8))
        vectors = tuple(self.vector(arg, grid) for arg in node.args if arg.type == "vector")
        scalars = tuple(self.scalar(arg, grid) for arg in node.args if arg.type == "scalar")
        result = FUNCTIONS[name](self._function_call(node, grid, vectors, scalars))
        if name in ("label_replace", "label_join"):
            return blocks.merge_equal(result)
        return result if name.startswith("sort") else self._checked(node, result)

    def _function_call(
        self, node: Call, grid: StepGrid, vectors: tuple[StepBlock, ...], scalars: tuple[F64, ...]
    ) -> FunctionCall:
        strings = tuple(a.value for a in map(unwrap, node.args) if isinstance(a, StringLiteral))
        return FunctionCall(
            name=node.function.name, grid=grid, vectors=vectors, scalars=scalars, strings=strings, notes=self._notes,
            at=node.start, arg_at=tuple(arg.start for arg in node.args), is_range=self._settings.is_range,
            delayed=self._settings.delayed, check=self._context.check, since_3_10=self._settings.since_3_10,
        )  # fmt: skip

    def _subquery_window(self, node: Call, grid: StepGrid) -> StepBlock:
        """A range function over a subquery whose inside needs every series at once."""
        matrix = self._matrix(node)
        assert isinstance(matrix, Subquery)
        inner_grid, first_ms, step_ms = self._subquery_grid(matrix, grid)
        call = self._window_call(node, grid, first_ms, step_ms, matrix.range_ms, 0)
        if inner_grid is None:
            return blocks.empty_block(grid)
        inner = blocks.full_width(self.vector(matrix.expr, inner_grid))
        return call.evaluate_block(inner, grid, Workspace(), self._settings.delayed)

    def _absent_over_time(self, node: Call, grid: StepGrid) -> StepBlock:
        present = Call(_function("present_over_time"), node.args, node.start, node.end)
        source = self._rows(present, grid)
        result = self._collect(source) if source is not None else self._subquery_window(present, grid)
        return absent(result, self._absent_table(node.args[0]))

    def _absent_table(self, node: Node) -> LabelTable:
        bare = unwrap(node)
        if isinstance(bare, MatrixSelector):
            bare = bare.selector
        return absent_labels(bare.matchers if isinstance(bare, VectorSelector) else ())

    # ---- scalars

    def scalar(self, node: Node, grid: StepGrid) -> F64:
        """float64[n]: a scalar expression at every step."""
        match node:
            case NumberLiteral():
                return np.full(grid.n, node.value)
            case Paren():
                return self.scalar(node.expr, grid)
            case StepInvariant():
                return np.full(grid.n, self.scalar(node.expr, StepGrid(grid.first_ms, grid.step_ms, 1))[0])
            case Unary():
                inner = self.scalar(node.expr, grid)
                return -inner if node.op == "-" else inner
            case Binary():
                return scalar_scalar(node.op, self.scalar(node.lhs, grid), self.scalar(node.rhs, grid))
            case Call():
                return self._scalar_call(node, grid)
            case _:
                raise AssertionError(f"BUG: {type(node).__name__} is no scalar")

    def _scalar_call(self, node: Call, grid: StepGrid) -> F64:
        match node.function.name:
            case "time":
                return grid.steps_ms() / 1000.0
            case "pi":
                return np.full(grid.n, math.pi)
            case "scalar":
                return scalar_of(blocks.full_width(self.vector(node.args[0], grid)))
            case "max_of" | "min_of":
                choose = go_max if node.function.name == "max_of" else go_min
                pair = (self.scalar(arg, grid) for arg in node.args)
                return np.array([choose(a, b) for a, b in zip(*(p.tolist() for p in pair), strict=True)])
            case name:
                raise NotAvailableError(name)

    # ---- range vectors as an answer

    def matrix(self, node: Node, grid: StepGrid) -> tuple[LabelTable, Samples]:
        """The samples of a range selector or subquery at one step: what an instant query of it answers."""
        bare = unwrap(node)
        if isinstance(bare, Subquery):
            inner_grid, _, _ = self._subquery_grid(bare, grid)
            if inner_grid is None:
                return labels.empty_sets(0), Samples(np.empty(0, np.int64), np.empty(0), np.zeros(1, np.int64))
            inner = blocks.without_empty_rows(blocks.full_width(self.vector(bare.expr, inner_grid)))
            return inner.labels, samples_of(inner, Workspace())
        assert isinstance(bare, MatrixSelector)
        selector = bare.selector
        if selector.anchored or selector.smoothed:
            raise NotAvailableError("anchored selectors" if selector.anchored else "smoothed selectors")
        end_ms, _ = self._place(selector, grid)
        workspace = Workspace()
        tables, ts, values, counts = [], [], [], []
        for tile in self._storage.select(self._selections[selector], self._budget, self._context):
            self._context.check()
            cut = _cut(tile.samples(workspace), end_ms - bare.range_ms, end_ms)
            sizes = np.diff(cut.offsets)
            tables.append(labels.take(tile.labels, np.flatnonzero(sizes)))
            ts.append(cut.ts_ms)
            values.append(cut.values)
            counts.append(sizes[sizes > 0])
        if not tables:
            return labels.empty_sets(0), Samples(np.empty(0, np.int64), np.empty(0), np.zeros(1, np.int64))
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.concatenate(counts))))
        return labels.concat(tables), Samples(np.concatenate(ts), np.concatenate(values), offsets)


def _cut(samples: Samples, after_ms: int, last_ms: int) -> Samples:
    n = samples.values.size
    ts, values, offsets = np.empty(n, np.int64), np.empty(n), np.empty(samples.offsets.size, np.int64)
    if samples.kind is not None:
        raise NotAvailableError("native histograms")
    kept = cut_samples(samples.ts_ms, samples.values, samples.offsets, after_ms, last_ms, ts, values, offsets)
    return Samples(ts[:kept], values[:kept], offsets)


def _mark(source: StepBlock) -> StepBlock:
    drop = np.ones(len(source.labels), np.bool_)
    return StepBlock(source.grid, source.values, source.kind, source.labels, drop, source.histograms)


def _function(name: str):  # type: ignore[no-untyped-def]
    from athanor.promql.signatures import FUNCTIONS as SIGNATURES

    return SIGNATURES[name]
