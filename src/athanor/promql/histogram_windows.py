"""Range functions over samples that hold native histograms, alone or beside floats.

Floats and histograms are two lists, as in Prometheus: functions of floats run on theirs as ever; functions that know
both have kernels of their own. Everything here is for tiles with histograms; floats alone never come this way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from athanor.kernel import labels
from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import F64, I64, U8
from athanor.model.tables import FLOAT, HISTOGRAM, STALE_NAN_BITS, HistogramLayouts, Histograms, LabelTable, Samples
from athanor.model.workspace import Workspace
from athanor.promql import histogram_code_kernels as codes
from athanor.promql import start_kernels, window_kernels
from athanor.promql.gostrings import quote
from athanor.promql.histogram_code_kernels import NOT_RESET, RESET
from athanor.promql.histogram_memory import asked
from athanor.promql.histograms import concat, empty, from_kernel, kernel_table, room, take
from athanor.promql.notes import Notes
from athanor.promql.windows import Window, pieces, window_function

kernels = LazyKernels("athanor.promql.histogram_window_kernels")

IGNORED = 256
HISTOGRAM_WORK, BUCKET_WORK = 20, 4  # beside a float sample's: what a kernel does for one, and for each bucket
_RATES = {"rate": 2, "increase": 1, "delta": 0}
_SUMS = {"sum_over_time": 0, "avg_over_time": 1}
_EVENTS = {"changes": window_kernels.PICK_CHANGES, "resets": window_kernels.PICK_RESETS}
_PICKS = {
    "count_over_time": window_kernels.PICK_COUNT,
    "present_over_time": window_kernels.PICK_PRESENT,
    "first_over_time": window_kernels.PICK_FIRST,
    "last_over_time": window_kernels.PICK_LAST,
    "ts_of_first_over_time": window_kernels.PICK_FIRST_TIME,
    "ts_of_last_over_time": window_kernels.PICK_LAST_TIME,
}
_PICKS_A_SAMPLE = frozenset({"first_over_time", "last_over_time"})
_NAMED = (
    (codes.MIXED, "encountered a mix of histograms and floats for metric name"),
    (codes.NOT_COUNTER, "this native histogram metric is not a counter:"),
    (codes.NOT_GAUGE, "this native histogram metric is not a gauge:"),
    (
        codes.SCHEMAS,
        "vector contains a mix of histograms with exponential and custom buckets schemas for metric name",
    ),
)
_RECONCILED = (
    (codes.SUBTRACTED, "subtraction"),
    (codes.ADDED, "addition"),
    (codes.AGGREGATED, "aggregation"),
)


@dataclass(frozen=True, slots=True)
class Lists:
    """The two kinds of samples of each series apart; rows: int64, the histograms' rows."""

    floats: Samples
    ts_ms: I64
    rows: I64
    start_ms: I64
    offsets: I64


def _marks(samples: Samples) -> F64:
    """Values that are the stale marker where a sample of either kind is one."""
    assert samples.kind is not None
    if samples.histograms is None:
        return samples.values
    is_histogram = samples.kind == HISTOGRAM
    marks = samples.values.copy()
    marks[is_histogram] = samples.histograms.sum[samples.values[is_histogram].astype(np.int64)]
    return marks


