"""Aggregations that reduce groups to one series: sum, avg, count, min, max, group, stddev, stdvar.

Tiles are added in the order of the input, row by row, so the answer does not depend on how the input is cut.
Aggregations that select cells or need whole columns live in `selection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import B1, F64, I32, I64, U8
from athanor.model.tables import HISTOGRAM, LabelTable, StepBlock, StepGrid
from athanor.promql import aggregate_kernels as kernels
from athanor.promql import blocks
from athanor.promql.histogram_aggregate import HistogramGroups
from athanor.promql.selection import select_aggregate

__all__ = ["REDUCTIONS", "GroupIndex", "Reduction", "select_aggregate"]

# Operation: its loop, the number that `finish` knows it by, and the state that it keeps.
_OPERATIONS: dict[str, tuple[Any, int, tuple[str, ...]]] = {
    "sum": (kernels.add_sum, kernels.OP_SUM, ("a", "b", "seen")),
    "avg": (kernels.add_avg, kernels.OP_AVG, ("a", "b", "count", "seen")),
    "count": (kernels.add_count, kernels.OP_COUNT, ("count",)),
    "group": (kernels.add_group, kernels.OP_GROUP, ("seen",)),
    "min": (kernels.add_min, kernels.OP_EXTREME, ("a", "seen")),
    "max": (kernels.add_max, kernels.OP_EXTREME, ("a", "seen")),
    "stddev": (kernels.add_moments, kernels.OP_STDDEV, ("a", "b", "count")),
    "stdvar": (kernels.add_moments, kernels.OP_STDVAR, ("a", "b", "count")),
}
REDUCTIONS = frozenset(_OPERATIONS)
_TAKE_HISTOGRAMS = frozenset({"count", "group"})
_IGNORE_HISTOGRAMS = frozenset({"min", "max", "stddev", "stdvar"})


class GroupIndex:
    """Numbers label sets by first appearance over many tables.

    Sets live in levels of hash indexes, each more than twice as long as the next, so that a set is indexed again only a
    logarithmic number of times and no set ever becomes a Python object.
    """

    def __init__(self) -> None:
        self._levels: list[tuple[LabelTable, labels.SetIndex]] = []
        self.n = 0

    def codes(self, table: LabelTable) -> I64:
        """int64[n]: the numbers of these sets; the table has no set twice."""
        out = np.full(len(table), -1, np.int64)
        missing = np.arange(len(table), dtype=np.int64)
        base = 0
        for level, index in self._levels:
            if not missing.size:
                return out
            found = index.find(table if missing.size == len(table) else labels.take(table, missing))
            there = found >= 0
            out[missing[there]] = found[there] + base
            missing = missing[~there]
            base += len(level)
        if missing.size:
            out[missing] = self.n + np.arange(missing.size)
            self._append(labels.take(table, missing))
        return out

    def _append(self, table: LabelTable) -> None:
        self.n += len(table)
        while self._levels and len(self._levels[-1][0]) <= 2 * len(table):
            table = labels.concat([self._levels.pop()[0], table])
        self._levels.append((table, labels.SetIndex(table)))

    def table(self) -> LabelTable:
        """All sets by number."""
        if not self._levels:
            return labels.empty_sets(0)
        return labels.concat([level for level, _ in self._levels])


def _grown(array: Any, n_used: int, n_rows: int) -> Any:
    """The same rows in an array that has room for more; new rows are not initialised."""
    out = np.empty((n_rows, *array.shape[1:]), array.dtype)
    out[:n_used] = array[:n_used]
    return out


class Reduction:
    """One reducing aggregation over all steps; `add` tiles in the order of the input, then `finish` once.

    ignored_histograms: a histogram was met by an operation that skips them, which calls for an info. After `finish`:
    mixed, collided, reconciled, incompatible (metric names): what sums and averages of histograms met.
    """

    def __init__(self, op: str, grouping: Sequence[str], without: bool, grid: StepGrid) -> None:
        self._add, self._op, kept = _OPERATIONS[op]
        self._name = op
        self._grouping = tuple(grouping)
        self._without = without
        self._grid = grid
        self._index = GroupIndex()
        self._n_rows = 0
        self._capacity = 0
        self.ignored_histograms = False
        self._histograms: HistogramGroups | None = None
        self.mixed = self.collided = self.reconciled = False
        self.incompatible: tuple[bytes, ...] = ()
        width = grid.n
        self._a: F64 = np.empty((0, width if "a" in kept else 0))
        self._b: F64 = np.empty((0, width if "b" in kept else 0))
        self._count: F64 = np.empty((0, width if "count" in kept else 0))
        self._seen: U8 = np.empty((0, width if "seen" in kept else 0), np.uint8)
        self._status: U8 = np.empty(0, np.uint8)
        self._first_row: I64 = np.empty(0, np.int64)
        self._drop_name: B1 = np.empty(0, np.bool_)

    @property
    def n_groups(self) -> int:
        return self._index.n

    @property
    def n_bytes(self) -> int:
        """Bytes of the state of the groups met so far."""
        row = 8 * (self._a.shape[1] + self._b.shape[1] + self._count.shape[1]) + self._seen.shape[1] + 10
        native = 0 if self._histograms is None else self._histograms.n_bytes
        return int(row * self._index.n) + native

    def add(self, block: StepBlock) -> None:
        """The next rows of the input."""
        if not len(block.labels):
            return
        block = blocks.full_width(block)
        local, groups = labels.group(block.labels, self._grouping, not self._without)
        n_before = self._index.n
        codes: I32 = self._index.codes(groups)[local].astype(np.int32)
        self._make_room(n_before)
        values = np.ascontiguousarray(block.values)
        kind = np.ascontiguousarray(block.kind)
        row_class = np.empty(len(block.labels), np.uint8)
        drop_name = np.ascontiguousarray(block.drop_name)
        highest = kernels.scan_rows(
            kind, codes, self._n_rows, drop_name, row_class, self._first_row, self._drop_name
        )  # fmt: skip
        if highest >= HISTOGRAM and self._name not in _TAKE_HISTOGRAMS:
            if self._name in _IGNORE_HISTOGRAMS:
                self.ignored_histograms = True
            elif self._histograms is None:
                self._histograms = HistogramGroups(self._name == "avg", self._grid.n, self._slots_with_floats(n_before))
        if self._histograms is not None:
            self._histograms.add(block, codes.astype(np.int64), self._n_rows)
        self._add(values, kind, codes, row_class, self._a, self._b, self._count, self._seen, self._status)
        self._n_rows += len(block.labels)

    def _slots_with_floats(self, n_groups: int) -> I64:
        """Groups x steps that have a value so far."""
        values, kind = np.empty((n_groups, self._grid.n)), np.empty((n_groups, self._grid.n), np.uint8)
        groups = np.arange(n_groups)
        kernels.finish(self._op, groups, self._a, self._b, self._count, self._seen, values, kind)
        return np.flatnonzero(kind)

    def _make_room(self, n_before: int) -> None:
        n = self._index.n
        if n > self._capacity:
            self._capacity = max(n, 2 * self._capacity, 8)
            self._a = _grown(self._a, n_before, self._capacity)
            self._b = _grown(self._b, n_before, self._capacity)
            self._count = _grown(self._count, n_before, self._capacity)
            self._seen = _grown(self._seen, n_before, self._capacity)
            self._status = _grown(self._status, n_before, self._capacity)
            self._first_row = _grown(self._first_row, n_before, self._capacity)
            self._drop_name = _grown(self._drop_name, n_before, self._capacity)
        self._status[n_before:n] = kernels.NEW
        self._first_row[n_before:n] = -1
        self._drop_name[n_before:n] = False

    def finish(self) -> StepBlock:
        """Groups that have a value, in order of their first row with a cell."""
        first = self._first_row[: self._index.n]
        groups = np.flatnonzero(first >= 0)
        groups = groups[np.argsort(first[groups], kind="stable")]
        shape = (groups.size, self._grid.n)
        values, kind = np.empty(shape), np.empty(shape, np.uint8)
        kernels.finish(self._op, groups, self._a, self._b, self._count, self._seen, values, kind)
        table = labels.take(self._index.table(), groups)
        native = None
        if self._histograms is not None:
            native, self.mixed, self.collided = self._histograms.finish(groups, values, kind)
            self.incompatible, self.reconciled = tuple(self._histograms.incompatible), self._histograms.reconciled
        answer = StepBlock(self._grid, values, kind, table, self._drop_name[groups], native)
        if self._histograms is not None or (self._name in _IGNORE_HISTOGRAMS and self.ignored_histograms):
            answer = blocks.without_empty_rows(answer)
        return answer
