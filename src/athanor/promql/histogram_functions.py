"""Functions of instant vectors that read native histograms: statistics, quantiles, fractions; trim operators."""

from __future__ import annotations

import numpy as np

from athanor.kernel import labels
from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import F64, I64, U8
from athanor.model.tables import FLOAT, Histograms, StepBlock
from athanor.promql import histogram_code_kernels as codes
from athanor.promql.blocks import empty_block, full_width
from athanor.promql.function_call import FunctionCall
from athanor.promql.gostrings import quote
from athanor.promql.histogram_memory import pieces
from athanor.promql.histogram_work_kernels import Built
from athanor.promql.histograms import built_in_pieces, cells, has_cells, kernel_table, room

kernels = LazyKernels("athanor.promql.histogram_function_kernels")

_STATISTICS = {
    "histogram_count": codes.STAT_COUNT,
    "histogram_sum": codes.STAT_SUM,
    "histogram_avg": codes.STAT_AVG,
    "histogram_stdvar": codes.STAT_STDVAR,
    "histogram_stddev": codes.STAT_STDDEV,
}


def histogram_statistic(call: FunctionCall) -> StepBlock:
    """One number of each histogram; floats are skipped. Only the name goes, type and unit stay."""
    source = call.vectors[0]
    if not has_cells(source):
        return empty_block(call.grid)
    mask, rows = cells(source)
    t = kernel_table(_table(source))
    found = np.empty(rows.size)
    sizes = room(t)
    for part in pieces(rows.size):
        kernels.statistics(t, rows[part], _STATISTICS[call.name], *sizes, found[part])
    values = np.zeros(source.values.shape)
    values[mask] = found
    kind = mask.astype(np.uint8) * np.uint8(FLOAT)
    if call.delayed:
        return StepBlock(source.grid, values, kind, source.labels, np.ones(len(source.labels), np.bool_))
    return StepBlock(source.grid, values, kind, labels.drop(source.labels, ("__name__",)), source.drop_name)


def _table(source: StepBlock) -> Histograms:
    assert source.histograms is not None
    return source.histograms


def native_rows(call: FunctionCall) -> StepBlock | None:
    """The series with histogram cells, with these cells only; None where there are none."""
    source = full_width(call.vectors[0])
    if not has_cells(source):
        return None
    mask = source.kind == 2
    rows = np.flatnonzero(mask.any(axis=1))
    kind: U8 = np.where(mask[rows], source.kind[rows], np.uint8(0))
    return StepBlock(
        source.grid, source.values[rows], kind, labels.take(source.labels, rows), source.drop_name[rows],
        source.histograms,
    )  # fmt: skip


def native_quantiles(source: StepBlock, q: F64) -> tuple[F64, U8, U8]:
    """Values, kinds and notes of the q[step]-quantile of each cell."""
    mask, rows = cells(source)
    t = kernel_table(_table(source))
    found, notes = np.empty(rows.size), np.empty(rows.size, np.uint8)
    sizes, of_rows = room(t), np.broadcast_to(q, mask.shape)[mask]
    for part in pieces(rows.size):
        kernels.quantiles(t, rows[part], of_rows[part], *sizes, found[part], notes[part])
    return _filled(mask, found, notes)


def native_fractions(source: StepBlock, lower: F64, upper: F64) -> tuple[F64, U8, U8]:
    """Values, kinds and notes of the parts between two bounds."""
    mask, rows = cells(source)
    t = kernel_table(_table(source))
    found, notes = np.empty(rows.size), np.empty(rows.size, np.uint8)
    low, high = (np.broadcast_to(b, mask.shape)[mask] for b in (lower, upper))
    sizes = room(t)
    for part in pieces(rows.size):
        kernels.fractions(t, rows[part], low[part], high[part], *sizes, found[part], notes[part])
    return _filled(mask, found, notes)


def _filled(mask: np.ndarray, found: F64, notes: U8) -> tuple[F64, U8, U8]:
    values, told = np.zeros(mask.shape), np.zeros(mask.shape, np.uint8)
    values[mask], told[mask] = found, notes
    return values, mask.astype(np.uint8), told


_NAN_TEXTS = (
    (codes.ALL_NAN, "input to {} has NaN observations, result is NaN"),
    (codes.SKEWED, "input to {} has NaN observations, result is skewed higher"),
    (codes.EXCLUDED, "input to {} has NaN observations, which are excluded from all fractions"),
)


def note_nan(call: FunctionCall, source: StepBlock, told: U8, at: int) -> None:
    """Infos about observations of NaN, with the name where it is still there."""
    if not told.any():
        return
    function = "histogram_fraction" if call.name == "histogram_fraction" else "histogram_quantile"
    column = labels.column(source.labels, labels.METRIC_NAME)
    for code, text in _NAN_TEXTS:
        for name in dict.fromkeys(column.codes[(told == code).any(axis=1)].tolist()):
            value = column.values[name].decode("utf-8", "surrogateescape")
            suffix = f" for metric name {quote(value)}" if call.delayed and value else ""
            call.notes.info(text.format(function) + suffix, at)


def trimmed(h: Histograms, rows: I64, limits: F64, keeps_below: bool) -> Histograms:
    """Row p without its observations above (keeps_below) or below limits[p]."""
    t = kernel_table(h)
    sizes = room(t)
    limits = np.ascontiguousarray(limits, np.float64)

    def trim(part: slice) -> Built:
        built: Built = kernels.trims(t, rows[part], limits[part], int(keeps_below), *sizes)
        return built

    return built_in_pieces("trimming", rows.size, sizes[0], trim)
