"""Making and reshaping step blocks: the values that operators pass to each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64, U8
from athanor.model.errors import NotAvailableError
from athanor.model.tables import FLOAT, HISTOGRAM, LabelTable, StepBlock, StepGrid
from athanor.promql import binary_kernels as kernels
from athanor.promql import histograms
from athanor.promql.clashes import clash_of_rows
from athanor.promql.errors import QueryError

# What "dropping the metric name" removes (prometheus schema/labels.go).
NAME_LABELS = ("__name__", "__type__", "__unit__")
CELL_BYTES = 9  # a value and its kind
SAME_LABELSET = "vector cannot contain metrics with the same labelset"


def block(grid: StepGrid, labels_: LabelTable, values: F64, kind: U8) -> StepBlock:
    return StepBlock(grid, values, kind, labels_, np.zeros(len(labels_), np.bool_))


def empty_block(grid: StepGrid) -> StepBlock:
    return block(grid, labels.empty_sets(0), np.empty((0, grid.n)), np.empty((0, grid.n), np.uint8))


def one_series(grid: StepGrid, scalar: F64) -> StepBlock:
    """A series without labels that has the scalar's value at each step."""
    return block(grid, labels.empty_sets(1), scalar[None, :].copy(), np.ones((1, grid.n), np.uint8))


def with_data(source: StepBlock, values: F64, kind: U8) -> StepBlock:
    """The same series with other values."""
    return StepBlock(source.grid, values, kind, source.labels, source.drop_name, source.histograms)


def full_width(source: StepBlock) -> StepBlock:
    """A step-invariant block (one column) spread over all steps of its grid."""
    n = source.grid.n
    if source.values.shape[1] == n:
        return source
    shape = (source.values.shape[0], n)
    values = np.ascontiguousarray(np.broadcast_to(source.values, shape))
    kind = np.ascontiguousarray(np.broadcast_to(source.kind, shape))
    return with_data(source, values, kind)


def spread(source: StepBlock, grid: StepGrid) -> StepBlock:
    """A block of one step over all steps of a grid."""
    return full_width(StepBlock(grid, source.values, source.kind, source.labels, source.drop_name, source.histograms))


def join_steps(grid: StepGrid, parts: Sequence[StepBlock]) -> StepBlock:
    """Consecutive pieces of a grid as one block: a row for each series of any of them, in label order where the pieces
    are, else by first appearance."""
    every = labels.concat([p.labels for p in parts])
    codes, firsts = labels.unique(every)
    values, kind = np.zeros((firsts.size, grid.n)), np.zeros((firsts.size, grid.n), np.uint8)
    drop_name = np.zeros(firsts.size, np.bool_)
    step, row = 0, 0
    part_values, table = histograms.joined([(p.values, p.kind, p.histograms) for p in parts])
    for part, own_values in zip(parts, part_values, strict=True):
        rows = codes[row : row + len(part.labels)]
        values[rows, step : step + part.grid.n] = own_values
        kind[rows, step : step + part.grid.n] = part.kind
        drop_name[rows] |= part.drop_name
        step, row = step + part.grid.n, row + len(part.labels)
    joined = StepBlock(grid, values, kind, labels.take(every, firsts), drop_name, table)
    if all(labels.is_strictly_sorted(p.labels) for p in parts):
        joined = take_rows(joined, labels.sort_order(joined.labels))
    return joined


def concat_blocks(grid: StepGrid, parts: Sequence[StepBlock]) -> StepBlock:
    """The series of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return empty_block(grid)
    values, table = histograms.joined([(p.values, p.kind, p.histograms) for p in parts])
    return StepBlock(
        grid,
        np.concatenate(values),
        np.concatenate([p.kind for p in parts]),
        labels.concat([p.labels for p in parts]),
        np.concatenate([p.drop_name for p in parts]),
        table,
    )


def join_parts(grid: StepGrid, parts: list[StepBlock]) -> StepBlock:
    """The same for plain parts, which leave the list one by one while they are copied: no more than one is held beside
    the result, whose pages come as they are written."""
    n_rows = sum(len(part.labels) for part in parts)
    values = np.empty((n_rows, parts[0].values.shape[1]))
    kind = np.empty(values.shape, np.uint8)
    table = labels.concat([part.labels for part in parts])
    drop_name = np.concatenate([part.drop_name for part in parts])
    end = n_rows
    while parts:
        part = parts.pop()
        first = end - len(part.labels)
        values[first:end], kind[first:end] = part.values, part.kind
        end = first
    return StepBlock(grid, values, kind, table, drop_name)


def take_rows(source: StepBlock, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> StepBlock:
    """These series, in this order."""
    return StepBlock(
        source.grid, source.values[rows], source.kind[rows], labels.take(source.labels, rows), source.drop_name[rows],
        source.histograms,
    )  # fmt: skip


def without_empty_rows(source: StepBlock) -> StepBlock:
    """The series that have a value at some step."""
    present = source.kind.any(axis=1)
    return source if present.all() else take_rows(source, np.flatnonzero(present))


def drop_names(source: StepBlock) -> StepBlock:
    """Remove the metric name (and type and unit) at once, as the default mode does."""
    return StepBlock(
        source.grid,
        source.values,
        source.kind,
        labels.drop(source.labels, NAME_LABELS),
        source.drop_name,
        source.histograms,
    )


def check_unique(source: StepBlock) -> None:
    """Raises where two series that have any value have equal labels (functions over ranges)."""
    present = np.flatnonzero(source.kind.any(axis=1))
    table = source.labels if present.size == len(source.labels) else labels.take(source.labels, present)
    if labels.has_duplicates(table):
        raise QueryError(SAME_LABELSET)


def merge_equal(source: StepBlock) -> StepBlock:
    """Series that became equal are one where they share no step, else the query fails (label_replace, unary minus,
    the end of a join)."""
    codes, firsts = labels.unique(source.labels)
    if firsts.size == len(source.labels):
        return source
    rows = codes.astype(np.int64)
    if clash_of_rows(source.kind, rows) is not None:
        raise QueryError(SAME_LABELSET)
    shape = (firsts.size, source.values.shape[1])
    values, kind = np.zeros(shape), np.zeros(shape, np.uint8)
    kernels.merge_rows(np.ascontiguousarray(source.values), np.ascontiguousarray(source.kind), rows, values, kind)
    return StepBlock(
        source.grid, values, kind, labels.take(source.labels, firsts), source.drop_name[firsts], source.histograms
    )


def refuse_histograms(source: StepBlock, where: str) -> None:
    if (source.kind == HISTOGRAM).any():
        raise NotAvailableError(f"native histograms in {where}")


__all__ = ["FLOAT", "NAME_LABELS", "SAME_LABELSET", "block", "concat_blocks", "empty_block"]
