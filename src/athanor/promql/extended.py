"""`anchored` and `smoothed` selectors: functions and values that look at samples around the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from athanor.model.arrays import F64, I64, U8
from athanor.model.tables import Histograms, Samples
from athanor.model.workspace import Workspace
from athanor.promql import extended_kernels as kernels
from athanor.promql import histogram_extended
from athanor.promql.errors import QueryError
from athanor.promql.start_times import cumulate_resets
from athanor.promql.windows import in_rows, pieces, range_seconds, without_stale

Extension = Literal["", "anchored", "smoothed"]
_FUNCTIONS: dict[Extension, tuple[str, ...]] = {
    "anchored": ("changes", "delta", "increase", "rate", "resets"),
    "smoothed": ("delta", "increase", "rate"),
}
_MODES = {"delta": 0, "increase": 1, "rate": 2}


@dataclass(frozen=True, slots=True)
class Extended:
    """How far around its window a selector looks."""

    extension: Extension
    lookback_ms: int

    @property
    def after_ms(self) -> int:
        return self.lookback_ms if self.extension == "smoothed" else 0


def check_extension(extension: Extension, function: str) -> None:
    """Raises where the function has no meaning over such a selector."""
    if extension and function not in _FUNCTIONS[extension]:
        words = ", ".join(_FUNCTIONS[extension])
        raise QueryError(f"{extension} modifier can only be used with: {words} - not with {function}")


def evaluate_extended(
    name: str,
    extended: Extended,
    samples: Samples,
    grid: tuple[int, int, int, int],
    values: F64,
    kind: U8,
    workspace: Workspace,
    check: Callable[[], None],
) -> tuple[Histograms | None, I64 | None]:
    """Fill values, kind ([series, n]). grid: first end, step, number of windows, range, all in ms.

    Returns histograms that cells point to and what the windows of each series told, None where there are only floats.
    """
    if samples.kind is not None:
        return histogram_extended.evaluate(name, samples, grid, extended.lookback_ms, extended.after_ms, values, kind)
    samples = without_stale(samples, workspace)
    _, step_ms, n, range_ms = grid
    around = range_ms + extended.lookback_ms + extended.after_ms
    for row, end in pairwise(pieces(name, samples, step_ms, n, around)):
        check()
        part = in_rows(samples, row, end)
        if name in _MODES:
            longest = int(np.diff(part.offsets).max(initial=0))
            kernels.differences(
                part.ts_ms, part.values, part.offsets, *grid, extended.lookback_ms, extended.after_ms,
                range_seconds(range_ms), _MODES[name], int(extended.extension == "smoothed"),
                workspace.i64("window.resets", longest), values[row:end], kind[row:end],
            )  # fmt: skip
            continue
        events = workspace.i64("extended.events", part.values.size)
        if name == "changes":
            kernels.cumulate_changes(part.values, part.offsets, events)
        else:
            cumulate_resets(part, events)
        kernels.counted_events(
            part.ts_ms, part.values, part.offsets, *grid, extended.lookback_ms, events, values[row:end], kind[row:end]
        )
    return None, None


def smoothed_values(
    samples: Samples,
    first_ms: int,
    step_ms: int,
    n: int,
    lookback_ms: int,
    values: F64,
    kind: U8,
    workspace: Workspace,
) -> tuple[Histograms | None, I64 | None]:
    """Fill values, kind ([series, n]) with `m smoothed`; a stale marker ends nothing here. Returns as above."""
    if samples.kind is not None:
        return histogram_extended.smoothed_values(samples, first_ms, step_ms, n, lookback_ms, values, kind)
    clean = without_stale(samples, workspace)
    kernels.smoothed_values(clean.ts_ms, clean.values, clean.offsets, first_ms, step_ms, n, lookback_ms, values, kind)
    return None, None


def bounded_samples(samples: Samples, extended: Extended, begin_ms: int, end_ms: int, workspace: Workspace) -> Samples:
    """What an instant query of `m[range] anchored` answers: the samples inside and a value at both ends."""
    if samples.kind is not None and (samples.kind != 1).any():
        raise QueryError(f"{extended.extension} modifier is not supported with histograms")
    clean = without_stale(samples, workspace)
    n_series = clean.n_series
    room = int(clean.offsets[-1] - clean.offsets[0]) + 2 * n_series
    ts, values, offsets = np.empty(room, np.int64), np.empty(room), np.empty(n_series + 1, np.int64)
    kernels.bounded_samples(
        clean.ts_ms, clean.values, clean.offsets, begin_ms, end_ms, extended.lookback_ms, extended.after_ms,
        int(extended.extension == "smoothed"), ts, values, offsets,
    )  # fmt: skip
    kept = int(offsets[-1])
    return Samples(ts[:kept], values[:kept], offsets)
