"""Binary operators over blocks: with scalars, elementwise over matched series, sets.

Matching is decided once for a query: both sides are projected on the matching labels, equal projections are numbered
alike (signatures), and pairs of rows with one signature go through the kernels with all their steps. Only where a
signature has several rows on a side do steps matter: the rows may alternate in time, but never meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from athanor.model.arrays import F64, U8
from athanor.model.tables import StepBlock
from athanor.promql import binary_kernels as kernels
from athanor.promql import blocks
from athanor.promql.ast import SET_OPERATORS, TRIMS, Matching
from athanor.promql.duration_value import go_max, go_min
from athanor.promql.errors import QueryError
from athanor.promql.histogram_binary import Side, combine, compatible, without_failures
from athanor.promql.histograms import cells, has_cells, scaled
from athanor.promql.matching import (
    Pairs,
    clash_of_matches,
    clash_on_one_side,
    merge_one_side,
    one_side_error,
    pair_up,
    result_labels,
    signatures,
)
from athanor.promql.notes import Notes

_MATCHES = {
    "one-to-one": "many-to-one matching must be explicit (group_left/group_right)",
    "many-to-one": "grouping labels must ensure unique matches",
    "one-to-many": "grouping labels must ensure unique matches",
}
_NUMBER = {name: number for number, name in enumerate(kernels.OPERATORS)}


def _is_comparison(op: str) -> bool:
    return _NUMBER[op] >= kernels.FIRST_COMPARISON


def scalar_scalar(op: str, a: F64, b: F64) -> F64:
    """float64[n]; comparisons, which always have `bool` here, give 1 or 0."""
    out = np.empty(a.size)
    kernels.scalars(_NUMBER[op], np.ascontiguousarray(a), np.ascontiguousarray(b), out)
    return out


def scalar_operator(op: str, sides: tuple[F64, ...]) -> F64:
    """float64[n]: an operator of duration arithmetic or of scalars."""
    match op:
        case "neg":
            return -sides[0]
        case "max_of" | "min_of":
            choose: Callable[[float, float], float] = go_max if op == "max_of" else go_min
            return np.array([choose(a, b) for a, b in zip(sides[0].tolist(), sides[1].tolist(), strict=True)])
        case _:
            return scalar_scalar(op, sides[0], sides[1])


def _new_cells(n_rows: int, n_steps: int) -> tuple[F64, U8]:
    return np.empty((n_rows, n_steps)), np.empty((n_rows, n_steps), np.uint8)


def vector_scalar(
    op: str,
    source: StepBlock,
    scalar: F64,
    scalar_on_left: bool,
    return_bool: bool,
    notes: Notes,
    at: int,
    delayed: bool,
) -> StepBlock:
    """Each series with a scalar at each step; filters keep the series' value."""
    source = blocks.full_width(source)
    native = has_cells(source)
    if op in TRIMS and not native:
        return _trimmed(op, source, notes, at)
    values, kind = _new_cells(*source.values.shape)
    kernels.scalar_rows(
        0 if op in TRIMS else _NUMBER[op], int(return_bool), np.ascontiguousarray(source.values),
        np.ascontiguousarray(source.kind), np.ascontiguousarray(scalar), int(scalar_on_left), values, kind,
    )  # fmt: skip
    table = None
    if native:
        own = Side(source.values, source.kind, source.histograms)
        numbers = Side(np.broadcast_to(scalar, values.shape), np.ones(kind.shape, np.uint8), None)
        sides = (numbers, own) if scalar_on_left else (own, numbers)
        table = combine(op, *sides, "right" if scalar_on_left else "left", return_bool, values, kind, notes, at)
    result = StepBlock(source.grid, values, kind, source.labels, source.drop_name, table)
    keeps_name = op in TRIMS or (_is_comparison(op) and not return_bool)
    return result if keeps_name else _without_name(result, delayed)


def _trimmed(op: str, source: StepBlock, notes: Notes, at: int) -> StepBlock:
    """Trimming floats is no operation: every point is dropped, with an annotation."""
    if source.kind.any():
        notes.info(_incompatible(op), at)
    return blocks.empty_block(source.grid)


def _incompatible(op: str) -> str:
    return f'incompatible sample types encountered for binary operator "{op}": float {op} float'


def _without_name(source: StepBlock, delayed: bool) -> StepBlock:
    if not delayed:
        return blocks.drop_names(source)
    marked = np.ones(len(source.labels), np.bool_)
    return StepBlock(source.grid, source.values, source.kind, source.labels, marked, source.histograms)


