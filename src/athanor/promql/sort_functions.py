"""Functions that order the series of an instant vector."""

from __future__ import annotations

import re
from functools import cmp_to_key

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import I64
from athanor.model.tables import FLOAT, HISTOGRAM, StepBlock
from athanor.promql.blocks import take_rows, with_data
from athanor.promql.function_call import FunctionCall

INEFFECTIVE = "sort is ineffective for range queries since results are always ordered by labels"
_RUNS = re.compile(rb"[0-9]+|[^0-9]+")
_LARGEST = 2**63 - 1


def _ordered_later(call: FunctionCall) -> bool:
    """Over several steps the answer will be in label order whatever happens here."""
    if call.grid.n == 1:
        return False
    if call.since_3_10:
        call.notes.warn(INEFFECTIVE, call.at)
    return True


def sort(call: FunctionCall) -> StepBlock:
    """By value; NaN comes last either way. Histograms have no place in the order and are left out."""
    source = call.vectors[0]
    if _ordered_later(call):
        if source.kind.max(initial=0) < HISTOGRAM:
            return source
        return with_data(source, source.values, (source.kind == FLOAT).astype(np.uint8))
    rows = np.flatnonzero(source.kind[:, 0] == FLOAT)
    keys = source.values[rows, 0]
    order = np.argsort(-keys if call.name == "sort_desc" else keys, kind="stable")
    return take_rows(source, rows[order])


def sort_by_label(call: FunctionCall) -> StepBlock:
    """By the labels named, in natural order, then by all labels."""
    source = call.vectors[0]
    if _ordered_later(call):
        return source
    whole = np.empty(len(source.labels), np.int64)
    whole[labels.sort_order(source.labels)] = np.arange(whole.size)
    keys = [whole]
    for name in reversed(call.strings):
        column = labels.column(source.labels, name)
        keys.append(_natural_ranks(column.values)[column.codes])
    order = np.lexsort([-key for key in keys] if call.name == "sort_by_label_desc" else keys)
    rows = order[source.kind[order, 0] != 0]
    return take_rows(source, np.ascontiguousarray(rows, np.int64))


def _natural_ranks(values: tuple[bytes, ...]) -> I64:
    """The rank of each distinct value."""
    split = [(_RUNS.findall(value), value) for value in values]

    def compare(a: int, b: int) -> int:
        return _compare_natural(split[a], split[b])

    order = sorted(range(len(values)), key=cmp_to_key(compare))
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(len(values))
    return ranks


def _compare_natural(a: tuple[list[bytes], bytes], b: tuple[list[bytes], bytes]) -> int:
    """Run by run: numbers by size, everything else bytewise; values that count as equal (`1`, `01`) bytewise."""
    for left, right in zip(a[0], b[0], strict=False):
        if left == right:
            continue
        if left.isdigit() and right.isdigit():
            number_left, number_right = int(left), int(right)
            if max(number_left, number_right) <= _LARGEST:
                if number_left == number_right:
                    continue
                return -1 if number_left < number_right else 1
        return -1 if left < right else 1
    key_a, key_b = (len(a[0]), a[1]), (len(b[0]), b[1])
    return (key_a > key_b) - (key_a < key_b)
