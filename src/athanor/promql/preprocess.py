"""Tree as written -> tree to evaluate, for one query window.

In this order (prometheus promql/engine.go PreprocessExpr): mark selectors that need no histogram buckets; fold start(),
end(), range() and step(); compute duration expressions; resolve `@ start()`, drop parentheses around arguments and wrap
the outermost parts that are the same at every step. Nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from athanor.promql.ast import (
    TRIMS,
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
    children,
    fold,
    walk,
    with_children,
)
from athanor.promql.duration_value import QueryTimes, duration_value_ns
from athanor.promql.errors import QueryError
from athanor.promql.signatures import TYPE_NAMES

_STATISTICS = frozenset({"histogram_count", "histogram_sum", "histogram_avg"})
_NEED_BUCKETS = frozenset({"histogram_quantile", "histogram_quantiles", "histogram_fraction"})
_FOLDED = frozenset({"start", "end", "range", "step"})
# Functions whose answer depends on the step although their argument may not (promql/functions.go).
_STEP_DEPENDENT = frozenset(
    {"days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month"}
) | {
    "year",
    "predict_linear",
    "time",
    "timestamp",
    *_FOLDED,
}


@dataclass(frozen=True, slots=True)
class QueryWindow:
    """The steps of a query: first_ms, first_ms + step_ms, ... up to last_ms; step_ms is 0 for an instant query."""

    first_ms: int
    last_ms: int
    step_ms: int = 0


_Invariance: TypeAlias = tuple[Node, bool, bool]  # new node, same at every step, worth wrapping


def preprocess(root: Node, window: QueryWindow) -> Node:
    """The tree to evaluate. Raises QueryError when a duration expression has no usable value."""
    root = _resolve(root, window)
    node, _, wrap = fold(root, lambda node, kids: _invariance(node, kids, window), _seen_operands)
    return StepInvariant(node) if wrap else node


def require_range_type(root: Node) -> None:
    """Raises QueryError when the expression cannot be asked over a range of steps."""
    if root.type not in ("scalar", "vector"):
        got = TYPE_NAMES[root.type]
        raise QueryError(f'invalid expression type "{got}" for range query, must be Scalar or instant Vector')


# ---- selectors, constants, durations


def _resolve(root: Node, window: QueryWindow) -> Node:
    """Step-independent values in place: constants, durations, the histogram mark."""
    changed = _durations(root, window)
    statistics = _statistics_selectors(root)

    def combine(node: Node, kids: list[Node]) -> Node:
        if isinstance(node, Call) and node.function.name in _FOLDED:
            return NumberLiteral(_constant(node.function.name, window), node.start, node.end)
        new = changed.get(node, node)
        if isinstance(new, VectorSelector):
            return replace(new, skip_buckets=True) if node in statistics else new
        return with_children(new, kids)

    return fold(root, combine)


def _constant(name: str, window: QueryWindow) -> float:
    """Seconds. compat: step() is 0 when start and end are equal."""
    if name == "start":
        return window.first_ms / 1000
    if name == "end":
        return window.last_ms / 1000
    if name == "range":
        return (window.last_ms - window.first_ms) / 1000
    return 0.0 if window.first_ms == window.last_ms else window.step_ms / 1000


def _durations(root: Node, window: QueryWindow) -> dict[Node, Node]:
    """Nodes with duration expressions -> the same with their values; in reading order, which decides the error."""
    times = QueryTimes(window.step_ms / 1000, (window.last_ms - window.first_ms) / 1000)
    changed: dict[Node, Node] = {}
    for node in walk(root):
        if isinstance(node, VectorSelector | Subquery) and node.offset_expr is not None:
            offset_ns = duration_value_ns(node.offset_expr, times, negative=True)
            changed[node] = replace(node, offset_ns=offset_ns)
        if isinstance(node, Subquery):
            new = changed.get(node, node)
            assert isinstance(new, Subquery)
            if node.step_expr is not None:
                new = replace(new, step_ns=duration_value_ns(node.step_expr, times))
            if node.range_expr is not None:
                new = replace(new, range_ns=duration_value_ns(node.range_expr, times))
            changed[node] = new
        elif isinstance(node, MatrixSelector) and node.range_expr is not None:
            changed[node] = replace(node, range_ns=duration_value_ns(node.range_expr, times))
    return changed


def _statistics_selectors(root: Node) -> set[Node]:
    """Selectors below histogram_count, _sum or _avg, unless anything above them needs the buckets."""
    found: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, statistics = stack.pop()
        if isinstance(node, Subquery) or (isinstance(node, Binary) and node.op in TRIMS):
            continue  # nothing below may skip buckets
        if isinstance(node, Call):
            if node.function.name in _NEED_BUCKETS:
                continue
            statistics = statistics or node.function.name in _STATISTICS
        if isinstance(node, VectorSelector) and statistics:
            found.add(node)
        stack.extend((kid, statistics) for kid in children(node))
    return found


# ---- step invariance


def _seen_operands(node: Node) -> Sequence[Node]:
    """compat: the parameter of an aggregation is not looked at, so an `@ end()` in it has no effect."""
    return (node.expr,) if isinstance(node, Aggregation) else children(node)


def _bare(node: Node) -> Node:
    while isinstance(node, Paren):
        node = node.expr
    return node


def _at(node: VectorSelector | Subquery, window: QueryWindow) -> VectorSelector | Subquery:
    if node.start_or_end is None:
        return node
    return replace(node, timestamp_ms=window.first_ms if node.start_or_end == "start" else window.last_ms)


def _invariance(node: Node, kids: list[_Invariance], window: QueryWindow) -> _Invariance:
    match node:
        case VectorSelector():
            new = _at(node, window)
            fixed = new.timestamp_ms is not None
            return new, fixed, fixed
        case MatrixSelector():
            selector, invariant, _ = kids[0]
            return with_children(node, [selector]), invariant, False
        case Subquery():
            inner, invariant, _ = kids[0]
            new = _at(node, window)
            new_node = with_children(new, [StepInvariant(inner) if invariant else inner])
            return new_node, new.timestamp_ms is not None, False
        case Aggregation():
            inner, invariant, wrap = kids[0]
            operands = [_bare(inner)] if node.parameter is None else [_bare(inner), _bare(node.parameter)]
            return with_children(node, operands), invariant, wrap
        case Binary():
            if all(invariant for _, invariant, _ in kids):
                return with_children(node, [kid for kid, _, _ in kids]), True, True
            return with_children(node, [_wrapped(kid, wrap) for kid, _, wrap in kids]), False, False
        case Call():
            return _call_invariance(node, kids)
        case Paren() | Unary():
            inner, invariant, wrap = kids[0]
            return with_children(node, [inner]), invariant, wrap
        case NumberLiteral() | StringLiteral():
            return node, True, False
        case _:
            raise AssertionError(f"BUG: {type(node).__name__} in a query that was type-checked")


def _wrapped(node: Node, wrap: bool) -> Node:
    return StepInvariant(node) if wrap else node


def _call_invariance(node: Call, kids: list[_Invariance]) -> _Invariance:
    name = node.function.name
    args = [_bare(kid) for kid, _, _ in kids]
    invariant = all(fixed for _, fixed, _ in kids)
    if name == "timestamp":
        invariant = invariant and all(isinstance(arg, VectorSelector) for arg in args)
    elif name in _STEP_DEPENDENT:
        invariant = False
    if invariant:
        return with_children(node, args), True, True
    wrapped = [_wrapped(arg, wrap) for arg, (_, _, wrap) in zip(args, kids, strict=True)]
    return with_children(node, wrapped), False, False