def unary_minus(source: StepBlock, delayed: bool) -> StepBlock:
    source = blocks.full_width(source)
    if not has_cells(source):
        return _without_name(blocks.with_data(source, -source.values, source.kind), delayed)
    mask, rows = cells(source)
    values = -source.values
    values[mask] = np.arange(rows.size)
    assert source.histograms is not None
    table = scaled(source.histograms, rows, np.full(rows.size, -1.0), compacts=False)
    negated = StepBlock(source.grid, values, source.kind, source.labels, source.drop_name, table)
    return _without_name(negated, delayed)


@dataclass(frozen=True, slots=True)
class Room:
    """Where a match writes its cells: over those of a side that nobody reads any more, or into new ones, for which it
    calls `reserve` first.

    left, right: the side may be written over. A row of the answer then takes the place of a row of the "many" side
    that was read before it, or at the same time.
    """

    reserve: Callable[[], None]
    left: bool = False
    right: bool = False

    def may_overwrite(self, op: str, lhs: StepBlock, rhs: StepBlock, matching: Matching) -> bool:
        """Whether it can be, before the rows are known."""
        many, is_free = (rhs, self.right) if matching.card == "one-to-many" else (lhs, self.left)
        if not is_free or op in SET_OPERATORS or op in TRIMS or many.grid.n == 1:
            return False
        if matching.fill_lhs is not None or matching.fill_rhs is not None or has_cells(lhs) or has_cells(rhs):
            return False
        cells_ = (many.values, many.kind)
        return many.values.shape[1] == many.grid.n and all(c.flags.c_contiguous and c.flags.writeable for c in cells_)

    def cells(self, pairs: Pairs, matching: Matching) -> tuple[F64, U8]:
        """Cells for these pairs."""
        rows, values, kind = pairs.left, pairs.left_values, pairs.left_kind
        if matching.card == "one-to-many":
            rows, values, kind = pairs.right, pairs.right_values, pairs.right_kind
        if (rows[1:] <= rows[:-1]).any() or _cross(pairs):
            self.reserve()
            return _new_cells(rows.size, values.shape[1])
        return values[: rows.size], kind[: rows.size]


def _cross(pairs: Pairs) -> bool:
    """Whether a cell of one side may be that of another pair on the other: selectors that are read together may have
    the same cells."""
    values, kinds = (pairs.left_values, pairs.right_values), (pairs.left_kind, pairs.right_kind)
    if not np.may_share_memory(*values) and not np.may_share_memory(*kinds):
        return False
    places = [[array.ctypes.data for array in side] for side in (values, kinds)]
    return any(left != right for left, right in places) or not np.array_equal(pairs.left, pairs.right)


def vector_vector(
    op: str,
    lhs: StepBlock,
    rhs: StepBlock,
    matching: Matching,
    return_bool: bool,
    notes: Notes,
    at: int,
    delayed: bool,
    since_3_10: bool = True,
    room: Room | None = None,
) -> StepBlock:
    """Series of two sides by their labels, or a set operation. since_3_10: word errors as Prometheus 3.10 and later.
    room: where the cells of the answer go, None: anywhere."""
    room = room or Room(lambda: None)
    may_overwrite = room.may_overwrite(op, lhs, rhs, matching)
    if not may_overwrite:
        room.reserve()
    lhs, rhs = blocks.full_width(lhs), blocks.full_width(rhs)
    if op in SET_OPERATORS:
        return _set_operation(op, lhs, rhs, matching)
    if lhs.grid.n == 1:  # rows that stand in for each other over time do not here: each keeps its place
        lhs, rhs = blocks.without_empty_rows(lhs), blocks.without_empty_rows(rhs)
    native = has_cells(lhs) or has_cells(rhs)
    filled = matching.fill_lhs is not None or matching.fill_rhs is not None
    if (not len(lhs.labels) and not len(rhs.labels)) or (not filled and not (len(lhs.labels) and len(rhs.labels))):
        return blocks.empty_block(lhs.grid)
    sides = signatures(lhs, rhs, matching)
    if may_overwrite and np.bincount(sides.left if matching.card == "one-to-many" else sides.right).max() > 1:
        room.reserve()  # several rows of the one side become one, beside them
        may_overwrite = False

    def steps() -> U8:
        return _steps_to_check(lhs, rhs, filled)

    on_one_side = clash_on_one_side(sides, matching, steps)
    merged = merge_one_side(sides, matching)
    pairs = pair_up(merged, matching)
    drops = op not in TRIMS and (not _is_comparison(op) or (return_bool and not delayed))
    table = result_labels(merged, pairs, matching, drops)
    if op not in TRIMS:
        limit = on_one_side.step if on_one_side is not None else lhs.grid.n
        matched = _compatible_only(op, pairs) if native else pairs
        clash = clash_of_matches(merged, matched, matching, table, steps, limit)
        if clash is not None and native and op in ("+", "-"):
            matched = _without_failures(op, lhs, rhs, pairs, matched)
            clash = clash_of_matches(merged, matched, matching, table, steps, limit)
        if clash is not None:
            raise QueryError(f"multiple matches for labels: {_MATCHES[matching.card]}")
    if on_one_side is not None:
        raise one_side_error(sides, matching, on_one_side, since_3_10)
    cells_ = room.cells(pairs, matching) if may_overwrite else _new_cells(pairs.left.size, lhs.grid.n)
    values, kind = _evaluate(op, pairs, return_bool, cells_)
    histograms = None
    if native:
        histograms = combine(op, *_sides(pairs, lhs, rhs), "left", return_bool, values, kind, notes, at)
    elif op in TRIMS:
        if kind.any():
            notes.info(_incompatible(op), at)
        return blocks.empty_block(lhs.grid)
    marks = np.full(len(table), return_bool and delayed)
    return blocks.merge_equal(blocks.without_empty_rows(StepBlock(lhs.grid, values, kind, table, marks, histograms)))


