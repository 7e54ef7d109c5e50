"""Binary operators over blocks: with scalars, elementwise over matched series, sets.

Matching is decided once for a query: both sides are projected on the matching labels, equal projections are numbered
alike (signatures), and pairs of rows with one signature go through the kernels with all their steps. Only where a
signature has several rows on a side do steps matter: the rows may alternate in time, but never meet.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import B1, F64, U8
from athanor.model.errors import NotAvailableError
from athanor.model.tables import HISTOGRAM, LabelTable, StepBlock
from athanor.promql import binary_kernels as kernels
from athanor.promql import blocks
from athanor.promql.ast import SET_OPERATORS, TRIMS, Matching
from athanor.promql.errors import QueryError
from athanor.promql.matching import Pairs, Sides, check_one_side, pair_up, result_labels, signatures
from athanor.promql.notes import Notes

_NUMBER = {name: number for number, name in enumerate(kernels.OPERATORS)}


def _is_comparison(op: str) -> bool:
    return _NUMBER[op] >= kernels.FIRST_COMPARISON


def _refuse_histograms(op: str, *sides: StepBlock) -> None:
    if any((side.kind == HISTOGRAM).any() for side in sides):
        raise NotAvailableError(f"native histograms in binary operator {op}")


def scalar_scalar(op: str, a: F64, b: F64) -> F64:
    """float64[n]; comparisons, which always have `bool` here, give 1 or 0."""
    out = np.empty(a.size)
    kernels.scalars(_NUMBER[op], np.ascontiguousarray(a), np.ascontiguousarray(b), out)
    return out


def _new_cells(n_rows: int, n_steps: int) -> tuple[F64, U8]:
    return np.empty((n_rows, n_steps)), np.empty((n_rows, n_steps), np.uint8)


def vector_scalar(
    op: str, source: StepBlock, scalar: F64, scalar_on_left: bool, return_bool: bool, notes: Notes, at: int, delayed: bool
) -> StepBlock:
    """Each series with a scalar at each step; filters keep the series' value."""
    source = blocks.full_width(source)
    _refuse_histograms(op, source)
    if op in TRIMS:
        return _trimmed(op, source, notes, at)
    values, kind = _new_cells(*source.values.shape)
    kernels.scalar_rows(
        _NUMBER[op], int(return_bool), np.ascontiguousarray(source.values), np.ascontiguousarray(source.kind),
        np.ascontiguousarray(scalar), int(scalar_on_left), values, kind,
    )  # fmt: skip
    result = blocks.with_data(source, values, kind)
    return _without_name(result, delayed) if not _is_comparison(op) or return_bool else result


def _trimmed(op: str, source: StepBlock, notes: Notes, at: int) -> StepBlock:
    """Trimming floats is no operation: every point is dropped, with an annotation."""
    if source.kind.any():
        notes.info(f'incompatible sample types encountered for binary operator "{op}": float {op} float', at)
    return blocks.with_data(source, source.values, np.zeros_like(source.kind))


def _without_name(source: StepBlock, delayed: bool) -> StepBlock:
    if not delayed:
        return blocks.drop_names(source)
    marked = np.ones(len(source.labels), np.bool_)
    return StepBlock(source.grid, source.values, source.kind, source.labels, marked, source.histograms)


def unary_minus(source: StepBlock, delayed: bool) -> StepBlock:
    source = blocks.full_width(source)
    _refuse_histograms("-", source)
    return _without_name(blocks.with_data(source, -source.values, source.kind), delayed)


