"""histogram_quantile, histogram_quantiles and histogram_fraction of classic histograms.

The series of one histogram differ in `le` only. They are grouped and put in order of their bounds once; kernels then
walk each group over all steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import B1, F64, I64, U8
from athanor.model.tables import FLOAT, HISTOGRAM, LabelTable, StepBlock
from athanor.promql import classic_histogram_kernels as kernels
from athanor.promql.blocks import concat_blocks, empty_block, full_width, take_rows, with_data
from athanor.promql.float_text import open_metrics, parse_float
from athanor.promql.floats import general
from athanor.promql.function_call import FunctionCall, floats_without_name
from athanor.promql.gostrings import quote
from athanor.promql.histogram_functions import native_fractions, native_quantiles, native_rows, note_nan

Parts = Callable[[StepBlock], tuple[F64, U8, U8]]
BOUND = "le"
PIECE_CELLS = 1 << 22  # cells between two looks whether the query was cancelled
FORCED = (
    "input to histogram_quantile needed to be fixed for monotonicity (see "
    "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)


@dataclass(frozen=True, slots=True)
class ClassicHistograms:
    """Rows of a block grouped into histograms.

    table: one label set, without `le`, for each of g groups; rows: int64[b], group by group, ascending bounds[b];
    group_at: int64[g+1]; values, kind: the block's, C-contiguous; names: the groups' names for messages, all b"" where
    messages do not show them.
    """

    table: LabelTable
    rows: I64
    group_at: I64
    bounds: F64
    values: F64
    kind: U8
    names: tuple[bytes, ...]

    @property
    def n_groups(self) -> int:
        return self.group_at.size - 1

    def scratch(self) -> tuple[F64, F64]:
        largest = int(np.diff(self.group_at).max(initial=0))
        return np.empty(largest), np.empty(largest)

    def pieces(self) -> list[tuple[int, int]]:
        """Ranges of groups, each a bounded piece of work."""
        n_steps = max(1, self.values.shape[1])
        cuts = np.unique(np.searchsorted(self.group_at, np.arange(0, self.rows.size, max(1, PIECE_CELLS // n_steps))))
        edges = sorted({0, self.n_groups, *cuts.tolist()})
        return list(pairwise(edges))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _for_metric(name: bytes) -> str:
    return f" for metric name {quote(_text(name))}" if name else ""


def _names(call: FunctionCall, table: LabelTable) -> tuple[bytes, ...]:
    """Each row's metric name: only delayed mode still has it when messages are made."""
    if not call.delayed:
        return (b"",) * len(table)
    column = labels.column(table, labels.METRIC_NAME)
    return tuple(column.values[code] for code in column.codes.tolist())


def classic_histograms(call: FunctionCall, at: int) -> ClassicHistograms:
    """The histograms of the call's vector; warns about series whose bound is no number and leaves them out."""
    source = full_width(call.vectors[0])
    if source.kind.max(initial=0) >= HISTOGRAM:
        source = floats_only(source)
    column = labels.column(source.labels, BOUND)
    parsed = [parse_float(_text(value)) for value in column.values]
    good_value = np.array([value is not None for value in parsed], np.bool_)
    bound_of_value = np.array([math.nan if value is None else value for value in parsed], np.float64)
    good: B1 = good_value[column.codes] if len(source.labels) else np.empty(0, np.bool_)
    if not good.all():
        bad = np.flatnonzero(~good)
        present: B1 = source.kind[bad].any(axis=1)  # type: ignore[assignment]
        _warn_of_bounds(call, at, labels.take(source.labels, bad), present)
    rows = np.flatnonzero(good)
    bounds = bound_of_value[column.codes[rows]] if rows.size else np.empty(0)
    bare = labels.drop(labels.take(source.labels, rows), (BOUND,))
    codes, firsts = labels.unique(bare)
    order = np.lexsort((bounds, codes))
    group_at = np.zeros(firsts.size + 1, np.int64)
    np.cumsum(np.bincount(codes, minlength=firsts.size), out=group_at[1:])
    table = labels.take(bare, firsts)
    return ClassicHistograms(
        table, np.ascontiguousarray(rows[order], np.int64), group_at, np.ascontiguousarray(bounds[order]),
        np.ascontiguousarray(source.values), np.ascontiguousarray(source.kind), _names(call, table),
    )  # fmt: skip


