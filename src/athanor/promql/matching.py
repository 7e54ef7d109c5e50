"""Which series of two sides belong together: signatures, pairs of rows, labels of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64, I64, U8
from athanor.model.tables import LabelTable, StepBlock
from athanor.promql import binary_kernels as kernels
from athanor.promql.ast import Matching
from athanor.promql.blocks import NAME_LABELS
from athanor.promql.clashes import Clash, clash_of_pairs, clash_of_rows
from athanor.promql.errors import QueryError
from athanor.promql.gostrings import quote
from athanor.promql.printer import label_name


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides and the signature of each row; left, right: int64[rows], codes below n; -1 nowhere.

    projected: the matching labels of each row, those of the left side first.
    """

    lhs: StepBlock
    rhs: StepBlock
    left: I64
    right: I64
    n: int
    projected: LabelTable


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows to combine, in order of the left side.

    left, right: rows of the value tables beside them, which hold the rows of the side and behind them the rows of fill
    values; left_source, right_source: the rows of the sides that labels come from, or -1 - row of the *other* side
    where this one is filled in; signature: of each pair.
    """

    left: I64
    right: I64
    left_values: F64
    left_kind: U8
    right_values: F64
    right_kind: U8
    left_source: I64
    right_source: I64
    signature: I64


def label_text(table: LabelTable, row: int) -> str:
    """A label set as errors print it."""
    return "{" + ", ".join(f"{label_name(name)}={quote(value)}" for name, value in table.pairs(row)) + "}"


def _project(table: LabelTable, matching: Matching) -> LabelTable:
    if matching.on:
        return labels.keep(table, matching.labels)
    return labels.drop(table, [*matching.labels, labels.METRIC_NAME])


def signatures(lhs: StepBlock, rhs: StepBlock, matching: Matching) -> Sides:
    projected = labels.concat([_project(lhs.labels, matching), _project(rhs.labels, matching)])
    codes, firsts = labels.unique(projected)
    split = len(lhs.labels)
    wide = codes.astype(np.int64)
    return Sides(lhs, rhs, wide[:split], wide[split:], firsts.size, projected)


def _swapped(matching: Matching) -> bool:
    return matching.card == "one-to-many"


def clash_on_one_side(sides: Sides, matching: Matching, steps: Callable[[], U8]) -> Clash | None:
    """Where the "one" side has two series for a signature: rows of that side."""
    one, codes = (sides.lhs, sides.left) if _swapped(matching) else (sides.rhs, sides.right)
    return clash_of_rows(one.kind, codes, steps)


def one_side_error(sides: Sides, matching: Matching, clash: Clash, since_3_10: bool) -> QueryError:
    """since_3_10: the two series are named in the order of their texts, else the later of them first."""
    swapped = _swapped(matching)
    one = sides.lhs if swapped else sides.rhs
    named = [label_text(one.labels, row) for row in (clash.second, clash.first)]
    pair = ", ".join(sorted(named) if since_3_10 else named)
    group = label_text(sides.projected, clash.second + (0 if swapped else len(sides.lhs.labels)))
    return QueryError(
        f"found duplicate series for the match group {group} on the {'left' if swapped else 'right'} hand-side of the "
        f"operation: [{pair}];many-to-many matching not allowed: matching labels must be unique on one side"
    )


def clash_of_matches(
    sides: Sides, pairs: Pairs, matching: Matching, table: LabelTable, steps: Callable[[], U8], limit: int
) -> Clash | None:
    """Where a signature has two matches (one-to-one), or two with equal labels (group_left, group_right)."""
    codes = pairs.signature
    if matching.card != "one-to-one" and np.bincount(codes, minlength=1).max() > 1:
        _, codes = np.unique(labels.unique(table)[0].astype(np.int64) * (sides.n + 1) + codes, return_inverse=True)
    return clash_of_pairs(pairs.left_kind, pairs.left, pairs.right_kind, pairs.right, codes, steps, limit)


def merge_one_side(sides: Sides, matching: Matching) -> Sides:
    """Make one row of those rows of the "one" side that stand in for each other over time.

    They have one signature and the same labels to include, so that nothing else of them shows in the result.
    """
    swapped = _swapped(matching)
    one, codes = (sides.lhs, sides.left) if swapped else (sides.rhs, sides.right)
    if codes.size == 0 or np.bincount(codes).max() <= 1:
        return sides
    included = labels.unique(labels.keep(one.labels, matching.include))[0].astype(np.int64)
    _, firsts, groups = np.unique(codes * (included.max() + 1) + included, return_index=True, return_inverse=True)
    if firsts.size == codes.size:
        return sides
    order = np.argsort(firsts)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    rows = firsts[order]
    shape = (rows.size, one.values.shape[1])
    values, kind = np.zeros(shape), np.zeros(shape, np.uint8)
    kernels.merge_rows(np.ascontiguousarray(one.values), np.ascontiguousarray(one.kind), rank[groups], values, kind)
    merged = StepBlock(one.grid, values, kind, labels.take(one.labels, rows), one.drop_name[rows], one.histograms)
    split = sides.left.size
    if swapped:
        kept = np.concatenate((rows, np.arange(split, len(sides.projected))))
        return Sides(merged, sides.rhs, codes[rows], sides.right, sides.n, labels.take(sides.projected, kept))
    kept = np.concatenate((np.arange(split), split + rows))
    return Sides(sides.lhs, merged, sides.left, codes[rows], sides.n, labels.take(sides.projected, kept))


def _all_pairs(sides: Sides) -> tuple[I64, I64]:
    """Rows of both sides with one signature, by left row and then by right row."""
    order = np.argsort(sides.right, kind="stable")
    starts = np.searchsorted(sides.right[order], np.arange(sides.n + 1))
    counts = (starts[1:] - starts[:-1])[sides.left]
    left = np.repeat(np.arange(sides.left.size), counts)
    inside = np.arange(left.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return left, order[starts[:-1][sides.left[left]] + inside]


def pair_up(sides: Sides, matching: Matching) -> Pairs:
    left, right = _all_pairs(sides)
    lhs_values, lhs_kind = np.ascontiguousarray(sides.lhs.values), np.ascontiguousarray(sides.lhs.kind)
    rhs_values, rhs_kind = np.ascontiguousarray(sides.rhs.values), np.ascontiguousarray(sides.rhs.kind)
    # compat: with group_right the original swaps the sides but not the fill values (promql/engine.go VectorBinop).
    fill_rhs, fill_lhs = matching.fill_rhs, matching.fill_lhs
    if _swapped(matching):
        fill_rhs, fill_lhs = fill_lhs, fill_rhs
    parts_left, parts_right = [left], [right]
    sources_left, sources_right = [left], [right]
    if fill_rhs is not None:
        # A row of fill values for each left row, present where its signature has nothing on the right.
        n = len(sides.rhs.labels)
        kind = _missing(sides.left, sides.right, rhs_kind, sides.n)
        rhs_values, rhs_kind = _with_fill(rhs_values, rhs_kind, kind, fill_rhs)
        rows = np.arange(sides.left.size)
        parts_left.append(rows)
        parts_right.append(n + rows)
        sources_left.append(rows)
        sources_right.append(-1 - rows)
    if fill_lhs is not None:
        n = len(sides.lhs.labels)
        kind = _missing(sides.right, sides.left, np.ascontiguousarray(sides.lhs.kind), sides.n)
        lhs_values, lhs_kind = _with_fill(lhs_values, lhs_kind, kind, fill_lhs)
        rows = np.arange(sides.right.size)
        parts_left.append(n + rows)
        parts_right.append(rows)
        sources_left.append(-1 - rows)
        sources_right.append(rows)
    left_source, right_source = np.concatenate(sources_left), np.concatenate(sources_right)
    signature = np.where(left_source >= 0, _at(sides.left, left_source), _at(sides.right, right_source))
    # The order of the "many" side, the left one of one-to-one; rows that only the other side has come last.
    many, one = (right_source, left_source) if _swapped(matching) else (left_source, right_source)
    rank = np.where(many >= 0, many, many.size + one)
    order = np.argsort(rank, kind="stable")
    pick = [np.ascontiguousarray(np.concatenate(p)[order], np.int64) for p in (parts_left, parts_right)]
    return Pairs(
        pick[0], pick[1], lhs_values, lhs_kind, rhs_values, rhs_kind, left_source[order], right_source[order],
        signature[order],
    )  # fmt: skip


def _at(codes: I64, rows: I64) -> I64:
    if not codes.size:
        return np.full(rows.size, -1, np.int64)
    return codes[np.maximum(rows, 0)]


def _missing(codes: I64, other_codes: I64, other_kind: U8, n: int) -> U8:
    """uint8[rows, steps]: 1 where a row's signature has no cell on the other side."""
    there = np.zeros((max(1, n), other_kind.shape[1]), np.uint8)
    kernels.presence(other_kind, other_codes, there)
    absent: U8 = (there == 0).astype(np.uint8)
    return absent[codes]


