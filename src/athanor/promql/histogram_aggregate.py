"""sum and avg of native histograms by group: cells wait until there are about as many as the state, then go in.

So the state is rewritten a logarithmic number of times and what waits never outgrows it by far. A slot is a group at a
step; the order of cells in a slot is the order of the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from athanor.kernel import labels
from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import F64, I64, U8
from athanor.model.tables import FLOAT, HISTOGRAM, Histograms, LabelTable, StepBlock
from athanor.promql.histogram_code_kernels import DEAD, NOT_RESET, RECONCILED, RESET
from athanor.promql.histogram_memory import asked, asked_bytes, n_bytes
from athanor.promql.histograms import concat, empty, from_kernel, has_cells, kernel_table, room, take

kernels = LazyKernels("athanor.promql.histogram_aggregate_kernels")

WAITING_BYTES = 16 << 20
NEVER = np.int64(2**62)

SLOT_BYTES = 41
SEGMENT_SLOTS = 1 << 15
WAITING_ROW_BYTES = 24
ORDERING_BYTES = 128  # of a histogram while it finds its slot, of a slot while answers are put together


@dataclass(frozen=True, slots=True)
class _Waiting:
    slots: I64
    table: Histograms
    names: I64
    rows: I64


class HistogramGroups:
    """State of one aggregation. notes: (is warning, text) of what was met, in order of first appearance."""

    def __init__(self, is_average: bool, n_steps: int, with_floats: I64) -> None:
        """with_floats: slots that have met floats before the first histogram."""
        self._is_average, self._n_steps = int(is_average), n_steps
        # Of SEGMENT_SLOTS slots each: one is merged in one call, and untouched ones stay as they are.
        self._states: list[Histograms] = []
        self._compensations: list[Histograms] = []
        self._rows, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)
        self._modes, self._seen = np.empty(0, np.uint8), np.empty(0, np.int64)
        # Rows of the input: each slot's first float, and where its histograms turned out not to add up.
        self._first_float, self._dead_at = np.empty(0, np.int64), np.empty(0, np.int64)
        self._grow(int(with_floats.max(initial=-1)) + 1)
        self._first_float[with_floats] = -1
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._names: dict[bytes, int] = {}
        self.reconciled = False
        self.incompatible: dict[bytes, None] = {}

    @property
    def n_bytes(self) -> int:
        """Of what is known of slots, twice while it grows, and of what waits; the tables are in the budget by
        themselves (``histogram_memory``)."""
        return 2 * SLOT_BYTES * self._rows.size + WAITING_ROW_BYTES * sum(w.slots.size for w in self._waiting)

    def add(self, block: StepBlock, codes: I64, first_row: int) -> None:
        """The histogram cells of some rows; codes: their groups; first_row: of the input, where the rows begin."""
        row, step = np.nonzero(block.kind == FLOAT)
        slots, first = np.unique(codes[row] * self._n_steps + step, return_index=True)
        self._grow(int(slots.max(initial=-1)) + 1)
        self._first_float[slots] = np.minimum(self._first_float[slots], row[first] + first_row)
        if not has_cells(block):
            return
        assert block.histograms is not None
        row, step = np.nonzero(block.kind == HISTOGRAM)
        cells = block.values[row, step].astype(np.int64)
        table = take(block.histograms, cells)
        names = self._numbers(block.labels)[row]
        self._waiting.append(_Waiting(codes[row] * self._n_steps + step, table, names, row + first_row))
        self._waiting_bytes += n_bytes(table)
        if self._waiting_bytes > max(WAITING_BYTES, sum(map(n_bytes, self._states))):
            self._merge()

    def _numbers(self, table: LabelTable) -> I64:
        """The number of each row's metric name."""
        column = labels.column(table, labels.METRIC_NAME)
        numbers = [self._names.setdefault(name, len(self._names)) for name in column.values]
        return np.array(numbers, np.int64)[column.codes]

    def _merge(self) -> None:
        if not self._waiting:
            return
        with asked_bytes("an order of native histograms", ORDERING_BYTES * sum(w.slots.size for w in self._waiting)):
            self._merge_waiting()

    def _merge_waiting(self) -> None:
        slots = np.concatenate([w.slots for w in self._waiting])
        table = concat([w.table for w in self._waiting])
        names = np.concatenate([w.names for w in self._waiting])
        rows = np.concatenate([w.rows for w in self._waiting])
        self._waiting, self._waiting_bytes = [], 0
        order = np.argsort(slots, kind="stable")
        self._grow(int(slots.max()) + 1)
        told = np.zeros(slots.size, np.int64)
        ordered = slots[order]
        borders = np.searchsorted(ordered, SEGMENT_SLOTS * np.arange(len(self._states) + 1)).tolist()
        for number, (first, end) in enumerate(pairwise(borders)):
            if first < end:
                self._merge_segment(number, table, ordered[first:end], order[first:end], told[first:end])
        self.reconciled |= bool(((told > 0) & ((told & RECONCILED) != 0)).any())
        self._dead_at[slots[order[told < 0]]] = rows[order[told < 0]]
        by_number = list(self._names)
        for number in np.unique(names[order[told < 0]]).tolist():
            self.incompatible.setdefault(by_number[number])

    def _merge_segment(self, number: int, table: Histograms, slots: I64, rows: I64, told: I64) -> None:
        """Adds these rows of a table, ascending by slot, to the slots of one segment."""
        span = slice(number * SEGMENT_SLOTS, (number + 1) * SEGMENT_SLOTS)
        state, compensations, t = (kernel_table(h) for h in (self._states[number], self._compensations[number], table))
        sizes = room(state, t)
        with asked("sums", self._states[number].layout.size + slots.size, sizes[0], n_tables=2) as memory:
            built = kernels.merge_cells(
                state, compensations, t, slots - span.start, rows.astype(np.int64), self._is_average, *sizes,
                self._rows[span], self._counts[span], self._modes[span], self._seen[span], told,
            )  # fmt: skip
            self._states[number], self._compensations[number] = (memory.keep(from_kernel(one)) for one in built)

    def _grow(self, n_slots: int) -> None:
        more = n_slots - self._rows.size
        if more > 0:
            self._rows = np.concatenate((self._rows, np.full(more, -1, np.int64)))
            self._counts = np.concatenate((self._counts, np.zeros(more, np.int64)))
            self._modes = np.concatenate((self._modes, np.zeros(more, np.uint8)))
            self._seen = np.concatenate((self._seen, np.zeros(more, np.int64)))
            self._first_float = np.concatenate((self._first_float, np.full(more, NEVER)))
            self._dead_at = np.concatenate((self._dead_at, np.full(more, NEVER)))
            n_segments = -(-n_slots // SEGMENT_SLOTS)
            for tables in (self._states, self._compensations):
                tables += [empty() for _ in range(n_segments - len(tables))]

    def finish(self, groups: I64, values: F64, kind: U8) -> tuple[Histograms | None, bool, bool]:
        """Overwrite the cells of these groups: (table, floats and histograms met in a slot, hints contradicted)."""
        self._merge()
        with asked_bytes("an order of native histograms", ORDERING_BYTES * groups.size * self._n_steps):
            return self._finished(groups, values, kind)

    def _finished(self, groups: I64, values: F64, kind: U8) -> tuple[Histograms | None, bool, bool]:
        shape = (groups.size, self._n_steps)
        slots = groups[:, None] * self._n_steps + np.arange(self._n_steps)
        known = slots < self._rows.size
        at = np.where(known, slots, 0)
        if not self._rows.size:
            return None, False, False
        seen = np.where(known, self._seen[at], 0)
        met = seen != 0
        # Once histograms did not add up, the floats that followed were not looked at.
        mixed = met & (kind != 0) & (self._first_float[at] <= self._dead_at[at])
        there = met & (kind == 0) & (self._rows[at] >= 0)
        kind[met], values[met] = 0, 0.0
        collided = (seen & (1 << RESET) != 0) & (seen & (1 << NOT_RESET) != 0) & (self._modes[at] != DEAD)
        table = concat([self._finished_segment(number) for number in range(len(self._states))])
        numbers = np.cumsum(self._rows >= 0) - 1
        assert there.shape == shape
        values[there], kind[there] = numbers[at[there]], HISTOGRAM
        return table, bool(mixed.any()), bool(collided.any())

    def _finished_segment(self, number: int) -> Histograms:
        """One result for each slot of a segment that has a state."""
        span = slice(number * SEGMENT_SLOTS, (number + 1) * SEGMENT_SLOTS)
        state, compensations = kernel_table(self._states[number]), kernel_table(self._compensations[number])
        sizes = room(state)
        with asked("finished sums", self._states[number].layout.size, sizes[0]) as memory:
            built = kernels.finish_cells(
                state, compensations, self._rows[span], self._counts[span], self._modes[span], self._is_average, *sizes
            )
            return memory.keep(from_kernel(built))
