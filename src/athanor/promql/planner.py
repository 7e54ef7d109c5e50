"""From a prepared tree to a plan: where windows end, what runs inside tiles, which parts are evaluated once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from athanor.model.errors import NotAvailableError
from athanor.model.select import Selection
from athanor.model.tables import StepGrid
from athanor.promql import plan
from athanor.promql.aggregate import REDUCTIONS
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
from athanor.promql.at_times import first_step_ms
from athanor.promql.blocks import CELL_BYTES
from athanor.promql.errors import QueryError
from athanor.promql.extended import Extended, check_extension
from athanor.promql.functions import ROWWISE
from athanor.promql.info import info_selector, reference
from athanor.promql.plan import Equal, Kind, Operator
from athanor.promql.recursion import Recursive, run
from athanor.promql.rows import Wanted
from athanor.promql.rules import Rules
from athanor.promql.rules.equal_parts import structures
from athanor.promql.signatures import FUNCTIONS as SIGNATURES
from athanor.promql.signatures import X_FUNCTIONS
from athanor.promql.windows import WINDOW_FUNCTIONS

KEEPS_NAME = frozenset({"first_over_time", "last_over_time"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the whole evaluation shares.

    delayed: names are marked and dropped at the very end; since_3_10: annotations, and the choice of limit_ratio, as
    Prometheus of that version and later; else as Thanos with the library of 3.9.1. use_start_timestamps: counters
    begin again where their samples say so.
    """

    lookback_ms: int
    default_step_ms: int
    delayed: bool
    is_range: bool
    since_3_10: bool = True
    use_start_timestamps: bool = False
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Range:
    """Windows over a subquery (inside and its grid; None where no step falls into any window) or a selector.

    extended: the selector is anchored or smoothed.
    """

    first_ms: int
    step_ms: int
    range_ms: int
    selection: Selection | None = None
    inner_grid: StepGrid | None = None
    extended: Extended | None = None


def value_node(node: Node) -> Node:
    """The node behind parentheses and plus signs, which gives the same value."""
    while isinstance(node, Paren) or (isinstance(node, Unary) and node.op == "+"):
        node = node.expr
    return node


