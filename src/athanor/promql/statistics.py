"""What one evaluation reads and how long its parts take, counted where it happens, only for a query that asks for it.

Samples are counted as Prometheus counts them: for a selector those that it found at each step, for a range function
those in each step's window, a native histogram as many as it takes 16 bytes. Counts are sums over tiles, so they do not
depend on threads.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from athanor.model.arrays import F64, I64
from athanor.model.budget import Budget
from athanor.model.select import QueryContext, Selection, SharedReads, SharedTile, Sharing, Storage, Tile
from athanor.model.tables import FLOAT, HISTOGRAM, Histograms, LabelTable, Samples, StepBlock, StepGrid
from athanor.model.workspace import Workspace
from athanor.promql import plan, window_kernels
from athanor.promql.ast import Node, VectorSelector
from athanor.promql.histogram_windows import fresh
from athanor.promql.notes import Notes
from athanor.promql.plan import Operator
from athanor.promql.reads import X_LOOKBACK_MS
from athanor.promql.rows import Leaf, Stage
from athanor.promql.signatures import X_FUNCTIONS
from athanor.promql.windows import without_stale

AnyTile = TypeVar("AnyTile")
PIECE_CELLS = 1 << 17  # windows, or cells, that are counted at a time
COUNTS_BYTES = 24  # of a step of an operator
BYTES_OF_A_SAMPLE = 16
HISTOGRAM_BYTES = 168 + 8  # the structure of a histogram in the original, and the time beside it


@dataclass(slots=True)
class Counts:
    """Of one operator. read: int64[n], samples that it found; cells: int64[n], samples that it gave; points: int64[n],
    series that it gave one of; longest: samples in the longest window of one series. own_s: seconds of work inside
    tiles, of all threads; wall_s: from its begin to its end, with all below it, None where it ran inside tiles only.
    """

    read: I64
    cells: I64
    points: I64
    longest: int = 0
    own_s: float = 0.0
    wall_s: float | None = None
    n_bytes: int = 0
    """Held in the budget."""


@dataclass(slots=True)
class Statistics:
    """What the evaluation of one query has counted so far; the counts are held in its budget until it ends."""

    budget: Budget
    of: dict[Operator, Counts] = field(default_factory=dict)
    range_samples: int = 0
    """Samples of a range selector that is the whole query."""
    read_s: defaultdict[Selection, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds spent on waiting for a selection's data and decoding it, of all threads."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def counts(self, operator: Operator) -> Counts:
        """Of an operator; zeros where it was never evaluated."""
        found = self.of.get(operator)
        return _zeros(operator) if found is None else found

    def _counts(self, operator: Operator) -> Counts:
        found = self.of.get(operator)
        if found is None:
            self.budget.take("counts of samples", operator.grid.n * COUNTS_BYTES)
            found = self.of[operator] = _zeros(operator)
            found.n_bytes = operator.grid.n * COUNTS_BYTES
        return found

    # ---- inside tiles

    def leaf(self, operator: Operator, leaf: Leaf) -> Leaf:
        """The same leaf; it counts."""

        def counting(table: LabelTable, samples: Samples, workspace: Workspace, notes: Notes) -> StepBlock:
            read, longest = None, 0
            if isinstance(operator, plan.Window):
                read, longest = window_counts(operator, samples, workspace)
            began = time.perf_counter()
            block = leaf(table, samples, workspace, notes)
            self._add(operator, block, time.perf_counter() - began, read, longest)
            return block

        return counting

    def stage(self, operator: Operator, stage: Stage) -> Stage:
        """The same stage; it counts."""

        def counting(inner: StepBlock, workspace: Workspace, notes: Notes) -> StepBlock:
            began = time.perf_counter()
            block = stage(inner, workspace, notes)
            self._add(operator, block, time.perf_counter() - began, None, 0)
            return block

        return counting

    def _add(self, operator: Operator, block: StepBlock, seconds: float, read: I64 | None, longest: int) -> None:
        cells, points = counts_of(block)
        with self._lock:
            counts = self._counts(operator)
            counts.read += (cells if isinstance(operator, plan.Read | plan.Info) else 0) if read is None else read
            counts.cells += cells
            counts.points += points
            counts.longest = max(counts.longest, longest)
            counts.own_s += seconds

    # ---- whole blocks

    def evaluated(self, operator: Operator, block: StepBlock | None, seconds: float) -> None:
        """An operator has been evaluated as one block, or as scalars."""
        if block is None:
            self.of[operator] = Counts(*_of_a_scalar(operator.grid.n), wall_s=seconds)
            return
        counts = self._counts(operator)
        counts.cells, counts.points = counts_of(block)
        counts.wall_s = seconds

    def forget(self, roots: Sequence[Operator]) -> None:
        """What was begun for these operators will be done again in another way."""
        for root in roots:
            for operator in plan.operators(root):
                self._drop(operator)

    def _drop(self, operator: Operator) -> None:
        counts = self.of.pop(operator, None)
        if counts is not None:
            self.budget.give(counts.n_bytes)

    def in_pieces(self, whole: Operator, pieces: Sequence[Operator]) -> None:
        """An operator was evaluated piece of steps by piece of steps: each piece has a plan of the same shape."""
        done: set[Operator] = set()
        stack = [(whole, pieces)]
        while stack:
            operator, parts = stack.pop()
            if operator in done or operator in parts:  # a step-invariant part of the first piece is that of the whole
                continue
            done.add(operator)
            parts = [part for part in parts if type(part) is type(operator)]  # a subquery may have no step in a piece
            self._drop(operator)
            counts = self._counts(operator)
            for part in parts:
                _join(counts, self.counts(part), _first_step(operator, part))
                self._drop(part)
            for at, child in enumerate((*operator.inputs, *operator.scalars)):
                stack.append((child, [(*part.inputs, *part.scalars)[at] for part in parts]))

    def storage(self, storage: Storage) -> Storage:
        """The same storage; what waiting for it and decoding take is noted."""
        return _SharedTimed(storage, self) if isinstance(storage, SharedReads) else _Timed(storage, self)

    def waited(self, selections: Sequence[Selection], seconds: float) -> None:
        with self._lock:
            for selection in selections:
                self.read_s[selection] += seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """The statistics of an evaluation with what they are about.

    tree: as it was prepared; grid: its steps; places: the operator that gives the value of a node; selections: what
    each selector has read.
    """

    statistics: Statistics
    tree: Node
    grid: StepGrid
    places: Mapping[Node, Operator]
    selections: Mapping[VectorSelector, Selection]


def _zeros(operator: Operator) -> Counts:
    n = operator.grid.n
    return Counts(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64))


def _of_a_scalar(n: int) -> tuple[I64, I64, I64]:
    """Nothing was read, and there is one sample at each step; it takes no memory to say so."""
    zeros, ones = (np.broadcast_to(np.array(number, np.int64), n) for number in (0, 1))
    return zeros, ones, ones


def _first_step(whole: Operator, piece: Operator) -> int:
    """Where the steps of a piece stand in the whole; what has one step has it in every piece."""
    grid = whole.grid
    return (piece.grid.first_ms - grid.first_ms) // grid.step_ms if grid.n > 1 and grid.step_ms else 0


def _join(into: Counts, piece: Counts, first: int) -> None:
    span = slice(first, first + piece.read.size)
    n = into.read[span].size
    into.read[span], into.cells[span], into.points[span] = piece.read[:n], piece.cells[:n], piece.points[:n]
    into.longest = max(into.longest, piece.longest)
    into.own_s += piece.own_s
    if piece.wall_s is not None:
        into.wall_s = (into.wall_s or 0.0) + piece.wall_s


# ---- counting


def counts_of(block: StepBlock) -> tuple[I64, I64]:
    """int64[n] each: samples of a block at each step, and series that have one there."""
    points = _by_pieces(block, lambda rows: np.count_nonzero(block.kind[rows], axis=0).astype(np.int64))
    if block.histograms is None:
        return points, points
    sizes = sample_sizes(block.histograms)

    def weights(rows: slice) -> I64:
        counted = (block.kind[rows] == FLOAT).astype(np.int64)
        mask = block.kind[rows] == HISTOGRAM
        counted[mask] = sizes[block.values[rows][mask].astype(np.int64)]
        summed: I64 = counted.sum(axis=0)
        return summed

    return _by_pieces(block, weights), points


def _by_pieces(block: StepBlock, count: Callable[[slice], I64]) -> I64:
    """The sum over some rows at a time, so that counting takes no memory to speak of."""
    n_rows, width = block.kind.shape
    counts = np.zeros(width, np.int64)
    size = max(1, PIECE_CELLS // max(1, width))
    for row in range(0, n_rows, size):
        counts += count(slice(row, row + size))
    return np.repeat(counts, block.grid.n) if width != block.grid.n else counts


def sample_sizes(histograms: Histograms) -> I64:
    """int64[h]: how many samples each histogram counts for. Spans are the runs of its bucket indexes."""
    layouts = histograms.layouts
    n = layouts.schema.size
    ends = np.empty(2 * n + 1, np.int64)  # positive and negative buckets in turn
    ends[0::2], ends[1::2] = layouts.pos_at[: n + 1], layouts.neg_at[:n]
    begins = np.ones(layouts.index.size + 1, np.int64)
    begins[1:-1] = np.diff(layouts.index) != 1
    begins[ends] = 1
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(begins[:-1])))
    parts = np.diff(before[ends]) + np.diff(ends)  # a span takes as much as a bucket
    words = parts[0::2] + parts[1::2] + np.diff(layouts.bounds_at)
    sizes: I64 = ((HISTOGRAM_BYTES + 8 * words) // BYTES_OF_A_SAMPLE)[histograms.layout]
    return sizes


def sizes_of_samples(samples: Samples) -> I64 | None:
    """int64[*]: what each sample counts for; None where each is one."""
    if samples.kind is None or samples.histograms is None:
        return None
    sizes = np.ones(samples.ts_ms.size, np.int64)
    mask = samples.kind == HISTOGRAM
    sizes[mask] = sample_sizes(samples.histograms)[samples.values[mask].astype(np.int64)]
    return sizes


def window_counts(operator: plan.Window, samples: Samples, workspace: Workspace) -> tuple[I64, int]:
    """int64[n]: samples in all windows of each step; and those in the longest one."""
    clean = without_stale(samples, workspace) if samples.kind is None else fresh(samples)
    sizes = sizes_of_samples(clean)
    if sizes is not None and operator.skip_buckets:
        sizes = np.minimum(sizes, HISTOGRAM_BYTES // BYTES_OF_A_SAMPLE)
    n, per_step, longest = operator.grid.n, np.zeros(operator.grid.n), 0
    n_rows = max(1, PIECE_CELLS // n)
    window = operator.first_ms, operator.step_ms, n, operator.range_ms
    before = operator.first_ms - operator.range_ms, operator.step_ms, n, X_LOOKBACK_MS
    for row in range(0, clean.n_series, n_rows):
        offsets = clean.offsets[row : row + n_rows + 1]
        counts = _window_sizes(clean, offsets, window, sizes)
        if operator.name in X_FUNCTIONS:
            counts += _window_sizes(clean, offsets, before, sizes) > 0  # the last sample before the window
        per_step += counts.sum(axis=0)
        longest = max(longest, int(counts.max(initial=0)))
    return per_step.astype(np.int64), longest


def _window_sizes(samples: Samples, offsets: I64, window: tuple[int, int, int, int], sizes: I64 | None) -> F64:
    """float64[series, n], whole numbers."""
    shape = (offsets.size - 1, window[2])
    found, there = np.empty(shape), np.empty(shape, np.uint8)
    if sizes is None:
        window_kernels.pick(samples.ts_ms, samples.values, offsets, *window, window_kernels.PICK_COUNT, found, there)
        return found
    numbers: F64 = np.arange(samples.ts_ms.size, dtype=np.float64)
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    ends = []
    for end in (window_kernels.PICK_FIRST, window_kernels.PICK_LAST):
        window_kernels.pick(samples.ts_ms, numbers, offsets, *window, end, found, there)
        ends.append(found.astype(np.int64))
    return np.where(there != 0, total[ends[1] + 1] - total[ends[0]], 0).astype(np.float64)


def count_samples(samples: Samples) -> int:
    """What all these samples count for."""
    sizes = sizes_of_samples(samples)
    return int(samples.offsets[-1] - samples.offsets[0]) if sizes is None else int(sizes.sum())


# ---- time at the border to storage


def _waited_for(
    tiles: Iterator[AnyTile], selections: Sequence[Selection], statistics: Statistics
) -> Generator[AnyTile, None, None]:
    """The same tiles; the time until each came is noted."""
    try:
        while True:
            began = time.perf_counter()
            tile = next(tiles, None)
            statistics.waited(selections, time.perf_counter() - began)
            if tile is None:
                return
            yield tile
    finally:
        close = getattr(tiles, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True, slots=True)
class _TimedTile:
    """A tile whose decoding is timed."""

    tile: Tile
    spent: Callable[[float], None]

    @property
    def labels(self) -> LabelTable:
        return self.tile.labels

    @property
    def n_samples_bound(self) -> int:
        return self.tile.n_samples_bound

    def samples(self, workspace: Workspace) -> Samples:
        began = time.perf_counter()
        samples = self.tile.samples(workspace)
        self.spent(time.perf_counter() - began)
        return samples

    def drop(self) -> None:
        self.tile.drop()


@dataclass(frozen=True, slots=True)
class _TimedSharedTile:
    tile: SharedTile
    parts: Sequence[Selection]
    spent: Callable[[Sequence[Selection], float], None]

    @property
    def labels(self) -> LabelTable:
        return self.tile.labels

    @property
    def n_samples_bound(self) -> int:
        return self.tile.n_samples_bound

    def rows(self, part: int) -> I64:
        return self.tile.rows(part)

    def samples(self, part: int, workspace: Workspace) -> Samples:
        began = time.perf_counter()
        samples = self.tile.samples(part, workspace)
        self.spent(self.parts[part : part + 1], time.perf_counter() - began)
        return samples

    def alike(self, part: int, other: int) -> bool:
        """Never: each part is to be counted by itself."""
        return False

    def drop(self) -> None:
        self.tile.drop()


class _Timed:
    """A storage, timed."""

    def __init__(self, storage: Storage, statistics: Statistics) -> None:
        self._storage, self._statistics = storage, statistics

    def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[Tile]:
        tiles = self._storage.select(selection, budget, context)
        with closing(_waited_for(tiles, (selection,), self._statistics)) as waited_for:
            for tile in waited_for:
                yield _TimedTile(tile, lambda seconds: self._statistics.waited((selection,), seconds))


class _SharedTimed(_Timed):
    def __init__(self, storage: Storage, statistics: Statistics) -> None:
        super().__init__(storage, statistics)
        assert isinstance(storage, SharedReads)
        self._shared: SharedReads = storage

    def sharing(self, selection: Selection) -> Sharing:
        return self._shared.sharing(selection)

    def select_shared(
        self, wide: Selection, parts: Sequence[Selection], budget: Budget, context: QueryContext
    ) -> Iterator[SharedTile]:
        tiles = self._shared.select_shared(wide, parts, budget, context)
        with closing(_waited_for(tiles, parts, self._statistics)) as waited_for:
            for tile in waited_for:
                yield _TimedSharedTile(tile, parts, self._statistics.waited)
