"""At which times `@` is read inside subqueries.

The original turns `@` into an offset from the first step of an evaluation, with the offsets of the subqueries between
taken off, and computes it anew for the steps of each subquery, but only where these do not begin at the same time
(promql/engine.go, setOffsetForAtModifier). compat: where they do, as in ``(x @ 100)[2m:1m] offset -1m``, the offsets
of these subqueries stay in, and the time that is read is another one.
"""

from __future__ import annotations

from dataclasses import dataclass

from athanor.promql.ast import Call, Node, Subquery, VectorSelector, children, unwrap


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of an evaluation begin here; offset_ms, at_ms: of the subqueries that did the same, all together."""

    first_ms: int
    offset_ms: int = 0
    at_ms: int | None = None

    @property
    def shift_ms(self) -> int:
        return self.offset_ms + (0 if self.at_ms is None else self.first_ms - self.at_ms)

    def inside(self, node: Subquery, first_ms: int) -> _Steps:
        if first_ms != self.first_ms:
            return _Steps(first_ms)
        if node.timestamp_ms is not None:
            return _Steps(first_ms, node.offset_ms, node.timestamp_ms)
        return _Steps(first_ms, self.offset_ms + node.offset_ms, self.at_ms)


def at_shifts(root: Node, first_ms: int, default_step_ms: int) -> dict[Node, int]:
    """Of selectors and subqueries with `@`, those that are not read at that time, and how much (ms) later they are.

    first_ms: of the query. default_step_ms: of subqueries that name no step.
    """
    shifts: dict[Node, int] = {}
    stack = [(root, _Steps(first_ms))]
    while stack:
        node, steps = stack.pop()
        if isinstance(node, VectorSelector | Subquery) and node.timestamp_ms is not None and steps.shift_ms:
            shifts[node] = steps.shift_ms
        inner = steps
        if isinstance(node, Subquery):
            at_ms = steps.first_ms if node.timestamp_ms is None else node.timestamp_ms + shifts.get(node, 0)
            left_ms = at_ms - node.offset_ms - node.range_ms
            inner = steps.inside(node, first_step_ms(left_ms, node.step_or(default_step_ms)))
        elif _reads_times(node):
            continue  # these are read at their own time wherever they stand
        stack.extend((kid, inner) for kid in children(node))
    return shifts


def _reads_times(node: Node) -> bool:
    return (
        isinstance(node, Call)
        and node.function.name == "timestamp"
        and isinstance(unwrap(node.args[0]), VectorSelector)
    )


def first_step_ms(left_ms: int, step_ms: int) -> int:
    """The first step of a subquery: the first multiple of its step behind the left edge of its first window; 0 without
    a step, which fails."""
    return (left_ms // step_ms + 1) * step_ms if step_ms > 0 else 0