def _compatible_only(op: str, pairs: Pairs) -> Pairs:
    """Pairs without the cells that the operator cannot combine: these are no matches."""
    left, right = pairs.left_kind[pairs.left], pairs.right_kind[pairs.right]
    return replace(
        pairs, left_kind=np.where(compatible(op, left, right), left, np.uint8(0)), left=np.arange(pairs.left.size)
    )


def _sides(pairs: Pairs, lhs: StepBlock, rhs: StepBlock) -> tuple[Side, Side]:
    left = Side(pairs.left_values[pairs.left], pairs.left_kind[pairs.left], lhs.histograms)
    return left, Side(pairs.right_values[pairs.right], pairs.right_kind[pairs.right], rhs.histograms)


def _without_failures(op: str, lhs: StepBlock, rhs: StepBlock, pairs: Pairs, compatible_pairs: Pairs) -> Pairs:
    """Pairs without the histograms that cannot be added either: bucket layouts or counter resets that contradict."""
    kind = without_failures(op, *_sides(pairs, lhs, rhs))
    return replace(compatible_pairs, left_kind=np.where(kind != 0, compatible_pairs.left_kind, np.uint8(0)))


def _steps_to_check(lhs: StepBlock, rhs: StepBlock, filled: bool) -> U8:
    """1 at steps at which matching happens at all: both sides have something, or a missing side is filled in."""
    left, right = np.zeros(lhs.grid.n, np.bool_), np.zeros(lhs.grid.n, np.bool_)
    kernels.any_row(np.ascontiguousarray(lhs.kind), left)
    kernels.any_row(np.ascontiguousarray(rhs.kind), right)
    return ((left | right) if filled else (left & right)).astype(np.uint8)


def _evaluate(op: str, pairs: Pairs, return_bool: bool, out: tuple[F64, U8]) -> tuple[F64, U8]:
    values, kind = out
    number = 0 if op in TRIMS else _NUMBER[op]
    kernels.pair_rows(
        number, int(return_bool), pairs.left_values, pairs.left_kind, pairs.left, pairs.right_values, pairs.right_kind,
        pairs.right, values, kind,
    )  # fmt: skip
    return values, kind


def _set_operation(op: str, lhs: StepBlock, rhs: StepBlock, matching: Matching) -> StepBlock:
    sides = signatures(lhs, rhs, matching)
    left_kind, right_kind = np.ascontiguousarray(lhs.kind), np.ascontiguousarray(rhs.kind)
    there = np.zeros((max(1, sides.n), lhs.grid.n), np.uint8)
    if op == "or":
        kernels.presence(left_kind, sides.left, there)
        kind = np.empty_like(right_kind)
        kernels.mask_rows(right_kind, sides.right, there, 0, kind)
        return _joined(
            blocks.without_empty_rows(lhs), blocks.without_empty_rows(blocks.with_data(rhs, rhs.values, kind))
        )
    kernels.presence(right_kind, sides.right, there)
    kind = np.empty_like(left_kind)
    kernels.mask_rows(left_kind, sides.left, there, int(op == "and"), kind)
    return blocks.without_empty_rows(blocks.with_data(lhs, lhs.values, kind))


def _joined(lhs: StepBlock, added: StepBlock) -> StepBlock:
    """The left series and what `or` adds to them; a series that both sides have is one, its cells are disjoint."""
    if not len(added.labels) or not len(lhs.labels):
        return lhs if len(lhs.labels) else added
    return blocks.merge_equal(blocks.concat_blocks(lhs.grid, [lhs, added]))


__all__ = ["Room", "scalar_operator", "scalar_scalar", "unary_minus", "vector_scalar", "vector_vector"]