@dataclass(slots=True)
class Planner:
    """Plans of one query's nodes. reserve: asks the budget for what planning itself makes possible.

    shifts: see ``at_times``. places: the operator that gives the value of a node, as it was planned first.
    """

    root: Node
    selections: Mapping[VectorSelector, Selection]
    settings: Settings
    reserve: Callable[[str, int], None]
    shifts: Mapping[Node, int] = field(default_factory=dict)
    places: dict[Node, Operator] = field(init=False, default_factory=dict)
    _numbers: dict[Node, int] = field(init=False, default_factory=dict)
    _made: dict[tuple[int, StepGrid], Operator] = field(init=False, default_factory=dict)
    _uses: Counter[Operator] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        if self.settings.rules.equal_parts:
            self._numbers = structures(self.root, self.selections, self.shifts)

    def plan(self, node: Node, grid: StepGrid) -> Operator:
        """The plan of a vector or scalar node at these steps."""
        return run(self._scalar(node, grid) if node.type == "scalar" else self._vector(node, grid))

    def is_shared(self, operator: Operator) -> bool:
        """Whether the operator stands in more than one place of what was planned so far."""
        return self.n_uses(operator) > 1

    def n_uses(self, operator: Operator) -> int:
        """In how many places of what was planned so far the operator stands."""
        return self._uses[operator]

    def _vector(self, node: Node, grid: StepGrid) -> Recursive[Operator]:
        node = value_node(node)
        key = self._numbers.get(node, -1), grid
        made = self._made.get(key)
        if made is None:
            made = yield self._new_vector(node, grid)
            if key[0] >= 0:
                self._made[key] = made
        self._uses[made] += 1
        self.places.setdefault(node, made)
        return made

    def _new_vector(self, node: Node, grid: StepGrid) -> Recursive[Operator]:
        match node:
            case VectorSelector():
                return self._read(node, grid, "smoothed" if node.smoothed else "value")
            case StepInvariant():
                once = yield self._vector(node.expr, StepGrid(grid.first_ms, grid.step_ms, 1))
                return plan.Spread(name="a step-invariant part", grid=grid, kind=Kind.BREAKER, inputs=(once,))
            case Unary():
                inner = yield self._vector(node.expr, grid)
                return plan.Negate(name="-", **self._over_rows(inner))
            case Binary():
                return (yield from self._binary(node, grid))
            case Aggregation():
                return (yield from self._aggregation(node, grid))
            case Call():
                return (yield from self._call(node, grid))
            case _:
                raise AssertionError(f"BUG: {type(node).__name__} is no vector")

    def _over_rows(self, inner: Operator) -> dict[str, Any]:
        """What every row-by-row operator shares that drops names: rows stay unique where a selector has one name."""
        return {
            "grid": inner.grid, "kind": Kind.ROWS, "inputs": (inner,),
            # Equal labels are a mistake where they come about, even if what follows filters the cells away.
            "streams": inner.streams and inner.unique,
            "one_name": inner.one_name, "unique": inner.unique and inner.one_name, "equal": self._merging(),
        }  # fmt: skip

    def _merging(self) -> Equal:
        return Equal.CANNOT if self.settings.delayed else Equal.MERGE

    # ---- selectors and windows

    def _place(self, node: VectorSelector | Subquery, grid: StepGrid) -> tuple[int, int]:
        """Where the node's windows end: first and step in ms; with `@` they all end at the same time."""
        if node.timestamp_ms is not None:
            return node.timestamp_ms - node.offset_ms + self.shifts.get(node, 0), 0
        return grid.first_ms - node.offset_ms, grid.step_ms

    def _read(self, node: VectorSelector, grid: StepGrid, wanted: Wanted) -> Operator:
        first_ms, step_ms = self._place(node, grid)
        selection = self.selections[node]
        read = plan.Read(
            name="a selector", grid=grid, kind=Kind.ROWS, streams=True, selection=selection,
            one_name=selection.has_one_name, first_ms=first_ms, step_ms=step_ms, wanted=wanted,
            lookback_ms=self.settings.lookback_ms, skip_buckets=node.skip_buckets, at=node.start,
        )  # fmt: skip
        self.places.setdefault(node, read)
        return read

    def window_range(self, node: MatrixSelector | Subquery, grid: StepGrid) -> Range:
        """Where the windows of a range vector end, and what they see."""
        if isinstance(node, Subquery):
            first_ms, step_ms = self._place(node, grid)
            last_ms = first_ms + (grid.n - 1) * step_ms
            inner = self._inner_grid(node, first_ms, last_ms)
            # compat: its steps move with its @, the windows over them do not (promql/engine.go evalSubquery)
            return Range(first_ms - self.shifts.get(node, 0), step_ms, node.range_ms, inner_grid=inner)
        selector = node.selector
        extended = None
        if selector.anchored or selector.smoothed:
            extended = Extended("anchored" if selector.anchored else "smoothed", self.settings.lookback_ms)
        first_ms, step_ms = self._place(selector, grid)
        return Range(first_ms, step_ms, node.range_ms, selection=self.selections[selector], extended=extended)

    def _inner_grid(self, node: Subquery, first_ms: int, last_ms: int) -> StepGrid | None:
        """The subquery's own steps: multiples of its step on the absolute time axis inside all windows together."""
        step_ms = node.step_or(self.settings.default_step_ms)
        if step_ms <= 0:
            raise QueryError("unexpected error: runtime error: integer divide by zero")
        inner_first = first_step_ms(first_ms - node.range_ms, step_ms)
        inner_last = last_ms // step_ms * step_ms
        if inner_last < inner_first:
            return None
        n = (inner_last - inner_first) // step_ms + 1
        # Held to the end: nothing may allocate for the steps before it is known that they fit.
        self.reserve(f"a subquery of {n} steps", n * CELL_BYTES)
        return StepGrid(inner_first, step_ms, n)

    def _window(self, node: Call, grid: StepGrid, asked: str = "") -> Recursive[Operator]:
        """asked: the function of the query where another one answers for it."""
        matrix = unwrap(next(arg for arg in node.args if arg.type == "matrix"))
        assert isinstance(matrix, MatrixSelector | Subquery)
        scalars = yield self._scalars(node.args, grid)
        name, range_ = node.function.name, self.window_range(matrix, grid)
        if range_.extended is not None:
            check_extension(range_.extended.extension, asked or name)
        keeps_name = name in KEEPS_NAME
        inputs: tuple[Operator, ...] = ()
        streams, unique = True, True
        if isinstance(matrix, Subquery):
            if range_.inner_grid is None:
                return plan.Nothing(name=name, grid=grid, kind=Kind.BREAKER)
            inside = yield self._vector(matrix.expr, range_.inner_grid)
            inputs = (inside,)
            streams, unique = inside.streams and inside.unique, inside.unique
        if inputs:
            one_name = inputs[0].one_name
        else:
            one_name = range_.selection is not None and range_.selection.has_one_name
        window = plan.Window(
            name=name, grid=grid, kind=Kind.ROWS, inputs=inputs, scalars=scalars, streams=streams,
            one_name=one_name,
            unique=unique and (keeps_name or one_name), equal=Equal.CANNOT if self.settings.delayed else Equal.FAIL,
            selection=range_.selection, first_ms=range_.first_ms, step_ms=range_.step_ms, range_ms=range_.range_ms,
            extended=range_.extended,
            keeps_name=keeps_name, range_at=matrix.start if isinstance(matrix, MatrixSelector) else 0,
            argument_at=node.args[0].start,
            skip_buckets=isinstance(matrix, MatrixSelector) and matrix.selector.skip_buckets,
        )  # fmt: skip
        self.places.setdefault(matrix, window)
        return window

    # ---- functions

    def _call(self, node: Call, grid: StepGrid) -> Recursive[Operator]:
        name = node.function.name
        if name == "info":
            return (yield from self._info(node, grid))
        if name in WINDOW_FUNCTIONS or name in X_FUNCTIONS:
            return (yield from self._window(node, grid))
        if name in ("absent", "absent_over_time"):
            return (yield from self._absent(node, grid))
        if name in ("timestamp", "start_timestamp"):
            selector = unwrap(node.args[0])
            known = name == "timestamp" or self.settings.use_start_timestamps
            if known and isinstance(selector, VectorSelector) and not isinstance(node.args[0], StepInvariant):
                read = self._read(selector, grid, "time" if name == "timestamp" else "start")
                return plan.DropName(name=name, **self._over_rows(read))
        inputs = []
        for arg in node.args:
            if arg.type == "vector":
                inputs.append((yield self._vector(arg, grid)))
        scalars = yield self._scalars(node.args, grid)
        if name == "vector":
            return plan.FromScalar(name=name, grid=grid, kind=Kind.BREAKER, scalars=scalars)
        strings = tuple(a.value for a in map(unwrap, node.args) if isinstance(a, StringLiteral))
        if name in ROWWISE and inputs:
            return plan.Apply(name=name, **self._over_rows(inputs[0]), scalars=scalars, call=node, strings=strings)
        equal = self._merging()
        if name in ("label_replace", "label_join"):
            equal = Equal.MERGE
        elif name.startswith("sort"):
            equal = Equal.CANNOT
        return plan.Apply(
            name=name, grid=grid, kind=Kind.BREAKER, inputs=tuple(inputs), scalars=scalars, equal=equal, call=node,
            strings=strings,
        )  # fmt: skip

    def _info(self, node: Call, grid: StepGrid) -> Recursive[Operator]:
        inner = yield self._vector(node.args[0], grid)
        at_ms, before_ms = reference(node.args[0])
        first_ms, step_ms = (grid.first_ms, grid.step_ms) if at_ms is None else (at_ms, 0)
        return plan.Info(
            name="info", grid=grid, kind=Kind.BREAKER, inputs=(inner,), equal=Equal.MERGE,
            selector=info_selector(node), first_ms=first_ms - before_ms, step_ms=step_ms,
            lookback_ms=self.settings.lookback_ms,
            around_ms=next((selection.around_ms for selection in self.selections.values()), None),
        )  # fmt: skip

    def _absent(self, node: Call, grid: StepGrid) -> Recursive[Operator]:
        bare = unwrap(node.args[0])
        name = node.function.name
        if name == "absent":
            inner = yield self._vector(node.args[0], grid)
        else:
            inner = yield self._window(
                Call(SIGNATURES["present_over_time"], node.args, node.start, node.end), grid, name
            )
        if isinstance(bare, MatrixSelector):
            bare = bare.selector
        matchers = bare.matchers if isinstance(bare, VectorSelector) else ()
        return plan.Absent(name=name, grid=grid, kind=Kind.REDUCING, inputs=(inner,), matchers=matchers)

    # ---- aggregations and operators

    def _aggregation(self, node: Aggregation, grid: StepGrid) -> Recursive[Operator]:
        inner = yield self._vector(node.expr, grid)
        if node.op in REDUCTIONS:
            return plan.Reduce(
                name=node.op, grid=grid, kind=Kind.REDUCING, inputs=(inner,), op=node.op, grouping=node.grouping,
                without=node.without, expr_at=node.expr.start,
            )  # fmt: skip
        assert node.parameter is not None
        parameter = unwrap(node.parameter)
        label = ""
        scalars: tuple[Operator, ...] = ()
        if isinstance(parameter, StringLiteral):
            label = parameter.value
        else:
            scalars = ((yield self._scalar(node.parameter, grid)),)
        return plan.Choose(
            name=node.op, grid=grid, kind=Kind.BREAKER, inputs=(inner,), scalars=scalars, node=node,
            label=label,
        )  # fmt: skip

    def _binary(self, node: Binary, grid: StepGrid) -> Recursive[Operator]:
        if node.lhs.type == "scalar" or node.rhs.type == "scalar":
            on_left = node.lhs.type == "scalar"
            scalar = yield self._scalar(node.lhs if on_left else node.rhs, grid)
            inner = yield self._vector(node.rhs if on_left else node.lhs, grid)
            return plan.WithScalar(
                name=node.op, **self._over_rows(inner), scalars=(scalar,), op=node.op, scalar_on_left=on_left,
                return_bool=node.return_bool, at=node.start,
            )  # fmt: skip
        left = yield self._vector(node.lhs, grid)
        right = yield self._vector(node.rhs, grid)
        assert node.matching is not None
        return plan.Match(
            name=node.op, grid=grid, kind=Kind.BREAKER, inputs=(left, right), op=node.op, matching=node.matching,
            return_bool=node.return_bool, at=node.start,
        )  # fmt: skip

    # ---- scalars

    def _scalars(self, args: Sequence[Node], grid: StepGrid) -> Recursive[tuple[Operator, ...]]:
        found = []
        for arg in args:
            if arg.type == "scalar":
                found.append((yield self._scalar(arg, grid)))
        return tuple(found)

    def _scalar(self, node: Node, grid: StepGrid) -> Recursive[Operator]:
        node = value_node(node)
        made: Operator = yield self._new_scalar(node, grid)
        self.places.setdefault(node, made)
        return made

    def _new_scalar(self, node: Node, grid: StepGrid) -> Recursive[Operator]:
        match node:
            case NumberLiteral():
                return plan.Constant(name="a number", grid=grid, kind=Kind.SCALAR, value=node.value)
            case StepInvariant():
                once = yield self._scalar(node.expr, StepGrid(grid.first_ms, grid.step_ms, 1))
                return plan.ScalarOnce(name="a step-invariant scalar", grid=grid, kind=Kind.SCALAR, scalars=(once,))
            case Unary():
                inner = yield self._scalar(node.expr, grid)
                return plan.ScalarOperator(name="-", grid=grid, kind=Kind.SCALAR, scalars=(inner,), op="neg")
            case Binary():
                sides = yield self._scalars((node.lhs, node.rhs), grid)
                return plan.ScalarOperator(name=node.op, grid=grid, kind=Kind.SCALAR, scalars=sides, op=node.op)
            case Call():
                return (yield from self._scalar_call(node, grid))
            case _:
                raise AssertionError(f"BUG: {type(node).__name__} is no scalar")

    def _scalar_call(self, node: Call, grid: StepGrid) -> Recursive[Operator]:
        name = node.function.name
        match name:
            case "time":
                return plan.Time(name=name, grid=grid, kind=Kind.SCALAR)
            case "pi":
                return plan.Constant(name=name, grid=grid, kind=Kind.SCALAR, value=math.pi)
            case "scalar":
                inner = yield self._vector(node.args[0], grid)
                return plan.OnlyValue(name=name, grid=grid, kind=Kind.SCALAR, inputs=(inner,))
            case "max_of" | "min_of":
                sides = yield self._scalars(node.args, grid)
                return plan.ScalarOperator(name=name, grid=grid, kind=Kind.SCALAR, scalars=sides, op=name)
            case _:
                raise NotAvailableError(name)
