"""Aggregations that look at whole columns: topk, bottomk, quantile, limitk, limit_ratio, count_values.

They keep cells of their input (labels and names stay) or need every value of a group at once, so they take the whole
input as one block. Long work runs in pieces of some steps; `check` is called between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import B1, F64, I32, I64, U8, U64
from athanor.model.tables import HISTOGRAM, LabelTable, StepBlock
from athanor.promql import aggregate_kernels, blocks, floats
from athanor.promql import aggregate_quantile_kernels as quantile_kernels
from athanor.promql import selection_kernels as kernels
from athanor.promql.errors import QueryError
from athanor.promql.gostrings import quote
from athanor.promql.histograms import texts
from athanor.promql.notes import Notes

SELECTIONS = frozenset({"topk", "bottomk", "quantile", "limitk", "limit_ratio", "count_values"})
INT64_LIMIT = 9223372036854774784.0  # the largest float below 2^63: from here on a k "overflows"
SCRATCH_BYTES = 1 << 18  # what a piece of steps may use: it should stay in the second-level cache
MAX_CELLS = 50_000_000  # of count_values, whose answer can be far larger than its input
TOO_MANY_SAMPLES = "query processing would load too many samples into memory in query execution"


@dataclass(frozen=True, slots=True)
class _Input:
    """A block at full width with the group of each row, -1 for rows without any cell."""

    block: StepBlock
    values: F64
    kind: U8
    codes: I32
    groups: LabelTable
    has_histograms: bool

    @property
    def n_steps(self) -> int:
        return self.block.grid.n

    def sizes(self) -> I64:
        """Rows of each group."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.groups)).astype(np.int64)

    def offsets(self, sizes: I64) -> I64:
        out = np.zeros(sizes.size + 1, np.int64)
        np.cumsum(sizes, out=out[1:])
        return out


def _scan(block: StepBlock) -> tuple[U8, U8, B1, bool]:
    """kind, class of each row, drop marks, whether there are histograms."""
    kind = np.ascontiguousarray(block.kind)
    n_rows = len(block.labels)
    row_class = np.empty(n_rows, np.uint8)
    drop_name = np.ascontiguousarray(block.drop_name)
    outside = np.full(n_rows, -1, np.int32)
    highest = aggregate_kernels.scan_rows(
        kind, outside, 0, drop_name, row_class, np.empty(0, np.int64), np.empty(0, np.bool_)
    )
    return kind, row_class, drop_name, highest >= HISTOGRAM


def _prepare(block: StepBlock, project: Callable[[LabelTable], tuple[I32, LabelTable]]) -> _Input:
    block = blocks.full_width(block)
    kind, row_class, _, has_histograms = _scan(block)
    rows = np.flatnonzero(row_class != aggregate_kernels.EMPTY)
    if rows.size == len(block.labels):
        codes, groups = project(block.labels)
    else:
        codes = np.full(len(block.labels), -1, np.int32)
        codes[rows], groups = project(labels.take(block.labels, rows))
    return _Input(block, np.ascontiguousarray(block.values), kind, codes, groups, has_histograms)


def _kept(source: _Input, kind: U8) -> StepBlock:
    """The series with a cell in `kind`, with these cells."""
    block = source.block
    rows = np.flatnonzero(kind.any(axis=1))
    if rows.size == len(block.labels):
        return blocks.with_data(block, source.values, kind)
    return StepBlock(
        block.grid, source.values[rows], kind[rows], labels.take(block.labels, rows), block.drop_name[rows],
        block.histograms,
    )  # fmt: skip


def _go_max(values: F64) -> float:
    """Go's math.Max over all: +Inf beats NaN, NaN beats the rest."""
    if (values == math.inf).any():
        return math.inf
    return float(values.max())


def _go_min(values: F64) -> float:
    return -_go_max(-values)


def _whole_k(parameter: F64, n_rows: int) -> I64 | None:
    """k at every step, at most the number of series; None where no step keeps anything."""
    if _go_max(parameter) < 1:
        return None
    if np.isnan(parameter).any():
        raise QueryError("Parameter value is NaN")
    if parameter.min() <= -(2.0**63):
        raise QueryError(f"Scalar value {floats.general(float(parameter.min()))} underflows int64")
    if parameter.max() >= INT64_LIMIT:
        raise QueryError(f"Scalar value {floats.general(float(parameter.max()))} overflows int64")
    return np.clip(np.trunc(parameter), 0, n_rows).astype(np.int64)


