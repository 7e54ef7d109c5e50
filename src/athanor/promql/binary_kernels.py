# mypy: ignore-errors
"""Loops of binary operators: elementwise over pairs of rows, and presence by signature.

Operators by number: 0 + 1 - 2 * 3 / 4 % 5 ^ 6 atan2, 7 == 8 != 9 <= 10 < 11 >= 12 >. Arithmetic and comparisons with
`bool` write a value wherever both sides have one; a comparison without it keeps a cell only where it holds.
"""

from __future__ import annotations

import math

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import B1, F64, RF64, RI64, RU8, U8, F64x2, RF64x2, RU8x2, U8x2, i64, tup, void

OPERATORS = ("+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<=", "<", ">=", ">")
FIRST_COMPARISON = 7


@inline
def _power(a, b):
    """Go's math.Pow."""
    if a == 1.0 or b == 0.0:
        return 1.0
    return math.pow(a, b)


@inline
def _remainder(a, b):
    """The sign of the dividend, as math.Mod."""
    if b == 0.0 or math.isinf(a) or math.isnan(a) or math.isnan(b):
        return np.nan
    if math.isinf(b):
        return a
    return np.fmod(a, b)


@inline
def _arithmetic(op, a, b, out):
    n = out.size
    if op == 0:
        for j in range(n):
            out[j] = a[j] + b[j]
    elif op == 1:
        for j in range(n):
            out[j] = a[j] - b[j]
    elif op == 2:
        for j in range(n):
            out[j] = a[j] * b[j]
    elif op == 3:
        for j in range(n):
            out[j] = a[j] / b[j]
    elif op == 4:
        for j in range(n):
            out[j] = _remainder(a[j], b[j])
    elif op == 5:
        for j in range(n):
            out[j] = _power(a[j], b[j])
    else:
        for j in range(n):
            out[j] = math.atan2(a[j], b[j])


@inline
def _holds(op, a, b):
    if op == 7:
        return a == b
    if op == 8:
        return a != b
    if op == 9:
        return a <= b
    if op == 10:
        return a < b
    if op == 11:
        return a >= b
    return a > b


@inline
def _compare(op, a, b, kept, as_bool, out, kind):
    """Comparison of two rows; kind already says where both are. kept: the row whose values a filter keeps."""
    n = out.size
    if op == 12:
        for j in range(n):
            holds = a[j] > b[j]
            out[j] = (1.0 if holds else 0.0) if as_bool else kept[j]
            kind[j] = kind[j] if as_bool or holds else np.uint8(0)
    elif op == 10:
        for j in range(n):
            holds = a[j] < b[j]
            out[j] = (1.0 if holds else 0.0) if as_bool else kept[j]
            kind[j] = kind[j] if as_bool or holds else np.uint8(0)
    else:
        for j in range(n):
            holds = _holds(op, a[j], b[j])
            out[j] = (1.0 if holds else 0.0) if as_bool else kept[j]
            kind[j] = kind[j] if as_bool or holds else np.uint8(0)


@kernel(void(i64, i64, RF64x2, RU8x2, RI64, RF64x2, RU8x2, RI64, F64x2, U8x2))
def pair_rows(op, as_bool, left, left_kind, left_rows, right, right_kind, right_rows, out, kind):
    """Row p of the result is left_rows[p] op right_rows[p]; filters keep the left side's value."""
    for p in range(left_rows.size):
        i = left_rows[p]
        k = right_rows[p]
        for j in range(out.shape[1]):
            kind[p, j] = left_kind[i, j] & right_kind[k, j]
        if op < 7:
            _arithmetic(op, left[i], right[k], out[p])
        else:
            _compare(op, left[i], right[k], left[i], as_bool == 1, out[p], kind[p])


@kernel(void(i64, i64, RF64x2, RU8x2, RF64, i64, F64x2, U8x2))
def scalar_rows(op, as_bool, block, block_kind, scalar, scalar_on_left, out, kind):
    """Every row with a scalar for each step; filters keep the row's value, whichever side it is on."""
    for i in range(block.shape[0]):
        for j in range(out.shape[1]):
            kind[i, j] = block_kind[i, j]
        if op < 7:
            if scalar_on_left == 1:
                _arithmetic(op, scalar, block[i], out[i])
            else:
                _arithmetic(op, block[i], scalar, out[i])
        elif scalar_on_left == 1:
            _compare(op, scalar, block[i], block[i], as_bool == 1, out[i], kind[i])
        else:
            _compare(op, block[i], scalar, block[i], as_bool == 1, out[i], kind[i])


