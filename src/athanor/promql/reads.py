"""What each selector of a preprocessed tree asks of storage: time range, window and hints (promql/engine.go)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from athanor.model.select import SelectHints, Selection
from athanor.promql.ast import Aggregation, Binary, Call, MatrixSelector, Node, Subquery, VectorSelector, children
from athanor.promql.durations import NS_PER_MS, ms_of_ns
from athanor.promql.preprocess import QueryWindow
from athanor.promql.signatures import X_FUNCTIONS

X_LOOKBACK_MS = 3_600_000  # how much further back xrate and its like look for a sample


@dataclass(frozen=True, slots=True)
class SelectorRead:
    """A selector and its selection; the first and last time are both included."""

    selector: VectorSelector
    selection: Selection


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the nodes above say: sums over enclosing subqueries, the innermost step, the nearest function."""

    offset_ns: int = 0
    range_ns: int = 0
    at_ms: int | None = None
    step_ms: int | None = None
    window_ns: int = 0
    func: str = ""
    parent: Node | None = None

    def inside(self, node: Node, default_step_ms: int) -> _Scope:
        match node:
            case Subquery():
                step_ms = node.step_or(default_step_ms)
                if node.timestamp_ms is None:
                    offset_ns, range_ns = self.offset_ns + node.offset_ns, self.range_ns + node.range_ns
                    return replace(self, offset_ns=offset_ns, range_ns=range_ns, step_ms=step_ms, parent=node)
                # the @ of a subquery makes everything around it irrelevant
                return replace(
                    self,
                    offset_ns=node.offset_ns,
                    range_ns=node.range_ns,
                    at_ms=node.timestamp_ms,
                    step_ms=step_ms,
                    parent=node,
                )
            case Call():
                return replace(self, func=node.function.name, parent=node)
            case Aggregation():
                return replace(self, func=node.op, parent=node)
            case Binary():
                return replace(self, func="", parent=node)
            case MatrixSelector():
                return replace(self, window_ns=node.range_ns, parent=node)
            case _:
                return replace(self, parent=node)


def selector_reads(root: Node, window: QueryWindow, lookback_ms: int, default_step_ms: int) -> tuple[SelectorRead, ...]:
    """Every selector in reading order. default_step_ms: the step of subqueries that name none.

    compat: Thanos opens one querier for the whole query, whose bounds and not the selector's decide which replica is
    read first (promql/engine.go FindMinMaxTime, pkg/query/querier.go).
    """
    reads: list[SelectorRead] = []
    stack: list[tuple[Node, _Scope]] = [(root, _Scope())]
    while stack:
        node, scope = stack.pop()
        if isinstance(node, VectorSelector):
            reads.append(SelectorRead(node, _selection(node, scope, window, lookback_ms)))
            continue
        kids = children(node)
        if kids:
            inner = scope.inside(node, default_step_ms)
            stack.extend((kid, inner) for kid in reversed(kids))
    around_ms = time_span(reads)
    return tuple(replace(read, selection=replace(read.selection, around_ms=around_ms)) for read in reads)


def time_span(reads: Sequence[SelectorRead]) -> tuple[int, int]:
    """Earliest and latest ms that any selector reads; (0, 0) without selectors."""
    if not reads:
        return 0, 0
    return min(read.selection.first_ms for read in reads), max(read.selection.last_ms for read in reads)


def _selection(node: VectorSelector, scope: _Scope, window: QueryWindow, lookback_ms: int) -> Selection:
    first_ms, last_ms = _range_of(node, scope, window, lookback_ms)
    parent = scope.parent
    grouped = isinstance(parent, Aggregation)
    hints = SelectHints(
        step_ms=scope.step_ms or window.step_ms,
        range_ms=ms_of_ns(scope.window_ns),
        func=scope.func,
        grouping=parent.grouping if isinstance(parent, Aggregation) else (),
        by=grouped and isinstance(parent, Aggregation) and not parent.without,
    )
    return Selection(node.matchers, first_ms, last_ms, hints)


def _range_of(node: VectorSelector, scope: _Scope, window: QueryWindow, lookback_ms: int) -> tuple[int, int]:
    """Windows are open on the left, hence the + 1."""
    if node.timestamp_ms is not None:
        first_ms = last_ms = node.timestamp_ms
    else:
        first_ms, last_ms = (window.first_ms, window.last_ms) if scope.at_ms is None else (scope.at_ms, scope.at_ms)
        offset_ms = ms_of_ns(scope.offset_ns)
        first_ms -= offset_ms + ms_of_ns(scope.range_ns)
        last_ms -= offset_ms
    if scope.window_ns == 0:
        first_ms -= lookback_ms - 1
    elif node.anchored or node.smoothed:
        first_ms -= ms_of_ns(lookback_ms * NS_PER_MS + scope.window_ns) - 1
    else:
        first_ms -= ms_of_ns(scope.window_ns) - 1
    if scope.window_ns and scope.func in X_FUNCTIONS:
        first_ms -= X_LOOKBACK_MS
    if node.smoothed:
        last_ms += lookback_ms
    return first_ms - node.offset_ms, last_ms - node.offset_ms
