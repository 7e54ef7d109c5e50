"""`anchored` and `smoothed` selectors over samples that hold native histograms, alone or beside floats."""

from __future__ import annotations

import numpy as np

from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import F64, I64, U8
from athanor.model.tables import Histograms, Samples
from athanor.promql import extended_kernels
from athanor.promql.histogram_memory import asked
from athanor.promql.histogram_windows import cumulated, fresh, present, split
from athanor.promql.histograms import empty, from_kernel, kernel_table, room
from athanor.promql.windows import Window, range_seconds

kernels = LazyKernels("athanor.promql.histogram_extended_kernels")

Grid = tuple[int, int, int, int]
_MODES = {"delta": 0, "increase": 1, "rate": 2}


def evaluate(
    name: str, samples: Samples, grid: Grid, before_ms: int, after_ms: int, values: F64, kind: U8
) -> tuple[Histograms | None, I64]:
    """As `histogram_windows.evaluate_mixed`. grid: first end, step, number of windows, range, all in ms."""
    clean = fresh(samples)
    flags = np.zeros(samples.n_series, np.int64)
    if name not in _MODES:
        extended_kernels.counted_events(
            clean.ts_ms, clean.values, clean.offsets, *grid, before_ms, cumulated(name, clean), values, kind
        )
        return None, flags
    lists = split(clean)
    mode, smoothed, range_s = _MODES[name], int(after_ms > 0), range_seconds(grid[3])
    floats = lists.floats
    longest = int(np.diff(floats.offsets).max(initial=0))
    extended_kernels.differences(
        floats.ts_ms, floats.values, floats.offsets, *grid, before_ms, after_ms, range_s, mode, smoothed,
        np.empty(longest, np.int64), values, kind,
    )  # fmt: skip
    t = kernel_table(samples.histograms or empty())
    sizes, near = room(t), _floats_near(floats, grid, before_ms, after_ms)
    with asked(name, values.size, sizes[0]) as memory:
        built = kernels.differences(
            t, lists.ts_ms, lists.rows, lists.offsets, near, *grid,
            before_ms, after_ms, range_s, mode, smoothed, *sizes, values, kind, flags,
        )  # fmt: skip
        return memory.keep(from_kernel(built)), flags


def smoothed_values(
    samples: Samples, first_ms: int, step_ms: int, n: int, lookback_ms: int, values: F64, kind: U8
) -> tuple[Histograms | None, I64]:
    """Fill values, kind with `m smoothed`."""
    lists = split(fresh(samples))
    floats = lists.floats
    flags = np.zeros(samples.n_series, np.int64)
    extended_kernels.smoothed_values(
        floats.ts_ms, floats.values, floats.offsets, first_ms, step_ms, n, lookback_ms, values, kind
    )
    t = kernel_table(samples.histograms or empty())
    near = _floats_near(floats, (first_ms, step_ms, n, 0), lookback_ms, lookback_ms)
    sizes = room(t)
    with asked("a smoothed selector", values.size, sizes[0]) as memory:
        built = kernels.smoothed_values(
            t, lists.ts_ms, lists.rows, lists.offsets, near, first_ms, step_ms, n, lookback_ms, *sizes,
            values, kind, flags,
        )  # fmt: skip
        return memory.keep(from_kernel(built)), flags


def _floats_near(floats: Samples, grid: Grid, before_ms: int, after_ms: int) -> U8:
    """Where the window with what lies around it has a float."""
    first_ms, step_ms, n, range_ms = grid
    around = Window(first_ms + after_ms, step_ms, n, range_ms + before_ms + after_ms, (first_ms, step_ms))
    return present(floats.ts_ms, floats.offsets, around)
