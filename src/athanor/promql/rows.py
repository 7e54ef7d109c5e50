"""Row by row: the part of a plan that works on whole series and so runs inside the tile of its selector.

A `RowSource` is a selector and a function from a decoded tile to a block of steps. Window functions, elementwise
functions and operators with a scalar extend it; reductions consume it tile by tile; everything else collects it
into one block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import local

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64, U8
from athanor.model.budget import Budget
from athanor.model.select import QueryContext, Selection, Storage, Tile
from athanor.model.tables import LabelTable, Samples, StepBlock, StepGrid
from athanor.model.workspace import Workspace
from athanor.promql.blocks import NAME_LABELS, block
from athanor.promql.notes import Notes
from athanor.promql.step_kernels import to_samples
from athanor.promql.windows import evaluate_windows, latest_samples

TileFunction = Callable[[LabelTable, Samples, Workspace], StepBlock]
COUNTER_SUFFIXES = (b"_total", b"_sum", b"_count", b"_bucket")
CELL_BYTES = 9


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows of one selection. unique: no two rows can become equal, whatever labels were dropped on the way.

    n_inner_steps: steps of the subqueries inside, which each series of a tile holds while the tile is evaluated.
    """

    selection: Selection
    grid: StepGrid
    run: TileFunction
    unique: bool
    n_inner_steps: int = 0

    def then(self, stage: Callable[[StepBlock], StepBlock]) -> RowSource:
        before = self.run
        return replace(self, run=lambda table, samples, workspace: stage(before(table, samples, workspace)))


@dataclass(frozen=True, slots=True)
class WindowCall:
    """A range function over windows that end at first_ms + j * step_ms (offset and @ applied)."""

    name: str
    first_ms: int
    step_ms: int
    range_ms: int
    args: tuple[F64, ...]
    drops_name: bool
    notes: Notes
    at: int

    def evaluate(
        self, table: LabelTable, samples: Samples, grid: StepGrid, workspace: Workspace, delayed: bool
    ) -> StepBlock:
        values, kind = _cells(len(table), grid.n)
        evaluate_windows(
            self.name, samples, self.first_ms, self.step_ms, grid.n, self.range_ms, self.args, values, kind,
            workspace, evaluation=(grid.first_ms, grid.step_ms),
        )  # fmt: skip
        if self.name in ("rate", "increase"):
            self._note_gauges(table, kind)
        if not self.drops_name:
            return block(grid, table, values, kind)
        if delayed:
            return StepBlock(grid, values, kind, table, np.ones(len(table), np.bool_))
        return block(grid, labels.drop(table, NAME_LABELS), values, kind)

    def evaluate_block(self, inside: StepBlock, grid: StepGrid, workspace: Workspace, delayed: bool) -> StepBlock:
        """Over a subquery: the cells of its inside are the samples, and its marks to drop names stay."""
        result = self.evaluate(inside.labels, samples_of(inside, workspace), grid, workspace, delayed)
        if not delayed:
            return result
        return replace(result, drop_name=result.drop_name | inside.drop_name)

    def _note_gauges(self, table: LabelTable, kind: U8) -> None:
        names = labels.column(table, labels.METRIC_NAME)
        for code, name in enumerate(names.values):
            if name and not name.endswith(COUNTER_SUFFIXES) and kind[names.codes == code].any():
                text = name.decode("utf-8", "replace").replace("\\", "\\\\").replace('"', '\\"')
                self.notes.info(
                    f'metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "{text}"', self.at
                )


def _cells(n_series: int, n_steps: int) -> tuple[F64, U8]:
    return np.empty((n_series, n_steps), np.float64), np.empty((n_series, n_steps), np.uint8)


def instant_rows(
    selection: Selection, grid: StepGrid, first_ms: int, step_ms: int, lookback_ms: int, as_time: bool
) -> RowSource:
    """An instant selector, or with as_time the times of its samples in seconds."""

    def run(table: LabelTable, samples: Samples, workspace: Workspace) -> StepBlock:
        values, kind = _cells(len(table), grid.n)
        latest_samples(samples, first_ms, step_ms, grid.n, lookback_ms, values, kind, as_time)
        return block(grid, table, values, kind)

    return RowSource(selection, grid, run, unique=True)


def window_rows(selection: Selection, grid: StepGrid, call: WindowCall, unique: bool, delayed: bool) -> RowSource:
    """A range function over a range selector."""

    def run(table: LabelTable, samples: Samples, workspace: Workspace) -> StepBlock:
        return call.evaluate(table, samples, grid, workspace, delayed)

    return RowSource(selection, grid, run, unique)


def subquery_rows(inner: RowSource, grid: StepGrid, call: WindowCall, unique: bool, delayed: bool) -> RowSource:
    """A range function over a subquery whose inside is row by row."""

    def run(table: LabelTable, samples: Samples, workspace: Workspace) -> StepBlock:
        return call.evaluate_block(inner.run(table, samples, workspace), grid, workspace, delayed)

    return RowSource(inner.selection, grid, run, unique and inner.unique, inner.n_inner_steps + inner.grid.n)


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
    return Samples(ts[:kept], values[:kept], offsets)


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

    def _one(self, source: RowSource, tile: Tile, context: QueryContext) -> StepBlock:
        workspace = self._workspace()
        context.check()
        samples = tile.samples(workspace)
        context.check()
        return source.run(tile.labels, samples, workspace)

    def run(
        self, storage: Storage, source: RowSource, budget: Budget, context: QueryContext
    ) -> Iterator[tuple[StepBlock, int]]:
        """Evaluated tiles in their order, each with the bytes that it holds in the budget: the consumer gives them
        back.

        Only a few tiles are ahead of the consumer, so that a slow one holds the streams back.
        """
        running: deque[tuple[Future[StepBlock], int]] = deque()
        tiles = storage.select(source.selection, budget, context)
        try:
            for tile in tiles:
                n_steps = source.grid.n + source.n_inner_steps
                n_bytes = len(tile.labels) * n_steps * CELL_BYTES
                budget.take(f"a tile of {len(tile.labels)} series x {n_steps} steps", n_bytes)
                running.append((self._pool.submit(self._one, source, tile, context), n_bytes))
                while len(running) > self._n_threads + 1 or (running and running[0][0].done()):
                    future, held = running.popleft()
                    yield future.result(), held
            while running:
                future, held = running.popleft()
                yield future.result(), held
        finally:
            for future, _ in running:
                future.cancel()
            close = getattr(tiles, "close", None)
            if close is not None:
                close()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
