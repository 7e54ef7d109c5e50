"""Row by row: the part of a plan that works on whole series and so runs inside the tile of its selector.

A `RowSource` is a selector and the functions that a decoded tile goes through on its way to a block of steps.
Reductions consume it tile by tile; everything else collects it into one block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import local
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64, U8
from athanor.model.budget import Budget
from athanor.model.select import QueryContext, Selection, Storage, Tile
from athanor.model.tables import FLOAT, LabelTable, Samples, StepBlock, StepGrid
from athanor.model.workspace import Workspace
from athanor.promql.blocks import NAME_LABELS
from athanor.promql.extended import Extended, evaluate_extended, smoothed_values
from athanor.promql.histogram_code_kernels import NOT_RESET, RESET
from athanor.promql.histogram_memory import charged_to
from athanor.promql.histogram_windows import evaluate_mixed, latest_mixed, note_flags
from athanor.promql.histograms import has_cells
from athanor.promql.notes import Notes
from athanor.promql.signatures import X_FUNCTIONS
from athanor.promql.start_times import latest_starts, overlaps
from athanor.promql.step_kernels import to_samples
from athanor.promql.windows import evaluate_windows, latest_samples, without_stale
from athanor.promql.x_functions import evaluate_x

Leaf = Callable[[LabelTable, Samples, Workspace, Notes], StepBlock]
Stage = Callable[[StepBlock, Workspace, Notes], StepBlock]
Again = Callable[[LabelTable, U8, Notes], None]  # kind: of the cells that these series have
WORKSPACE_BYTES = 20  # times and values of a sample, and a quarter that a workspace grows beyond what is asked
Wanted = Literal["value", "time", "start", "smoothed"]
INLINE_SAMPLES = 16_384
"""A tile of so few is evaluated by the thread that has it: to hand it to another takes longer."""
COUNTER_SUFFIXES = (b"_total", b"_sum", b"_count", b"_bucket")


def nothing_noted(table: LabelTable, kind: U8, notes: Notes) -> None:
    """A leaf that has nothing to say about floats."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows of one selection: leaf turns samples into steps, stages follow in order.

    row_bytes: what one series holds while its tile is evaluated, all stages together; leaf_bytes: when the leaf alone
    has been. again: notes once more what the
    leaf noted of floats, for some of the series.
    """

    selection: Selection
    leaf: Leaf
    stages: tuple[Stage, ...]
    row_bytes: int
    leaf_bytes: int = 0
    again: Again = nothing_noted

    def run(self, table: LabelTable, samples: Samples, workspace: Workspace, notes: Notes) -> StepBlock:
        return self.finish(self.leaf(table, samples, workspace, notes), workspace, notes)

    def finish(self, result: StepBlock, workspace: Workspace, notes: Notes) -> StepBlock:
        """What the stages make of the leaf's block."""
        for stage in self.stages:
            result = stage(result, workspace, notes)
        return result


