"""From counts of operators to the numbers of an answer: as Prometheus' engine gives them, and as Thanos' engine does.

Pure functions of what was counted. The plan's operators are gone through as the original goes through the query, so a
part that stands in two places counts twice, although it was evaluated once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from athanor.model.arrays import I64
from athanor.promql import plan
from athanor.promql.ast import MatrixSelector, Node, Subquery, unwrap
from athanor.promql.explain import Explained, in_reading_order
from athanor.promql.plan import Operator
from athanor.promql.planner import value_node
from athanor.promql.statistics import Counts, Measured, Statistics

BATCH_STEPS = 10  # Thanos' engine asks its operators for so many steps at a time


@dataclass(frozen=True, slots=True)
class SampleTotals:
    """total: samples that the query has looked at; per_step: the same by step; peak: most samples held at a time."""

    total: int
    per_step: I64
    peak: int


# ---- as Prometheus


def prometheus_totals(measured: Measured) -> SampleTotals:
    """Of the whole query, as Prometheus 3.9 counts it."""
    tree, statistics, grid = unwrap(measured.tree), measured.statistics, measured.grid
    per_step = np.zeros(grid.n, np.int64)
    if isinstance(tree, MatrixSelector):
        per_step[0] = statistics.range_samples
        return SampleTotals(statistics.range_samples, per_step, statistics.range_samples)
    node: Node = tree.expr if isinstance(tree, Subquery) else measured.tree
    root = measured.places.get(value_node(node))
    if root is None:
        return SampleTotals(0, per_step, 0)
    found = _Walk(statistics).of(root)
    if isinstance(tree, Subquery):
        per_step[-1] = found.read.sum()
    else:
        per_step = found.read
    return SampleTotals(int(per_step.sum()), per_step, found.peak)


@dataclass(frozen=True, slots=True)
class _Found:
    """read: int64[n], samples looked at in the operator and below it; cells, points: int64[n], what it gives; peak:
    most samples held while it is evaluated."""

    read: I64
    cells: I64
    points: I64
    peak: int


class _Walk:
    """Each operator once, children first."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._found: dict[Operator, _Found] = {}

    def of(self, root: Operator) -> _Found:
        stack = [(root, False)]
        while stack:
            operator, are_known = stack.pop()
            if operator in self._found:
                continue
            children = in_order(operator)
            if are_known:
                self._found[operator] = self._one(operator, [self._found[child] for child in children])
            else:
                stack.append((operator, True))
                stack.extend((child, False) for child in children)
        return self._found[root]

    def _one(self, operator: Operator, children: Sequence[_Found]) -> _Found:
        counts = self._statistics.counts(operator)
        held, peak = 0, 0
        for child in children:
            peak = max(peak, held + child.peak)
            held += int(child.cells.sum())
        read = self._read(operator, counts, children)
        given = int(counts.cells.sum())
        match operator:
            case plan.Read():
                peak = given
            case plan.Window():
                peak = max(peak, held + given + _longest(operator, counts))
            case plan.Choose() if operator.node.op == "count_values":
                peak = max(peak, held + _most_at_a_step(counts, children))
            case plan.Reduce() | plan.Choose() | plan.Spread() | plan.ScalarOnce():
                peak = max(peak, held, given)
            case (
                plan.Negate()
                | plan.ScalarOperator(op="neg")
                | plan.Apply(name="label_replace" | "label_join")
                | plan.Absent(name="absent_over_time")
            ):
                peak = max(peak, held)
            case plan.DropName():  # the samples of its selector are looked at, not held
                peak = _most_at_a_step(counts, children)
            case _:
                peak = max(peak, held + _most_at_a_step(counts, children))
        return _Found(read, counts.cells, counts.points, peak)

    def _read(self, operator: Operator, counts: Counts, children: Sequence[_Found]) -> I64:
        n = operator.grid.n
        match operator:
            case plan.Spread() | plan.ScalarOnce():
                return np.full(n, sum(int(child.read.sum()) for child in children), np.int64)
            case plan.Window() if operator.inputs:
                # Not the samples below the subquery, but what it hands on.
                own = subquery_samples(operator, self._statistics.counts(operator.inputs[0]))
                return own + sum((c.read for c in children if c.read.size == n and c is not children[0]), 0)
            case _:
                return counts.read + sum((child.read for child in children), np.zeros(n, np.int64))


def _most_at_a_step(counts: Counts, children: Sequence[_Found]) -> int:
    """Of what goes on step by step: the samples of the step, those that it gives, and those that earlier steps gave."""
    seen = sum((child.points for child in children), np.zeros(counts.cells.size, np.int64))
    return int((np.cumsum(counts.cells) + seen).max(initial=0))


def in_order(operator: Operator) -> tuple[Operator, ...]:
    """What an operator needs, in the order in which the original evaluates it."""
    scalars_first = isinstance(operator, plan.Choose) or (
        isinstance(operator, plan.WithScalar) and operator.scalar_on_left
    )
    if isinstance(operator, plan.Apply) and operator.call.args and operator.call.args[0].type == "scalar":
        scalars_first = True
    return (*operator.scalars, *operator.inputs) if scalars_first else (*operator.inputs, *operator.scalars)


def _longest(operator: plan.Window, counts: Counts) -> int:
    """Samples in the longest window of a series; over a subquery as many as the window has steps."""
    if not operator.inputs:
        return counts.longest
    inner = operator.inputs[0].grid
    return min(inner.n, -(-operator.range_ms // (inner.step_ms or 1)))


def subquery_samples(operator: plan.Window, inside: Counts) -> I64:
    """int64[n]: samples of a subquery in the windows over it, from those that it has at each of its own steps."""
    inner, n = operator.inputs[0].grid, operator.grid.n
    ends_ms = operator.first_ms + operator.step_ms * np.arange(n)
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(inside.cells)))
    step_ms = inner.step_ms or 1
    last = np.clip((ends_ms - inner.first_ms) // step_ms + 1, 0, inner.n)
    first = np.clip((ends_ms - operator.range_ms - inner.first_ms) // step_ms + 1, 0, inner.n)
    found: I64 = total[last] - total[first]
    return found


# ---- as Thanos' engine


@dataclass(frozen=True, slots=True)
class OperatorTotals:
    """Of an operator and those below it."""

    total: int
    peak: int


def engine_totals(root: Explained, measured: Measured) -> Mapping[Explained, OperatorTotals]:
    """For each operator what Thanos' engine says of it."""
    found: dict[Explained, OperatorTotals] = {}
    for operator in reversed(in_reading_order(root)):
        total, peak = 0, 0
        if operator.counts:
            read = _read_by(operator, measured)
            total = int(read.sum())
            peak = int(np.add.reduceat(read, np.arange(0, read.size, BATCH_STEPS)).max(initial=0)) if read.size else 0
        children = [found[child] for child in operator.children]
        # compat: step-invariant parts add nothing without counts per step, which Thanos does not ask for, and the
        # samples below a subquery are not those of the query
        if not operator.counts and operator.name != "[stepInvariant]":
            total += sum(child.total for child in children)
        found[operator] = OperatorTotals(total, max((peak, *(child.peak for child in children))))
    return found


def _read_by(operator: Explained, measured: Measured) -> I64:
    place = measured.places.get(operator.node)
    if place is None:
        return np.zeros(0, np.int64)
    if isinstance(place, plan.Window) and place.inputs:
        return subquery_samples(place, measured.statistics.counts(place.inputs[0]))
    return measured.statistics.counts(place).read