def floats_only(source: StepBlock) -> StepBlock:
    """The series that have floats, with these alone."""
    kind = (source.kind == FLOAT).astype(np.uint8)
    rows = np.flatnonzero(kind.any(axis=1))
    return take_rows(with_data(source, source.values, kind), rows)


def with_native(call: FunctionCall, found: ClassicHistograms, classic: StepBlock, parts: Parts, at: int) -> StepBlock:
    """The answers for classic histograms, and behind them those for native ones; where both have a cell with the same
    labels, neither answers. parts: values, kinds and notes of the native ones."""
    native = native_rows(call)
    if native is None:
        return classic
    values, kind, told = parts(native)
    index = labels.SetIndex(found.table)
    group = index.find(native.labels) if found.n_groups else np.full(len(native.labels), -1, np.int64)
    shared = np.flatnonzero(group >= 0)
    classic_kind = classic.kind.copy()
    if shared.size:
        own, mine = group[shared], kind[shared] != 0
        there = classic_kind[own] != 0
        both = there & mine
        if both.any():
            for name in dict.fromkeys(found.names[g] for g in own[both.any(axis=1)].tolist()):
                call.notes.warn(f"vector contains a mix of classic and native histograms{_for_metric(name)}", at)
            classic_kind[own] = np.where(both, np.uint8(0), classic_kind[own])
            kind[shared] = np.where(both, np.uint8(0), kind[shared])
            told[shared] = np.where(both, np.uint8(0), told[shared])
    note_nan(call, native, told, at)
    answers = floats_without_name(call, native, values, kind)
    return concat_blocks(call.grid, [with_data(classic, classic.values, classic_kind), answers])


def _warn_of_bounds(call: FunctionCall, at: int, table: LabelTable, present: B1) -> None:
    column = labels.column(table, BOUND)
    pairs = zip(column.codes.tolist(), _names(call, table), present.tolist(), strict=True)
    for code, name in dict.fromkeys((code, name) for code, name, there in pairs if there):
        call.notes.warn(
            f'bucket label "le" is missing or has a malformed value of {quote(_text(column.values[code]))}'
            f"{_for_metric(name)}",
            at,
        )


def _groups(call: FunctionCall, found: ClassicHistograms) -> StepBlock:
    """A block of the groups without values."""
    n_groups = found.n_groups
    nothing = np.empty((n_groups, 0)), np.empty((n_groups, 0), np.uint8)
    return StepBlock(call.grid, *nothing, found.table, np.zeros(n_groups, np.bool_))


@dataclass(frozen=True, slots=True)
class Repairs:
    """Counts that fell and were raised. forced: uint8[g, n]; the rest as `quantiles` tells."""

    forced: U8
    lowest: F64
    highest: F64
    largest: F64


def _quantiles(call: FunctionCall, found: ClassicHistograms, q: F64) -> tuple[F64, U8, Repairs]:
    shape = (found.n_groups, call.grid.n)
    out, out_kind = np.empty(shape), np.empty(shape, np.uint8)
    repairs = Repairs(
        np.zeros(shape, np.uint8), np.full(shape[0], math.inf), np.full(shape[0], -math.inf), np.zeros(shape[0])
    )
    bound, count = found.scratch()
    q = np.ascontiguousarray(q, np.float64)
    for first, last in found.pieces():
        call.check()
        kernels.quantiles(
            found.rows, found.group_at, found.bounds, found.values, found.kind, q, first, last, out, out_kind,
            repairs.forced, repairs.lowest, repairs.highest, repairs.largest, bound, count,
        )  # fmt: skip
    return out, out_kind, repairs


def _warn_of_quantiles(call: FunctionCall, q: F64, at: int) -> None:
    bad = q[~((q >= 0) & (q <= 1))]
    for text in dict.fromkeys(general(value) for value in dict.fromkeys(bad.tolist())):
        call.notes.warn(f"quantile value should be between 0 and 1, got {text}", at)


def histogram_quantile(call: FunctionCall) -> StepBlock:
    """The quantile of each histogram, interpolated linearly inside the bucket that holds it."""
    q_at, vector_at = call.arg_at
    _warn_of_quantiles(call, call.scalars[0], q_at)
    found = classic_histograms(call, vector_at)
    values, kind, repairs = _quantiles(call, found, call.scalars[0])
    _note_repairs(call, found, [repairs], vector_at)
    classic = floats_without_name(call, _groups(call, found), values, kind)
    return with_native(call, found, classic, lambda n: native_quantiles(n, call.scalars[0]), vector_at)


