"""The tree of a query.

Every node is immutable and knows its place in the text: start (included) and end (excluded), in bytes. Nodes compare by
identity, so that they can be keys of a plan; `printer.text` gives the normal form to compare by meaning. `type` is the
node's value type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from athanor.model.matchers import Matcher
from athanor.promql.durations import ms_of_ns
from athanor.promql.signatures import Function, ValueType

Cardinality = Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"]
AtPlace = Literal["start", "end"]

COMPARISONS = frozenset({"==", "!=", "<=", "<", ">=", ">"})
TRIMS = frozenset({"</", ">/"})
SET_OPERATORS = frozenset({"and", "or", "unless"})
EXPERIMENTAL_AGGREGATORS = frozenset({"limitk", "limit_ratio"})
AGGREGATORS_WITH_PARAMETER = EXPERIMENTAL_AGGREGATORS | {"topk", "bottomk", "count_values", "quantile"}
AGGREGATORS = AGGREGATORS_WITH_PARAMETER | {"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"}


@dataclass(frozen=True, slots=True, eq=False)
class NumberLiteral:
    """A number; `duration` remembers that it was written as `5m`, value is in seconds then."""

    value: float
    start: int
    end: int
    duration: bool = False

    @property
    def type(self) -> ValueType:
        return "scalar"


@dataclass(frozen=True, slots=True, eq=False)
class StringLiteral:
    """A string; bytes that are no UTF-8 are surrogate escapes."""

    value: str
    start: int
    end: int

    @property
    def type(self) -> ValueType:
        return "string"


@dataclass(frozen=True, slots=True, eq=False)
class DurationExpr:
    """Arithmetic inside `[...]` or after `offset`, in seconds.

    op: + - * / % ^ (lhs None: a sign), step, range (no operands), max_of, min_of. wrapped: it stood in parentheses.
    """

    op: str
    lhs: DurationNode | None
    rhs: DurationNode | None
    start: int
    end: int
    wrapped: bool = False

    @property
    def type(self) -> ValueType:
        return "scalar"


DurationNode: TypeAlias = NumberLiteral | DurationExpr


@dataclass(frozen=True, slots=True, eq=False)
class VectorSelector:
    """`name{matchers} offset o @ t`; a name outside the braces is also the last matcher.

    offset_expr is what was written, offset_ns its value once known. any_series: the second argument of info(), which
    may match everything. skip_buckets: only count and sum of native histograms are needed (set by the planner).
    """

    name: str
    matchers: tuple[Matcher, ...]
    start: int
    end: int
    offset_ns: int = 0
    offset_expr: DurationExpr | None = None
    timestamp_ms: int | None = None
    start_or_end: AtPlace | None = None
    anchored: bool = False
    smoothed: bool = False
    any_series: bool = False
    skip_buckets: bool = False

    @property
    def type(self) -> ValueType:
        return "vector"

    @property
    def offset_ms(self) -> int:
        return ms_of_ns(self.offset_ns)


@dataclass(frozen=True, slots=True, eq=False)
class MatrixSelector:
    """`selector[range]`; offset, @ and anchored/smoothed live in the selector."""

    selector: VectorSelector
    range_ns: int
    start: int
    end: int
    range_expr: DurationExpr | None = None

    @property
    def type(self) -> ValueType:
        return "matrix"

    @property
    def range_ms(self) -> int:
        return ms_of_ns(self.range_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Subquery:
    """`expr[range:step] offset o @ t`; step_ns 0 without a step_expr means the default step."""

    expr: Node
    range_ns: int
    start: int
    end: int
    step_ns: int = 0
    range_expr: DurationExpr | None = None
    step_expr: DurationExpr | None = None
    offset_ns: int = 0
    offset_expr: DurationExpr | None = None
    timestamp_ms: int | None = None
    start_or_end: AtPlace | None = None

    @property
    def type(self) -> ValueType:
        return "matrix"

    @property
    def range_ms(self) -> int:
        return ms_of_ns(self.range_ns)

    @property
    def step_ms(self) -> int:
        return ms_of_ns(self.step_ns)

    def step_or(self, default_ms: int) -> int:
        """Its step, in ms, or the default where it names none."""
        return self.step_ms if self.step_ns else default_ms

    @property
    def offset_ms(self) -> int:
        return ms_of_ns(self.offset_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    function: Function
    args: tuple[Node, ...]
    start: int
    end: int

    @property
    def type(self) -> ValueType:
        return self.function.return_type


@dataclass(frozen=True, slots=True, eq=False)
class Aggregation:
    op: str
    expr: Node
    parameter: Node | None
    grouping: tuple[str, ...]
    without: bool
    start: int
    end: int

    @property
    def type(self) -> ValueType:
        return "vector"


@dataclass(frozen=True, slots=True)
class Matching:
    """How the series of two sides find each other; labels belong to `on` or `ignoring`, include to group_left/right."""

    card: Cardinality = "one-to-one"
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    fill_lhs: float | None = None
    fill_rhs: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Binary:
    """`lhs op rhs`; matching is None when a side is no instant vector."""

    op: str
    lhs: Node
    rhs: Node
    matching: Matching | None
    return_bool: bool
    type: ValueType
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Unary:
    op: str
    expr: Node
    type: ValueType
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Paren:
    expr: Node
    type: ValueType
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class StepInvariant:
    """A part whose answer is the same at every step; made by the planner, never by the parser."""

    expr: Node

    @property
    def type(self) -> ValueType:
        return self.expr.type

    @property
    def start(self) -> int:
        return self.expr.start

    @property
    def end(self) -> int:
        return self.expr.end


Node: TypeAlias = (
    NumberLiteral
    | StringLiteral
    | DurationExpr
    | VectorSelector
    | MatrixSelector
    | Subquery
    | Call
    | Aggregation
    | Binary
    | Unary
    | Paren
    | StepInvariant
)


def children(node: Node) -> tuple[Node, ...]:
    """The operands of a node in the order of the type check: an aggregation's expression comes before its parameter."""
    match node:
        case Binary():
            return (node.lhs, node.rhs)
        case Call():
            return node.args
        case Aggregation():
            return (node.expr,) if node.parameter is None else (node.expr, node.parameter)
        case Subquery() | Unary() | Paren() | StepInvariant():
            return (node.expr,)
        case MatrixSelector():
            return (node.selector,)
        case _:
            return ()