@dataclass(frozen=True, slots=True)
class WindowCall:
    """A range function over windows that end at first_ms + j * step_ms (offset and @ applied).

    extended: the selector is anchored or smoothed; use_starts: the start times of samples count.
    """

    name: str
    grid: StepGrid
    first_ms: int
    step_ms: int
    range_ms: int
    args: tuple[F64, ...]
    drops_name: bool
    delayed: bool
    at: int
    check: Callable[[], None]
    extended: Extended | None
    use_starts: bool

    def over_samples(self, table: LabelTable, samples: Samples, workspace: Workspace, notes: Notes) -> StepBlock:
        grid = self.grid
        values, kind = _cells(len(table), grid.n)
        if samples.start_ms is not None and not self.use_starts:
            samples = replace(samples, start_ms=None)
        windows = self.first_ms, self.step_ms, grid.n, self.range_ms
        histograms = None
        if self.name in X_FUNCTIONS:
            evaluate_x(self.name, samples, windows, values, kind, workspace, self.check)
        elif self.extended is not None:
            histograms, told = evaluate_extended(
                self.name, self.extended, samples, windows, values, kind, workspace, self.check
            )
            if told is not None:
                note_flags(told, table, notes, self.at)
        elif samples.kind is not None:
            histograms, flags = evaluate_mixed(
                self.name, samples, self.first_ms, self.step_ms, grid.n, self.range_ms, self.args, values, kind,
                workspace, evaluation=(grid.first_ms, grid.step_ms), check=self.check,
            )  # fmt: skip
            note_flags(flags, table, notes, self.at)
        else:
            evaluate_windows(
                self.name, samples, self.first_ms, self.step_ms, grid.n, self.range_ms, self.args, values, kind,
                workspace, evaluation=(grid.first_ms, grid.step_ms), check=self.check,
            )  # fmt: skip
        self.note_floats(table, kind, notes)
        if self.name in ("rate", "increase") and samples.start_ms is not None and self.extended is None:
            self._note_overlaps(table, samples, workspace, notes)
        keeps, n = not self.drops_name or self.delayed, len(table)
        marks = np.full(n, self.drops_name and self.delayed)
        return StepBlock(grid, values, kind, table if keeps else labels.drop(table, NAME_LABELS), marks, histograms)

    def over_block(self, inside: StepBlock, workspace: Workspace, notes: Notes) -> StepBlock:
        """Over a subquery: the cells of its inside are the samples, and its marks to drop names stay."""
        result = self.over_samples(inside.labels, _of_unknown_hint(samples_of(inside, workspace)), workspace, notes)
        if not self.delayed:
            return result
        return replace(result, drop_name=result.drop_name | inside.drop_name)

    def note_floats(self, table: LabelTable, kind: U8, notes: Notes) -> None:
        """All that is noted of series without histograms and start times."""
        if self.name not in ("rate", "increase"):
            return
        names = labels.column(table, labels.METRIC_NAME)
        for code, name in enumerate(names.values):
            if name and not name.endswith(COUNTER_SUFFIXES) and (kind[names.codes == code] == FLOAT).any():
                words = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket"
                notes.info(f'{words}: "{_quoted(name)}"', self.at)

    def _note_overlaps(self, table: LabelTable, samples: Samples, workspace: Workspace, notes: Notes) -> None:
        clean = without_stale(samples, workspace)
        counts = overlaps(clean, self.first_ms, self.step_ms, self.grid.n, self.range_ms)
        if not counts.any():
            return
        names = labels.column(table, labels.METRIC_NAME)
        for code, name in enumerate(names.values):
            count = int(counts[names.codes == code].sum())
            if count:
                words = "sample has start time that overlaps with previous sample timestamp for metric"
                notes.warn_counted(f'{words} "{_quoted(name)}"', self.at, count)


def _quoted(name: bytes) -> str:
    return name.decode("utf-8", "replace").replace("\\", "\\\\").replace('"', '\\"')


def _cells(n_series: int, n_steps: int) -> tuple[F64, U8]:
    return np.empty((n_series, n_steps), np.float64), np.empty((n_series, n_steps), np.uint8)


@dataclass(frozen=True, slots=True)
class InstantRead:
    """An instant selector; or the times of its samples, or when their counters began, in seconds."""

    grid: StepGrid
    first_ms: int
    step_ms: int
    lookback_ms: int
    wanted: Wanted
    at: int = 0

    def __call__(self, table: LabelTable, samples: Samples, workspace: Workspace, notes: Notes) -> StepBlock:
        values, kind = _cells(len(table), self.grid.n)
        histograms = None
        place = self.first_ms, self.step_ms, self.grid.n, self.lookback_ms
        if self.wanted == "smoothed":
            histograms, told = smoothed_values(samples, *place, values, kind, workspace)
            if told is not None:
                note_flags(told, table, notes, self.at)
        elif self.wanted == "start":
            latest_starts(samples, *place, values, kind)
        elif samples.kind is not None:
            histograms = latest_mixed(samples, *place, values, kind, self.wanted == "time")
        else:
            latest_samples(samples, *place, values, kind, self.wanted == "time")
        return StepBlock(self.grid, values, kind, table, np.zeros(len(table), np.bool_), histograms)


def _of_unknown_hint(samples: Samples) -> Samples:
    """What a subquery hands to a function: nobody vouches for resets between its steps."""
    h = samples.histograms
    if h is None:
        return samples
    hint = np.where((h.hint == RESET) | (h.hint == NOT_RESET), np.uint8(0), h.hint)
    return replace(samples, histograms=replace(h, hint=hint))


def samples_of(source: StepBlock, workspace: Workspace) -> Samples:
    """The cells of a block as samples at its steps; the arrays are the workspace's."""
    n = source.values.size
    ts, values = workspace.i64("subquery.ts", n), workspace.f64("subquery.values", n)
    offsets = np.empty(source.values.shape[0] + 1, np.int64)
    grid = source.grid
    kept = to_samples(
        np.ascontiguousarray(source.values),
        np.ascontiguousarray(source.kind),
        grid.first_ms,
        grid.step_ms,
        ts,
        values,
        offsets,
    )
    if not has_cells(source):
        return Samples(ts[:kept], values[:kept], offsets)
    return Samples(ts[:kept], values[:kept], offsets, source.kind[source.kind != 0], source.histograms)


