"""Where evaluated tiles end: a reduction, the presence of any series, or one block of all rows."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from athanor.kernel import labels
from athanor.model.tables import StepBlock
from athanor.promql import blocks, plan
from athanor.promql.account import Account
from athanor.promql.aggregate import Reduction
from athanor.promql.functions import absent, absent_labels
from athanor.promql.gostrings import quote
from athanor.promql.notes import Notes
from athanor.promql.plan import Operator

Held = tuple[StepBlock, int]


class Sink(Protocol):
    """Takes tiles in the order of the series, each with the bytes that it holds, and answers once."""

    def add(self, part: StepBlock, held: int) -> None: ...

    def finish(self) -> Held: ...


class ReduceSink:
    """A reducing aggregation."""

    def __init__(self, operator: plan.Reduce, account: Account, notes: Notes) -> None:
        self._operator, self._account, self._notes = operator, account, notes
        self._reduction = Reduction(operator.op, operator.grouping, operator.without, operator.grid)
        self._state = 0

    def add(self, part: StepBlock, held: int) -> None:
        reduction = self._reduction
        reduction.add(part)
        who = f"{self._operator.op} of {reduction.n_groups} groups"
        self._state += self._account.take(who, reduction.n_bytes - self._state)
        self._account.give(held)

    def finish(self) -> Held:
        operator, reduction = self._operator, self._reduction
        if reduction.ignored_histograms:
            self._notes.info(f"ignored histogram in {operator.op} aggregation", operator.expr_at)
        held = self._account.take_for(operator, 0, reduction.n_groups)
        result = reduction.finish()
        note_reduction(reduction, self._notes, operator.expr_at)
        self._account.give(self._state)
        return result, held


class AbsentSink:
    """absent and absent_over_time."""

    def __init__(self, operator: plan.Absent, account: Account) -> None:
        self._operator, self._account = operator, account
        self._held = account.take_for(operator, 1)
        self._present = np.zeros((1, operator.grid.n), np.uint8)

    def add(self, part: StepBlock, held: int) -> None:
        self._present[0] |= blocks.full_width(part).kind.any(axis=0)
        self._account.give(held)

    def finish(self) -> Held:
        values = np.zeros(self._present.shape)
        there = blocks.block(self._operator.grid, labels.empty_sets(1), values, self._present)
        return absent(there, absent_labels(self._operator.matchers)), self._held


class CollectSink:
    """All rows of an operator as one block."""

    def __init__(self, operator: Operator, account: Account) -> None:
        self._operator, self._account = operator, account
        self._row_bytes = operator.grid.n * blocks.CELL_BYTES
        self._parts: list[StepBlock] = []
        self._held = 0

    def add(self, part: StepBlock, held: int) -> None:
        kept = len(part.labels) * self._row_bytes
        self._parts.append(part)
        self._account.give(held - kept)
        self._held += kept

    def take_in_order(self) -> list[StepBlock]:
        """The parts where their rows are in label order, each label set once: nothing is left to do to them. Else
        none."""
        if len(self._parts) < 2 or not labels.is_strictly_sorted(labels.concat([part.labels for part in self._parts])):
            return []
        return self._parts

    def finish(self) -> Held:
        operator, parts, held = self._operator, self._parts, self._held
        if len(parts) <= 1:
            return blocks.concat_blocks(operator.grid, parts), held
        who = f"{operator.name} over {held // self._row_bytes} series x {operator.grid.n} steps"
        if any(part.histograms is not None for part in parts):
            joined = self._account.take(who, held)
            result = blocks.concat_blocks(operator.grid, parts)
            self._account.give(held)
            return result, joined
        beside = self._account.take(who, max(len(part.labels) for part in parts) * self._row_bytes)
        result = blocks.join_parts(operator.grid, parts)
        self._account.give(beside)
        return result, held


def sink_of(operator: Operator, account: Account, notes: Notes) -> Sink:
    """What consumes the tiles below a reducing operator, or those of a row-by-row operator whose rows are wanted."""
    match operator:
        case plan.Reduce():
            return ReduceSink(operator, account, notes)
        case plan.Absent():
            return AbsentSink(operator, account)
        case _:
            return CollectSink(operator, account)


def note_reduction(reduction: Reduction, notes: Notes, at: int) -> None:
    """Annotations for what sums and averages of native histograms met."""
    if reduction.mixed:
        notes.warn("encountered a mix of histograms and floats for aggregation", at)
    for name in reduction.incompatible:
        text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name"
        notes.warn(f"{text} {quote(name.decode('utf-8', 'surrogateescape'))}", at)
    if reduction.collided:
        notes.warn("conflicting counter resets during histogram aggregation", at)
    if reduction.reconciled:
        notes.info("mismatched custom buckets were reconciled during aggregation", at)