def _where(samples: Samples, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Samples:
    """The marked samples; keep has a mark for each of the samples from the first offset on."""
    assert samples.kind is not None
    first, last = int(samples.offsets[0]), int(samples.offsets[-1])
    before = np.zeros(keep.size + 1, np.int64)
    np.cumsum(keep, out=before[1:])
    return Samples(
        samples.ts_ms[first:last][keep], samples.values[first:last][keep], before[samples.offsets - first],
        samples.kind[first:last][keep], samples.histograms,
        None if samples.start_ms is None else samples.start_ms[first:last][keep],
    )  # fmt: skip


def fresh(samples: Samples) -> Samples:
    """The samples less stale markers of either kind."""
    span = slice(int(samples.offsets[0]), int(samples.offsets[-1]))
    stale = _marks(samples).view(np.uint64)[span] == np.uint64(STALE_NAN_BITS)
    return _where(samples, ~stale)


def cut_mixed(samples: Samples, after_ms: int, last_ms: int) -> Samples:
    """Samples with after < t <= last that are no stale markers."""
    kept = fresh(samples)
    return _where(kept, (kept.ts_ms > after_ms) & (kept.ts_ms <= last_ms))


def _starts(samples: Samples) -> I64:
    return np.zeros(samples.ts_ms.size, np.int64) if samples.start_ms is None else samples.start_ms


def split(samples: Samples) -> Lists:
    assert samples.kind is not None
    kind = samples.kind[int(samples.offsets[0]) : int(samples.offsets[-1])]
    floats = _where(samples, np.equal(kind, FLOAT))
    others = _where(samples, np.equal(kind, HISTOGRAM))
    return Lists(
        Samples(floats.ts_ms, floats.values, floats.offsets, start_ms=floats.start_ms), others.ts_ms,
        others.values.astype(np.int64), _starts(others), others.offsets,
    )  # fmt: skip


def latest_mixed(
    samples: Samples, first_ms: int, step_ms: int, n: int, lookback_ms: int, values: F64, kind: U8, as_time: bool
) -> Histograms | None:
    """Fill values, kind with an instant selector's samples; returns the histograms that cells point to."""
    assert samples.kind is not None
    found = np.empty(values.shape, np.int64)
    kernels.latest_index(
        samples.ts_ms, _marks(samples), samples.offsets, first_ms, step_ms, n, lookback_ms, found
    )  # fmt: skip
    there = found >= 0
    at = found[there]
    kind[:], values[:] = 0, 0.0
    if as_time:
        kind[there] = FLOAT
        values[there] = samples.ts_ms[at] / 1000.0
        return None
    return _picked(samples, there, at, values, kind)


def _picked(samples: Samples, there: np.ndarray, at: I64, values: F64, kind: U8) -> Histograms | None:
    """Cells become these samples; only the histograms that are used are kept."""
    assert samples.kind is not None
    kind[there] = samples.kind[at]
    values[there] = samples.values[at]
    if samples.histograms is None:
        return None
    mask = kind == HISTOGRAM
    rows, codes = np.unique(values[mask].astype(np.int64), return_inverse=True)
    if not rows.size:
        return None
    values[mask] = codes
    return take(samples.histograms, rows)


def statistics_only(samples: Samples, keeps_schema: bool = True) -> Samples:
    """Histograms with nothing but hint, schema, count and sum, as functions that need no more read them.

    keeps_schema: as Prometheus 3.10 and later do; before, the sum of custom and exponential buckets was one of equals.
    Hints that storage does not know are found out from the whole histograms here, except for each first one. A stale
    marker does not come between two histograms.
    """
    h = samples.histograms
    if h is None or samples.kind is None:
        return samples
    lists = split(fresh(samples))
    t = kernel_table(h)
    resets = np.zeros(lists.rows.size, np.bool_)
    no_starts = np.zeros(lists.rows.size, np.int64)
    kernels.mark_resets(t, lists.ts_ms, no_starts, lists.rows, lists.offsets, *room(t), resets)
    follows = np.ones(lists.rows.size, np.bool_)
    follows[lists.offsets[:-1][lists.offsets[:-1] < lists.rows.size]] = False
    unknown = follows & (h.hint[lists.rows] == 0)
    hint = h.hint.copy()
    hint[lists.rows[unknown]] = np.where(resets[unknown], RESET, NOT_RESET)
    n_layouts, n_rows = h.layouts.schema.size, h.layout.size
    ends = np.zeros(n_layouts + 1, np.int64)
    schema = h.layouts.schema if keeps_schema else np.zeros_like(h.layouts.schema)
    layouts = HistogramLayouts(schema, np.zeros(n_layouts), np.empty(0, np.int32), ends, ends[1:], np.empty(0), ends)
    bare = Histograms(
        layouts, h.layout, hint, h.count, h.sum, np.zeros(n_rows), np.zeros(n_rows, np.int64), np.empty(0)
    )
    return replace(samples, histograms=bare)


def evaluate_mixed(
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
    evaluation: tuple[int, int],
    check: Callable[[], None],
) -> tuple[Histograms | None, I64]:
    """Fill values, kind with a range function; (histograms that cells point to, what each series' windows told)."""
    window = Window(first_ms, step_ms, n, range_ms, evaluation)
    clean = fresh(samples)
    flags = np.zeros(samples.n_series, np.int64)
    parts: list[Histograms] = []
    n_before = 0
    n_buckets = 0 if clean.histograms is None else room(kernel_table(clean.histograms))[0]
    for row, end in pairwise(pieces(name, clean, step_ms, n, range_ms, HISTOGRAM_WORK + BUCKET_WORK * n_buckets)):
        check()
        span = slice(row, end)
        part = replace(clean, offsets=clean.offsets[row : end + 1])
        table, flags[span] = _evaluate(name, part, window, args, values[span], kind[span], workspace)
        if table is not None:
            values[span][kind[span] == HISTOGRAM] += n_before
            n_before += table.layout.size
            parts.append(table)
    return (concat(parts) if parts else None), flags


def _evaluate(
    name: str, samples: Samples, window: Window, args: Sequence[F64], values: F64, kind: U8, workspace: Workspace
) -> tuple[Histograms | None, I64]:
    flags = np.zeros(samples.n_series, np.int64)
    if name in _PICKS:
        return _pick(name, samples, window, values, kind), flags
    h = samples.histograms
    if h is None or samples.kind is None:
        floats = Samples(samples.ts_ms, samples.values, samples.offsets, start_ms=samples.start_ms)
        window_function(name, floats)(floats, window, args, values, kind, workspace)
        return None, flags
    t = kernel_table(h)
    sizes = room(t)
    if name in _EVENTS:
        start_kernels.resets(samples.ts_ms, samples.offsets, *window.grid, cumulated(name, samples), values, kind)
        return None, flags
    if name in ("irate", "idelta"):
        with asked(name, values.size, sizes[0]) as memory:
            built = kernels.instant_changes(
                t, samples.ts_ms, _starts(samples), samples.values, samples.kind, samples.offsets,
                *window.grid, int(name == "irate"), *sizes, values, kind, flags,
            )  # fmt: skip
            return memory.keep(from_kernel(built)), flags
    lists = split(samples)
    window_function(name, lists.floats)(lists.floats, window, args, values, kind, workspace)
    floats_there = present(lists.floats.ts_ms, lists.floats.offsets, window)
    if name in _RATES:
        resets = np.zeros(lists.rows.size, np.bool_)
        if _RATES[name]:
            kernels.mark_resets(t, lists.ts_ms, lists.start_ms, lists.rows, lists.offsets, *sizes, resets)
        with asked(name, values.size, sizes[0]) as memory:
            built = kernels.rates(
                t, lists.ts_ms, lists.start_ms, lists.rows, lists.offsets, resets, floats_there, *window.grid,
                window.range_s, _RATES[name], *sizes, values, kind, flags,
            )  # fmt: skip
            return memory.keep(from_kernel(built)), flags
    if name in _SUMS:
        with asked(name, values.size, sizes[0]) as memory:
            built = kernels.sums(
                t, lists.ts_ms, lists.rows, lists.offsets, floats_there, *window.grid, _SUMS[name], *sizes, values,
                kind, flags,
            )  # fmt: skip
            return memory.keep(from_kernel(built)), flags
    both = floats_there & present(lists.ts_ms, lists.offsets, window)
    flags[both.any(axis=1)] |= IGNORED
    return None, flags


def cumulated(name: str, samples: Samples) -> I64:
    """int64 for each sample: changes or resets of its series up to there, from kind to kind as well."""
    assert samples.kind is not None
    t = kernel_table(samples.histograms if samples.histograms is not None else empty())
    events = np.zeros(samples.ts_ms.size, np.int64)
    kernels.cumulate_events(
        t, samples.ts_ms, _starts(samples), samples.values, samples.kind, samples.offsets, _EVENTS[name], *room(t),
        events,
    )  # fmt: skip
    return events


def present(ts_ms: I64, offsets: I64, window: Window) -> U8:
    """uint8[series, n]: 1 where the window has one of these samples."""
    shape = (offsets.size - 1, window.n)
    out, there = np.empty(shape), np.empty(shape, np.uint8)
    window_kernels.pick(
        ts_ms, np.zeros(ts_ms.size), offsets, *window.grid, window_kernels.PICK_PRESENT, out, there
    )  # fmt: skip
    return there


def _pick(name: str, samples: Samples, window: Window, values: F64, kind: U8) -> Histograms | None:
    numbers = np.arange(samples.ts_ms.size, dtype=np.float64)
    window_kernels.pick(samples.ts_ms, numbers, samples.offsets, *window.grid, _PICKS[name], values, kind)
    if name not in _PICKS_A_SAMPLE:
        return None
    there = kind != 0
    return _picked(samples, there, values[there].astype(np.int64), values, kind)


def note_flags(flags: I64, table: LabelTable, notes: Notes, at: int) -> None:
    """Annotations for what the windows of each series told."""
    everything = int(np.bitwise_or.reduce(flags, initial=0))
    if not everything:
        return
    names = labels.column(table, labels.METRIC_NAME)
    for bit, text in _NAMED:
        for code in np.unique(names.codes[(flags & bit) != 0]).tolist():
            notes.warn(f"{text} {quote(names.values[code].decode('utf-8', 'surrogateescape'))}", at)
    if everything & codes.COLLIDED:
        notes.warn("conflicting counter resets during histogram aggregation", at)
    for bit, operation in _RECONCILED:
        if everything & bit:
            notes.info(f"mismatched custom buckets were reconciled during {operation}", at)
    for code in np.unique(names.codes[(flags & IGNORED) != 0]).tolist():
        name = quote(names.values[code].decode("utf-8", "surrogateescape"))
        notes.info(f"ignored histograms in a range containing both floats and histograms for metric name {name}", at)