def _with_fill(values: F64, kind: U8, fill_kind: U8, fill: float) -> tuple[F64, U8]:
    return np.concatenate((values, np.full(fill_kind.shape, fill))), np.concatenate((kind, fill_kind))


def _source_labels(sides: Sides, pairs: Pairs, of_left: bool) -> LabelTable:
    """The labels that each pair has on one side; a filled side has the matching labels of the other."""
    source = pairs.left_source if of_left else pairs.right_source
    own = sides.lhs.labels if of_left else sides.rhs.labels
    if (source >= 0).all():
        return labels.take(own, source)
    n_left = len(sides.lhs.labels)
    other_at = len(own) + (n_left if of_left else 0)
    rows = np.where(source >= 0, source, other_at + (-1 - source))
    return labels.take(labels.concat([own, sides.projected]), rows)


def result_labels(sides: Sides, pairs: Pairs, matching: Matching, drops_name: bool) -> LabelTable:
    """The label set of each pair's result."""
    many_is_left = not _swapped(matching)
    table = _source_labels(sides, pairs, many_is_left)
    if drops_name:
        table = labels.drop(table, NAME_LABELS)
    if matching.card == "one-to-one":
        table = labels.keep(table, matching.labels) if matching.on else labels.drop(table, matching.labels)
    if matching.include:
        one = _source_labels(sides, pairs, not many_is_left)
        for name in matching.include:
            column = labels.column(one, name)
            table = labels.set_column(table, name, column.codes, column.values)
    return table