def with_children(node: Node, kids: Sequence[Node]) -> Node:
    """The same node over other operands, in the order of `children`; itself when they are the same."""
    if all(new is old for new, old in zip(kids, children(node), strict=True)):
        return node
    match node:
        case Binary():
            return replace(node, lhs=kids[0], rhs=kids[1])
        case Call():
            return replace(node, args=tuple(kids))
        case Aggregation():
            return replace(node, expr=kids[0], parameter=kids[1] if len(kids) > 1 else None)
        case MatrixSelector():
            selector = kids[0]
            assert isinstance(selector, VectorSelector)
            return replace(node, selector=selector)
        case Subquery() | Unary() | Paren() | StepInvariant():
            return replace(node, expr=kids[0])
        case _:
            raise AssertionError(f"BUG: {type(node).__name__} has no operands")


def walk(root: Node) -> Iterator[Node]:
    """Every node, parents before children, left to right; survives any depth."""
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


Result = TypeVar("Result")


def fold(
    root: Node,
    combine: Callable[[Node, list[Result]], Result],
    operands: Callable[[Node], Sequence[Node]] = children,
) -> Result:
    """Results from the leaves up: combine gets a node and the results of its operands; survives any depth."""
    results: list[Result] = []
    stack: list[tuple[Node, int]] = [(root, -1)]
    while stack:
        node, n_kids = stack.pop()
        if n_kids < 0:
            kids = operands(node)
            stack.append((node, len(kids)))
            stack.extend((kid, -1) for kid in reversed(kids))
        else:
            first = len(results) - n_kids
            combined = combine(node, results[first:])
            del results[first:]
            results.append(combined)
    return results[0]


def unwrap(node: Node) -> Node:
    """The node behind parentheses and step-invariant wrappers."""
    while isinstance(node, Paren | StepInvariant):
        node = node.expr
    return node
