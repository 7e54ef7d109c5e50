"""Range functions by name: picks the kernel, gives it scratch memory, fills a block of [series, steps]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from athanor.model.arrays import F64, I64, U8
from athanor.model.errors import NotAvailableError
from athanor.model.tables import Samples
from athanor.model.workspace import Workspace
from athanor.promql import start_kernels, variance_kernels
from athanor.promql import window_fold_kernels as folds
from athanor.promql import window_kernels as kernels
from athanor.promql import window_order_kernels as orders
from athanor.promql.start_times import cumulate_resets

_Run = Callable[[Samples, "Window", Sequence[F64], F64, U8, Workspace], None]


def range_seconds(range_ms: int) -> float:
    """As Prometheus turns a range into seconds: whole seconds, and the rest in nanoseconds."""
    seconds, rest_ms = divmod(range_ms, 1000)
    return float(seconds) + (rest_ms * 1_000_000) / 1e9


class Window:
    """Arguments that every kernel takes: first end, step, count, range (ms)."""

    __slots__ = ("evaluation_first_ms", "evaluation_step_ms", "first_ms", "n", "range_ms", "step_ms")

    def __init__(self, first_ms: int, step_ms: int, n: int, range_ms: int, evaluation: tuple[int, int]) -> None:
        self.first_ms, self.step_ms, self.n, self.range_ms = first_ms, step_ms, n, range_ms
        self.evaluation_first_ms, self.evaluation_step_ms = evaluation

    @property
    def range_s(self) -> float:
        return range_seconds(self.range_ms)

    @property
    def grid(self) -> tuple[int, int, int, int]:
        return self.first_ms, self.step_ms, self.n, self.range_ms


def _longest(samples: Samples) -> int:
    return int(np.diff(samples.offsets).max(initial=0))


def _extrapolated(mode: int) -> _Run:
    def run(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
        resets = workspace.i64("window.resets", _longest(s))
        kernels.extrapolated(s.ts_ms, s.values, s.offsets, *w.grid, w.range_s, mode, resets, values, kind)

    return run


def _plain(kernel: Callable[..., None], what: int) -> _Run:
    """Kernels without scratch memory."""

    def run(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
        kernel(s.ts_ms, s.values, s.offsets, *w.grid, what, values, kind)

    return run


def _variances(is_deviation: int) -> _Run:
    def run(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
        n_steps = values.shape[1]
        scratch = workspace.i64("window.lo", n_steps), workspace.i64("window.hi", n_steps)
        variance_kernels.variances(s.ts_ms, s.values, s.offsets, *w.grid, is_deviation, *scratch, values, kind)

    return run


def _sums(is_average: int) -> _Run:
    def run(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
        n = _longest(s)
        scratch = workspace.f64("window.a", n), workspace.f64("window.b", n)
        folds.sums(s.ts_ms, s.values, s.offsets, *w.grid, is_average, *scratch, values, kind)

    return run


def _extremes(is_max: int) -> _Run:
    def run(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
        scratch = workspace.f64("window.a", _longest(s))
        folds.extremes(s.ts_ms, s.values, s.offsets, *w.grid, is_max, scratch, values, kind)

    return run


def _regressions(is_prediction: int) -> _Run:
    def run(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
        n = _longest(s)
        seconds = args[0] if is_prediction else np.zeros(w.n)
        scratch = (workspace.i64("window.resets", n), *(workspace.f64(f"window.{c}", n) for c in "abcd"))
        folds.regressions(
            s.ts_ms,
            s.values,
            s.offsets,
            *w.grid,
            w.evaluation_first_ms,
            w.evaluation_step_ms,
            is_prediction,
            seconds,
            *scratch,
            values,
            kind,
        )

    return run


def _smoothing(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
    folds.smoothings(s.ts_ms, s.values, s.offsets, *w.grid, args[0], args[1], values, kind)


def _quantile(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
    ordered = workspace.f64("window.a", _longest(s))
    orders.quantiles(s.ts_ms, s.values, s.offsets, *w.grid, args[0], ordered, values, kind)


def _deviation(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
    n = _longest(s)
    scratch = workspace.f64("window.a", n), workspace.f64("window.b", n)
    orders.absolute_deviations(s.ts_ms, s.values, s.offsets, *w.grid, *scratch, values, kind)


WINDOW_FUNCTIONS: dict[str, _Run] = {
    "rate": _extrapolated(2),
    "increase": _extrapolated(1),
    "delta": _extrapolated(0),
    "irate": _plain(kernels.instant_change, 1),
    "idelta": _plain(kernels.instant_change, 0),
    "count_over_time": _plain(kernels.pick, kernels.PICK_COUNT),
    "present_over_time": _plain(kernels.pick, kernels.PICK_PRESENT),
    "first_over_time": _plain(kernels.pick, kernels.PICK_FIRST),
    "last_over_time": _plain(kernels.pick, kernels.PICK_LAST),
    "ts_of_first_over_time": _plain(kernels.pick, kernels.PICK_FIRST_TIME),
    "ts_of_last_over_time": _plain(kernels.pick, kernels.PICK_LAST_TIME),
    "changes": _plain(kernels.pick, kernels.PICK_CHANGES),
    "resets": _plain(kernels.pick, kernels.PICK_RESETS),
    "sum_over_time": _sums(0),
    "avg_over_time": _sums(1),
    "max_over_time": _extremes(1),
    "min_over_time": _extremes(0),
    "ts_of_max_over_time": _plain(folds.extreme_times, 1),
    "ts_of_min_over_time": _plain(folds.extreme_times, 0),
    "stdvar_over_time": _variances(0),
    "stddev_over_time": _variances(1),
    "deriv": _regressions(0),
    "predict_linear": _regressions(1),
    "double_exponential_smoothing": _smoothing,
    "quantile_over_time": _quantile,
    "mad_over_time": _deviation,
}


def _starts(samples: Samples) -> I64:
    assert samples.start_ms is not None
    return samples.start_ms


def _extrapolated_from_starts(is_rate: int) -> _Run:
    def run(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
        resets = workspace.i64("window.resets", _longest(s))
        start_kernels.extrapolated(
            s.ts_ms, s.values, _starts(s), s.offsets, *w.grid, w.range_s, is_rate, resets, values, kind
        )

    return run


def _instant_rates(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
    start_kernels.instant_rates(s.ts_ms, s.values, _starts(s), s.offsets, *w.grid, values, kind)


def _resets(s: Samples, w: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace) -> None:
    events = workspace.i64("window.resets", s.values.size)
    cumulate_resets(s, events)
    start_kernels.resets(s.ts_ms, s.offsets, *w.grid, events, values, kind)


# Those that look at the start times of samples that have them.
_FROM_STARTS: dict[str, _Run] = {
    "rate": _extrapolated_from_starts(1),
    "increase": _extrapolated_from_starts(0),
    "irate": _instant_rates,
    "resets": _resets,
}

# These look at every sample of every window, or keep the window sorted; the others slide.
_SCANNING = frozenset({
    "ts_of_max_over_time", "ts_of_min_over_time", "stdvar_over_time", "stddev_over_time", "quantile_over_time",
    "mad_over_time", "double_exponential_smoothing", "xrate", "xincrease", "xdelta",
})  # fmt: skip
PIECE_WORK = 2_000_000  # samples and cells that a kernel looks at between two checks for cancellation: 10 to 20 ms


def pieces(name: str, samples: Samples, step_ms: int, n: int, range_ms: int, work: int = 1) -> list[int]:
    """Rows at which kernel calls begin, and the end. work: of a sample, or a cell; 1 for a float."""
    per_row = np.diff(samples.offsets) + n
    if name in _SCANNING or (work > 1 and name in ("sum_over_time", "avg_over_time")):
        share = range_ms / max(1, (n - 1) * step_ms + range_ms)
        per_row = per_row + (np.diff(samples.offsets) * min(1.0, share) * n).astype(np.int64)
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(per_row * work)))
    borders, end = [0], samples.n_series
    while borders[-1] < end:
        reached = int(np.searchsorted(total, total[borders[-1]] + PIECE_WORK, "right")) - 1
        borders.append(min(end, max(reached, borders[-1] + 1)))
    return borders


def window_function(name: str, samples: Samples) -> _Run:
    """The function as these samples need it: some look at start times where there are any."""
    run = WINDOW_FUNCTIONS[name]
    return run if samples.start_ms is None else _FROM_STARTS.get(name, run)


def _never() -> None:
    """Nothing can cancel this work."""


def without_stale(samples: Samples, workspace: Workspace) -> Samples:
    """The samples less stale markers, which range selectors never see; the same arrays where there are none."""
    if not kernels.count_stale(samples.values):
        return samples
    n = samples.values.size
    ts, values = workspace.i64("stale.ts", n), workspace.f64("stale.values", n)
    offsets = np.empty_like(samples.offsets)
    kept = kernels.drop_stale(samples.ts_ms, samples.values, samples.offsets, ts, values, offsets)
    if samples.start_ms is None:
        return Samples(ts[:kept], values[:kept], offsets)
    starts = workspace.i64("stale.starts", n)  # another pass, with the start times for times
    kernels.drop_stale(samples.start_ms, samples.values, samples.offsets, starts, values, offsets)
    return Samples(ts[:kept], values[:kept], offsets, start_ms=starts[:kept])


def evaluate_windows(
    name: str,
    samples: Samples,
    first_ms: int,
    step_ms: int,
    n: int,
    range_ms: int,
    args: Sequence[F64],
    values: F64,
    kind: U8,
    workspace: Workspace,
    evaluation: tuple[int, int] | None = None,
    check: Callable[[], None] = _never,
) -> None:
    """Fill values, kind ([series, n]) with a range function over windows (end - range_ms, end].

    first_ms: end of the first window, offset and @ already applied; args: float64[n] for each scalar argument, in
    order; evaluation: first and step (ms) of the times that predict_linear starts from (default first_ms, step_ms);
    check: called between kernel calls, raises when nobody waits for the answer any more.
    """
    if samples.kind is not None:
        raise NotAvailableError("native histograms")
    window = Window(first_ms, step_ms, n, range_ms, evaluation or (first_ms, step_ms))
    samples = without_stale(samples, workspace)
    run = window_function(name, samples)
    borders = pieces(name, samples, step_ms, n, range_ms)
    for row, end in pairwise(borders):
        check()
        run(in_rows(samples, row, end), window, args, values[row:end], kind[row:end], workspace)


def in_rows(samples: Samples, first: int, end: int) -> Samples:
    """The samples of these series; the same arrays."""
    if end - first == samples.n_series:
        return samples
    return Samples(samples.ts_ms, samples.values, samples.offsets[first : end + 1], start_ms=samples.start_ms)


def latest_samples(
    samples: Samples,
    first_ms: int,
    step_ms: int,
    n: int,
    lookback_ms: int,
    values: F64,
    kind: U8,
    as_time: bool = False,
) -> None:
    """Fill values, kind ([series, n]) with an instant selector's samples, or their times in seconds."""
    if samples.kind is not None:
        raise NotAvailableError("native histograms")
    kernels.latest(
        samples.ts_ms, samples.values, samples.offsets, first_ms, step_ms, n, lookback_ms, int(as_time), values, kind
    )