def histogram_quantiles(call: FunctionCall) -> StepBlock:
    """Several quantiles at once; a label tells them apart."""
    vector_at, _, *quantiles_at = call.arg_at
    for q, at in zip(call.scalars, quantiles_at, strict=True):
        _warn_of_quantiles(call, q, at)
    found = classic_histograms(call, vector_at)
    parts, all_repairs = [], []
    for q in call.scalars:
        values, kind, repairs = _quantiles(call, found, q)
        all_repairs.append(repairs)
        texts = [open_metrics(value) for value in q.tolist()]
        classic = floats_without_name(call, _groups(call, found), values, kind)
        answers = with_native(call, found, classic, partial(native_quantiles, q=q), vector_at)
        for text in dict.fromkeys(texts):  # one, unless the quantile changes from step to step
            here = np.array([t == text for t in texts], np.bool_)
            table = labels.set_column(
                answers.labels, call.strings[0], np.zeros(len(answers.labels), np.int32), [text.encode()]
            )
            shown: U8 = np.where(here, answers.kind, np.uint8(0))
            parts.append(StepBlock(call.grid, answers.values, shown, table, answers.drop_name))
    _note_repairs(call, found, all_repairs, vector_at)
    return concat_blocks(call.grid, parts) if parts else empty_block(call.grid)


def histogram_fraction(call: FunctionCall) -> StepBlock:
    """The estimated part of the observations between two values."""
    found = classic_histograms(call, call.arg_at[2])
    shape = (found.n_groups, call.grid.n)
    out, out_kind = np.empty(shape), np.empty(shape, np.uint8)
    bound, count = found.scratch()
    lower, upper = (np.ascontiguousarray(s, np.float64) for s in call.scalars)
    for first, last in found.pieces():
        call.check()
        kernels.fractions(
            found.rows, found.group_at, found.bounds, found.values, found.kind, lower, upper, first, last,
            out, out_kind, bound, count,
        )  # fmt: skip
    classic = floats_without_name(call, _groups(call, found), out, out_kind)
    return with_native(call, found, classic, lambda n: native_fractions(n, lower, upper), call.arg_at[2])


def inflated_count(repaired: list[int]) -> int:
    """How many samples Prometheus says were repaired, given the true number at each step.

    It merges its list of notes with itself at every step, which doubles what it has (a wrapping 64-bit integer).
    """
    count, started = 0, False
    for number in repaired:
        if started:
            count = 2 * (count + number) & (2**64 - 1)
        elif number:
            count, started = number, True
    return count - 2**64 if count >= 2**63 else count


def _time_text(ms: int) -> str:
    seconds = int(ms / 1000)
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds}s"


def _two_digits(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else general(value)


def _note_repairs(call: FunctionCall, found: ClassicHistograms, all_repairs: list[Repairs], at: int) -> None:
    """One info for each metric name, with the extent of what was repaired."""
    touched = [r.forced.any(axis=1) for r in all_repairs]
    by_name: dict[bytes, list[tuple[Repairs, int]]] = {}
    for repairs, rows in zip(all_repairs, touched, strict=True):
        for group in np.flatnonzero(rows).tolist():
            by_name.setdefault(found.names[group], []).append((repairs, group))
    for name, members in by_name.items():
        if not call.since_3_10:
            call.notes.info(f"{FORCED}{_for_metric(name)}", at)
            continue
        repaired = np.zeros(call.grid.n, np.int64)
        for repairs, group in members:
            repaired += repairs.forced[group]
        steps = np.flatnonzero(repaired)
        first_ms, last_ms = (call.grid.first_ms + int(step) * call.grid.step_ms for step in (steps[0], steps[-1]))
        lowest = min(float(repairs.lowest[group]) for repairs, group in members)
        highest = max(float(repairs.highest[group]) for repairs, group in members)
        largest = max(float(repairs.largest[group]) for repairs, group in members)
        call.notes.info(
            f"{FORCED}{_for_metric(name)}, from buckets {general(lowest)} to {general(highest)}, with a max diff of "
            f"{_two_digits(largest)}, over {inflated_count(repaired.tolist())} samples from {_time_text(first_ms)} "
            f"to {_time_text(last_ms)}",
            at,
        )
