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
    if isinstance(tree, Subquery):
        per_step[-1] = _read_at_each_step(root, statistics).sum()
    else:
        per_step = _read_at_each_step(root, statistics)
    return SampleTotals(int(per_step.sum()), per_step, _peak(root, statistics))


def _read_at_each_step(root: Operator, statistics: Statistics) -> I64:
    """int64[n]: samples that were looked at for each step, at every place of the query."""
    per_step = np.zeros(root.grid.n, np.int64)
    stack = [(root, False)]
    while stack:
        operator, is_invariant = stack.pop()
        if isinstance(operator, plan.Window) and operator.inputs:
            # Not the samples below the subquery, but what it hands on.
            read = subquery_samples(operator, statistics.counts(operator.inputs[0]))
            below: tuple[Operator, ...] = operator.scalars
        else:
            read, below = statistics.counts(operator).read, (*operator.inputs, *operator.scalars)
        per_step += read.sum() if is_invariant else read  # what has one step counts at each
        is_invariant = is_invariant or isinstance(operator, plan.Spread | plan.ScalarOnce)
        stack.extend((child, is_invariant) for child in below)
    return per_step


def _peak(root: Operator, statistics: Statistics) -> int:
    """Most samples that the original would hold; each operator once, children first."""
    found: dict[Operator, int] = {}
    stack = [(root, False)]
    while stack:
        operator, are_known = stack.pop()
        if operator in found:
            continue
        children = in_order(operator)
        if are_known:
            found[operator] = _peak_of(operator, [found[child] for child in children], statistics)
        else:
            stack.append((operator, True))
            stack.extend((child, False) for child in children)
    return found[root]


def _peak_of(operator: Operator, peaks: Sequence[int], statistics: Statistics) -> int:
    counts, children = statistics.counts(operator), [statistics.counts(child) for child in in_order(operator)]
    held, peak = 0, 0
    for child, child_peak in zip(children, peaks, strict=True):
        peak = max(peak, held + child_peak)
        held += int(child.cells.sum())
    given = int(counts.cells.sum())
    match operator:
        case plan.Read():
            return given
        case plan.Window():
            return max(peak, held + given + _longest(operator, counts))
        case plan.Choose() if operator.node.op == "count_values":
            return max(peak, held + _most_at_a_step(counts, children))
        case plan.Reduce() | plan.Choose() | plan.Spread() | plan.ScalarOnce():
            return max(peak, held, given)
        case (
            plan.Negate()
            | plan.ScalarOperator(op="neg")
            | plan.Apply(name="label_replace" | "label_join")
            | plan.Absent(name="absent_over_time")
        ):
            return max(peak, held)
        case plan.DropName():  # the samples of its selector are looked at, not held
            return _most_at_a_step(counts, children)
        case _:
            return max(peak, held + _most_at_a_step(counts, children))


def _most_at_a_step(counts: Counts, children: Sequence[Counts]) -> int:
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