def vector_vector(
    op: str, lhs: StepBlock, rhs: StepBlock, matching: Matching, return_bool: bool, notes: Notes, at: int, delayed: bool
) -> StepBlock:
    """Series of two sides by their labels, or a set operation."""
    lhs, rhs = blocks.full_width(lhs), blocks.full_width(rhs)
    if op in SET_OPERATORS:
        return _set_operation(op, lhs, rhs, matching)
    _refuse_histograms(op, lhs, rhs)
    filled = matching.fill_lhs is not None or matching.fill_rhs is not None
    if (not len(lhs.labels) and not len(rhs.labels)) or (not filled and not (len(lhs.labels) and len(rhs.labels))):
        return blocks.empty_block(lhs.grid)
    sides = signatures(lhs, rhs, matching)
    steps = _steps_to_check(lhs, rhs, filled)
    check_one_side(sides, matching, steps)
    pairs = pair_up(sides, matching)
    drops = op not in TRIMS and (not _is_comparison(op) or (return_bool and not delayed))
    table = result_labels(sides, pairs, matching, drops)
    values, kind = _evaluate(op, sides, pairs, return_bool)
    _check_matches(sides, pairs, matching, table, steps)
    if op in TRIMS:
        if kind.any():
            notes.info(f'incompatible sample types encountered for binary operator "{op}": float {op} float', at)
        kind = np.zeros_like(kind)
    marks = np.full(len(table), return_bool and delayed)
    result = blocks.without_empty_rows(StepBlock(lhs.grid, values, kind, table, marks))
    if not delayed:
        blocks.check_unique_per_step(result)
    return result


def _steps_to_check(lhs: StepBlock, rhs: StepBlock, filled: bool) -> B1:
    """Steps at which matching happens at all: both sides have something, or a missing side is filled in."""
    left, right = np.zeros(lhs.grid.n, np.bool_), np.zeros(lhs.grid.n, np.bool_)
    kernels.any_row(np.ascontiguousarray(lhs.kind), left)
    kernels.any_row(np.ascontiguousarray(rhs.kind), right)
    both: B1 = (left | right) if filled else (left & right)
    return both


def _evaluate(op: str, sides: Sides, pairs: Pairs, return_bool: bool) -> tuple[F64, U8]:
    values, kind = _new_cells(pairs.left.size, sides.lhs.grid.n)
    number = 0 if op in TRIMS else _NUMBER[op]
    kernels.pair_rows(
        number, int(return_bool), pairs.left_values, pairs.left_kind, pairs.left, pairs.right_values, pairs.right_kind,
        pairs.right, values, kind,
    )  # fmt: skip
    return values, kind


def _check_matches(sides: Sides, pairs: Pairs, matching: Matching, table: LabelTable, steps: B1) -> None:
    """At one step a signature has one match (one-to-one), or its matches have different labels (group_left, _right)."""
    one_to_one = matching.card == "one-to-one"
    codes = pairs.signature if one_to_one else labels.unique(table)[0].astype(np.int64) * (sides.n + 1) + pairs.signature
    _, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(counts[codes] > 1)
    if not rows.size:
        return
    present = np.empty((rows.size, sides.lhs.grid.n), np.uint8)
    np.bitwise_and(pairs.left_kind[pairs.left[rows]], pairs.right_kind[pairs.right[rows]], out=present)
    _, local = np.unique(codes[rows], return_inverse=True)
    scratch = np.empty(int(local.max()) + 1, np.int64)
    step, _, _ = kernels.first_clash(
        present, np.arange(rows.size), np.ascontiguousarray(local, np.int64), np.ascontiguousarray(steps), scratch
    )
    if step >= 0:
        what = (
            "many-to-one matching must be explicit (group_left/group_right)"
            if one_to_one
            else "grouping labels must ensure unique matches"
        )
        raise QueryError(f"multiple matches for labels: {what}")


def _set_operation(op: str, lhs: StepBlock, rhs: StepBlock, matching: Matching) -> StepBlock:
    sides = signatures(lhs, rhs, matching)
    left_kind, right_kind = np.ascontiguousarray(lhs.kind), np.ascontiguousarray(rhs.kind)
    there = np.zeros((max(1, sides.n), lhs.grid.n), np.uint8)
    if op == "or":
        kernels.presence(left_kind, sides.left, there)
        kind = np.empty_like(right_kind)
        kernels.mask_rows(right_kind, sides.right, there, 0, kind)
        added = blocks.without_empty_rows(blocks.with_data(rhs, rhs.values, kind))
        if not len(lhs.labels):
            return added
        return blocks.concat_blocks(lhs.grid, [lhs, added]) if len(added.labels) else lhs
    kernels.presence(right_kind, sides.right, there)
    kind = np.empty_like(left_kind)
    kernels.mask_rows(left_kind, sides.left, there, int(op == "and"), kind)
    return blocks.without_empty_rows(blocks.with_data(lhs, lhs.values, kind))


__all__ = ["scalar_scalar", "unary_minus", "vector_scalar", "vector_vector"]