@kernel(void(i64, RF64, RF64, F64))
def scalars(op, a, b, out):
    """Scalar op scalar at each step; comparisons give 1 or 0."""
    if op < 7:
        _arithmetic(op, a, b, out)
    else:
        for j in range(out.size):
            out[j] = 1.0 if _holds(op, a[j], b[j]) else 0.0


@kernel(void(RU8x2, RI64, U8x2))
def presence(kind, codes, out):
    """ORs the presence of each row into its signature's row; code -1 is left out."""
    for i in range(codes.size):
        code = codes[i]
        if code >= 0:
            for j in range(kind.shape[1]):
                out[code, j] |= np.uint8(kind[i, j] != 0)


@kernel(void(RU8x2, RI64, RU8x2, i64, U8x2))
def mask_rows(kind, codes, there, keep_present, out):
    """Keep a row's cells where its signature is present (keep_present 1) or absent (0); code -1 is always absent."""
    for i in range(codes.size):
        code = codes[i]
        for j in range(kind.shape[1]):
            present = code >= 0 and there[code, j] != 0
            out[i, j] = kind[i, j] if present == (keep_present == 1) else np.uint8(0)


@inline
def _first_of(a, a_rows, b, b_rows, members, step, last):
    """The first member before the last one that has a cell at the step."""
    for p in members:
        if p == last:
            break
        if a[a_rows[p], step] != 0 and b[b_rows[p], step] != 0:
            return p
    return np.int64(-1)


@kernel(tup(i64, i64, i64)(RU8x2, RI64, RU8x2, RI64, RI64, RI64, RU8, i64, U8))
def first_clash(a, a_rows, b, b_rows, order, starts, steps, limit, seen):
    """The first step below the limit at which two pairs of one group have cells: (step, first, second pair), or -1s.

    Pair p has a cell where rows a_rows[p] of a and b_rows[p] of b both have one. Pairs of group g, ascending, are
    order[starts[g]:starts[g+1]]; steps: 1 for those to look at; seen: scratch, one for each step. Of several clashes at
    the first step it is the one whose second pair comes first.
    """
    step = limit
    first = np.int64(-1)
    second = np.int64(-1)
    for g in range(starts.size - 1):
        members = order[starts[g] : starts[g + 1]]
        seen[:] = 0
        for p in members:
            a_row = a[a_rows[p]]
            b_row = b[b_rows[p]]
            n = min(step + 1, seen.size)
            hit = np.uint8(0)
            for j in range(n):
                cell = np.uint8((a_row[j] != 0) & (b_row[j] != 0) & (steps[j] != 0))  # of either kind
                hit |= cell & seen[j]
                seen[j] |= cell
            if hit == 0:
                continue
            # Some earlier member has a cell where this one has: look closer.
            for j in range(min(step + 1, limit)):
                if steps[j] and a_row[j] and b_row[j] and (j < step or p < second):
                    earlier = _first_of(a, a_rows, b, b_rows, members, j, p)
                    if earlier >= 0:
                        step = np.int64(j)
                        first = earlier
                        second = p
                        break
    if second < 0:
        return np.int64(-1), first, second
    return step, first, second


@kernel(void(RF64x2, RU8x2, RI64, F64x2, U8x2))
def merge_rows(values, kind, codes, out, out_kind):
    """Copy the cells that each row has to row codes[i] of the result; -1 is left out."""
    for i in range(codes.size):
        code = codes[i]
        if code < 0:
            continue
        for j in range(kind.shape[1]):
            there = kind[i, j] != 0
            out[code, j] = values[i, j] if there else out[code, j]
            out_kind[code, j] = kind[i, j] if there else out_kind[code, j]


@kernel(void(RU8x2, B1))
def any_row(kind, out):
    """Which steps have a cell in any row; ORs into out."""
    for i in range(kind.shape[0]):
        for j in range(kind.shape[1]):
            if kind[i, j] != 0:
                out[j] = True