def _pieces(n_steps: int, bytes_per_step: int, least: int, check: Callable[[], None]) -> list[tuple[int, int]]:
    check()
    size = max(least, SCRATCH_BYTES // max(1, bytes_per_step))
    return [(first, min(size, n_steps - first)) for first in range(0, n_steps, size)]


def _best(source: _Input, k: I64, sign: float, ordered: bool, check: Callable[[], None]) -> StepBlock:
    n_groups = len(source.groups)
    heap_at = source.offsets(np.minimum(source.sizes(), int(k.max(initial=0))))
    room = int(heap_at[-1])
    pieces = _pieces(source.n_steps, 12 * (room + n_groups), 32, check)
    widest = max(n for _, n in pieces)
    heap_v = np.empty(room * widest)
    heap_r = np.empty(room * widest, np.int32)
    heap_n = np.empty(n_groups * widest, np.int32)
    bar = np.empty(n_groups * widest)
    kind = np.zeros_like(source.kind) if not ordered else source.kind
    for first, n in pieces:
        kernels.best_cells(
            source.values, source.kind, source.codes, k, sign, heap_at, first, n, heap_v, heap_r, heap_n, bar
        )
        if ordered:
            return _in_heap_order(source, heap_at, heap_v, heap_r, heap_n, best_first=True)
        kernels.mark_heaps(heap_at, first, n, heap_r, heap_n, kind)
        check()
    return _kept(source, kind)


def _in_heap_order(source: _Input, heap_at: I64, heap_v: F64, heap_r: I32, heap_n: I32, best_first: bool) -> StepBlock:
    rows = np.empty(int(heap_at[-1]), np.int64)
    used = kernels.heap_rows(heap_at, heap_v, heap_r, heap_n, int(best_first), rows)
    return blocks.take_rows(source.block, rows[:used])


def _pushed(source: _Input, kind: U8) -> StepBlock:
    """The kept series of a single step, each group in the order of a binary heap that they were pushed on."""
    rows = np.flatnonzero(kind[:, 0])
    sizes = np.bincount(source.codes[rows], minlength=len(source.groups)).astype(np.int64)
    heap_at = source.offsets(sizes)
    heap_v = np.empty(rows.size)
    heap_r = np.empty(rows.size, np.int32)
    heap_n = np.empty(sizes.size, np.int32)
    column = np.where(source.kind[:, 0] == HISTOGRAM, 0.0, source.values[:, 0])
    kernels.push_rows(column, source.codes, rows, heap_at, heap_v, heap_r, heap_n)
    return _in_heap_order(source, heap_at, heap_v, heap_r, heap_n, best_first=False)


def _limit(source: _Input, k: I64, ordered: bool, check: Callable[[], None]) -> StepBlock:
    kind = np.zeros_like(source.kind)
    n_groups = len(source.groups)
    for first, n in _pieces(source.n_steps, 4 * n_groups, 64, check):
        kernels.first_cells(source.kind, source.codes, k, first, n, np.empty(n_groups * n, np.int32), kind)
        check()
    return _pushed(source, kind) if ordered else _kept(source, kind)


def label_hashes(table: LabelTable, separated: bool) -> U64:
    """uint64[n]: the hashes of label sets as Prometheus' own build computes them, or as its slice form (separated)."""
    out = np.empty(len(table), np.uint64)
    scratch = np.empty(int(np.diff(table.offsets).max(initial=0)), np.uint8)
    kernels.label_hashes(table.arena, table.offsets, int(separated), scratch, out)
    return out


def _ratio(source: _Input, ratio: F64, ordered: bool, separated: bool) -> StepBlock:
    offsets = label_hashes(source.block.labels, separated).astype(np.float64) / 2.0**64
    kind = np.empty_like(source.kind)
    kernels.ratio_cells(source.kind, offsets, np.clip(ratio, -1.0, 1.0), kind)
    return _pushed(source, kind) if ordered else _kept(source, kind)


def _quantile(source: _Input, q: F64, check: Callable[[], None]) -> StepBlock:
    grid, n_groups = source.block.grid, len(source.groups)
    sizes = source.sizes()
    rows = np.argsort(source.codes, kind="stable").astype(np.int64)[np.count_nonzero(source.codes < 0) :]
    # An odd number of cache lines, so that columns do not fall on each other.
    stride = (((int(sizes.max(initial=0)) + 7) // 8) | 1) * 8
    pieces = _pieces(source.n_steps, 8 * stride, 8, check)
    widest = max(n for _, n in pieces)
    scratch = np.empty(widest * stride)
    filled, n_nan = np.empty(widest, np.int64), np.empty(widest, np.int64)
    values, kind = np.empty((n_groups, grid.n)), np.empty((n_groups, grid.n), np.uint8)
    for first, n in pieces:
        quantile_kernels.quantiles(
            source.values, source.kind, rows, source.offsets(sizes), q, first, n, stride, scratch, filled, n_nan,
            values, kind,
        )  # fmt: skip
        check()
    drop_name = np.zeros(n_groups, np.bool_)
    drop_name[source.codes[(source.codes >= 0) & source.block.drop_name]] = True
    answer = StepBlock(grid, values, kind, source.groups, drop_name)
    return blocks.without_empty_rows(answer) if source.has_histograms else answer


def _count_values(
    block: StepBlock, label: str, grouping: tuple[str, ...], without: bool, check: Callable[[], None]
) -> StepBlock:
    try:
        valid = len(label.encode()) > 0
    except UnicodeEncodeError:
        valid = False
    if not valid:
        raise QueryError(f"invalid label name {quote(label)}")
    by_value = not without or label not in (*grouping, labels.METRIC_NAME)

    def project(table: LabelTable) -> tuple[I32, LabelTable]:
        if without:
            return labels.group(table, [*grouping, label], by=False)
        return labels.group(table, [name for name in grouping if name != label], by=True)

    source = _prepare(block, project)
    native: list[str] = []
    if source.has_histograms:
        source, native = _by_text(source)
    pairs, bits, groups = _number_pairs(source, by_value, check)
    shape = (bits.size, source.n_steps)
    if shape[0] * shape[1] > MAX_CELLS:
        raise QueryError(TOO_MANY_SAMPLES)
    values, kind = np.zeros(shape), np.zeros(shape, np.uint8)
    kernels.count_pairs(pairs, values, kind)
    table = labels.take(source.groups, groups.astype(np.int64))
    if by_value and bits.size:
        distinct, codes = np.unique(bits, return_inverse=True)
        shown = [_value_text(value, native).encode() for value in distinct.tolist()]
        table = labels.set_column(table, label, codes.astype(np.int32), shown)
    return blocks.block(block.grid, table, values, kind)


# Values of cells that stand for histograms: quiet NaNs that no sample has, numbered in the lowest bits.
_TEXT_BITS = 0xFFFC << 48


def _by_text(source: _Input) -> tuple[_Input, list[str]]:
    """Histogram cells as marked values, one for each distinct text."""
    assert source.block.histograms is not None
    mask = source.kind == HISTOGRAM
    rows, codes = np.unique(source.values[mask].astype(np.int64), return_inverse=True)
    numbers: dict[str, int] = {}
    number_of = [numbers.setdefault(t, len(numbers)) for t in texts(source.block.histograms, rows)]
    values = source.values.copy()
    values.view(np.uint64)[mask] = np.array(number_of, np.uint64)[codes] | np.uint64(_TEXT_BITS)
    return replace(source, values=values, has_histograms=False), list(numbers)


def _value_text(bits: int, native: list[str]) -> str:
    if native and bits >= _TEXT_BITS and bits - _TEXT_BITS < len(native):
        return native[bits - _TEXT_BITS]
    return floats.plain(float(np.uint64(bits).view(np.float64)))


def _number_pairs(source: _Input, by_value: bool, check: Callable[[], None]) -> tuple[I32, U64, I32]:
    """The pair (group, value) of every cell, and the value bits and the group of each pair."""
    n_rows, n_steps = source.kind.shape
    pairs = np.empty((n_rows, n_steps), np.int32)
    capacity = max(64, n_steps + 64)
    bits, groups = np.empty(capacity, np.uint64), np.empty(capacity, np.int32)
    n_pairs = np.zeros(1, np.int64)
    row = 0
    while True:
        check()
        slots = np.full(1 << (2 * capacity).bit_length(), -1, np.int32)
        kernels.index_pairs(bits, groups, int(n_pairs[0]), slots)
        row = kernels.number_pairs(
            source.values, source.kind, source.codes, int(by_value), row, slots, bits, groups, n_pairs, pairs
        )
        used = int(n_pairs[0])
        if row == n_rows:
            return pairs, bits[:used], groups[:used]
        if used * n_steps > MAX_CELLS:
            raise QueryError(TOO_MANY_SAMPLES)
        capacity = 2 * (used + n_steps)
        grown_bits, grown_groups = np.empty(capacity, np.uint64), np.empty(capacity, np.int32)
        grown_bits[:used], grown_groups[:used] = bits[:used], groups[:used]
        bits, groups = grown_bits, grown_groups


def _note_quantile(q: F64, notes: Notes, at: int) -> None:
    text = "quantile value should be between 0 and 1, got "
    if np.isnan(q).any():
        notes.warn(text + "NaN", at)
    if _go_max(q) > 1:
        notes.warn(text + floats.general(_go_max(q)), at)
    if _go_min(q) < 0:
        notes.warn(text + floats.general(_go_min(q)), at)


def _check_ratio(ratio: F64, notes: Notes, at: int) -> bool:
    """Whether any step can keep something."""
    if not ratio.any():
        return False
    if np.isnan(ratio).any():
        raise QueryError("Ratio value is NaN")
    for value, cap, beyond in ((ratio.max(), "1", ratio.max() > 1), (ratio.min(), "-1", ratio.min() < -1)):
        if beyond:
            got = floats.general(float(value))
            notes.warn(f"ratio value should be between -1 and 1, got {got}, capping to {cap}", at)
    return True


def _nothing() -> None:
    return None


def select_aggregate(
    op: str,
    block: StepBlock,
    parameter: F64 | str,
    grouping: tuple[str, ...],
    without: bool,
    notes: Notes,
    parameter_at: int,
    inner_at: int,
    whole_at: int,
    *,
    separated_hashes: bool = False,
    check: Callable[[], None] = _nothing,
) -> StepBlock:
    """One aggregation of SELECTIONS over the whole input.

    parameter: its value at every step, or the label of count_values. parameter_at, inner_at, whole_at: places in the
    query for annotations. One step has the order of an instant answer: groups by first appearance, in them the best
    first (topk, bottomk) or in heap order (limitk, limit_ratio); else rows keep the order of the input.
    separated_hashes: limit_ratio picks series as Thanos does, not as Prometheus does.
    """
    if op == "count_values":
        assert isinstance(parameter, str)
        return _count_values(block, parameter, grouping, without, check)
    assert not isinstance(parameter, str)
    n = block.grid.n
    parameter = np.ascontiguousarray(np.broadcast_to(parameter, (n,)), np.float64)
    ordered = n == 1
    k: I64 | None = None
    if op == "quantile":
        _note_quantile(parameter, notes, parameter_at)
    elif op == "limit_ratio":
        if not _check_ratio(parameter, notes, parameter_at):
            return blocks.empty_block(block.grid)
    else:
        k = _whole_k(parameter, len(block.labels))
        if k is None:
            return blocks.empty_block(block.grid)
    if not len(block.labels):
        return blocks.empty_block(block.grid)
    source = _prepare(block, lambda table: labels.group(table, grouping, not without))
    if source.has_histograms and op in {"quantile", "topk", "bottomk"}:
        notes.info(f"ignored histogram in {op} aggregation", inner_at if op == "quantile" else whole_at)
    if op == "quantile":
        return _quantile(source, parameter, check)
    if op == "limit_ratio":
        return _ratio(source, parameter, ordered, separated_hashes)
    assert k is not None
    if op == "limitk":
        return _limit(source, k, ordered, check)
    return _best(source, k, 1.0 if op == "topk" else -1.0, ordered, check)