class Undecoded(Protocol):
    """What the workers need to know of a tile."""

    @property
    def labels(self) -> LabelTable: ...

    @property
    def n_samples_bound(self) -> int: ...

    def drop(self) -> None: ...


T = TypeVar("T")
AnyTile = TypeVar("AnyTile", bound=Undecoded)


@dataclass(frozen=True, slots=True)
class _Running(Generic[T]):
    tile: Undecoded
    future: Future[T]
    held_bytes: int


class TileRunner:
    """Worker threads of all queries, each with a workspace of its own."""

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="tile")
        self._local = local()

    def _workspace(self) -> Workspace:
        workspace: Workspace | None = getattr(self._local, "workspace", None)
        if workspace is None:
            workspace = self._local.workspace = Workspace()
        return workspace

    def _one(self, work: Callable[[AnyTile, Workspace], T], tile: AnyTile, budget: Budget, context: QueryContext) -> T:
        workspace = self._workspace()
        # The thread's arrays, as they are or as this tile makes them, are the query's while it uses them.
        n_bytes = max(workspace.n_bytes, tile.n_samples_bound * WORKSPACE_BYTES)
        try:
            context.check()
            budget.take(f"a workspace for {tile.n_samples_bound} samples", n_bytes)
        except BaseException:
            tile.drop()
            raise
        try:
            with charged_to(budget, context.check):
                result = work(tile, workspace)
            with budget.holding("scratch of a tile", max(0, workspace.n_bytes - n_bytes)):
                return result
        finally:
            budget.give(n_bytes)

    def run(
        self, storage: Storage, source: RowSource, budget: Budget, context: QueryContext, notes: Notes
    ) -> Iterator[tuple[StepBlock, int]]:
        """Evaluated tiles in their order, each with the bytes that it holds in the budget, which the consumer gives
        back. Annotations are added in the order of the tiles too."""

        def work(tile: Tile, workspace: Workspace) -> tuple[StepBlock, Notes]:
            own = Notes()
            samples = tile.samples(workspace)
            context.check()
            return source.run(tile.labels, samples, workspace, own), own

        tiles = storage.select(source.selection, budget, context)
        for (result, own), held in self.map(tiles, work, source.row_bytes, budget, context):
            notes.extend(own)
            yield result, held

    def map(
        self,
        tiles: Iterator[AnyTile],
        work: Callable[[AnyTile, Workspace], T],
        row_bytes: int,
        budget: Budget,
        context: QueryContext,
    ) -> Generator[tuple[T, int], None, None]:
        """What the work makes of each tile, in their order, with the bytes held for it: row_bytes for each series.

        The work lets go of its tile, also when it fails. Only a few tiles are ahead of the consumer, so that a slow
        one holds the streams back.
        """
        running: deque[_Running[T]] = deque()
        try:
            for tile in tiles:
                n_bytes = len(tile.labels) * row_bytes
                try:
                    budget.take(f"a tile of {len(tile.labels)} series x {row_bytes} bytes of steps", n_bytes)
                except BaseException:
                    tile.drop()
                    raise
                if not running and tile.n_samples_bound <= INLINE_SAMPLES:
                    try:
                        result = self._one(work, tile, budget, context)
                    except BaseException:
                        budget.give(n_bytes)
                        raise
                    yield result, n_bytes
                    continue
                running.append(_Running(tile, self._pool.submit(self._one, work, tile, budget, context), n_bytes))
                while len(running) > self._n_threads + 1 or (running and running[0].future.done()):
                    yield self._next(running)
            while running:
                yield self._next(running)
        finally:
            self._abandon(running, budget)
            close = getattr(tiles, "close", None)
            if close is not None:
                close()

    @staticmethod
    def _next(running: deque[_Running[T]]) -> tuple[T, int]:
        result = running[0].future.result()
        return result, running.popleft().held_bytes

    @staticmethod
    def _abandon(running: deque[_Running[T]], budget: Budget) -> None:
        """Nothing of a query that ended early works on: tiles not begun are dropped, those begun end first."""
        begun = []
        for one in running:
            if one.future.cancel():
                one.tile.drop()
            else:
                begun.append(one.future)
        wait(begun)
        budget.give(sum(one.held_bytes for one in running))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
