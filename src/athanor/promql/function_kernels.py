# mypy: ignore-errors
"""Loops of functions over instant vectors: each writes new cells and lets only floats through.

Elementwise loops see all cells of a block as one row; a step's scalar comes from an array along the columns.
"""

from __future__ import annotations

import math

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import F64, I64, RF64, RU8, U8, F64x2, RF64x2, RU8x2, U8x2, i64, void

# Names of elementwise functions by their number in `apply`.
ELEMENTWISE = (
    "abs", "ceil", "floor", "sqrt", "sgn", "deg", "rad", "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
)  # fmt: skip
# Names of calendar functions by their number in `date_field`.
DATE_FIELDS = (
    "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year",
)  # fmt: skip

INVERSE_LN2 = 1.0 / 0.693147180559945309417232121458176568
INVERSE_LN10 = 1.0 / 2.30258509299404568401799145468436421
UNIX_TO_YEAR_1_S = 62_135_596_800  # from 0001-01-01 to 1970-01-01
YEAR_1_TO_ZERO_S = 9_223_371_966_579_724_800  # from the first day that Go's time can tell, 1 Jan -292277022399
ZERO_YEAR = -292_277_022_399


@kernel(void(RU8, U8))
def floats_only(kind, out):
    """1 where a cell holds a float."""
    for i in range(kind.size):
        out[i] = np.uint8(kind[i] == 1)


@inline
def _log2(x):
    """Exact for powers of two; near 1 it loses the digits that Go's formula loses."""
    fraction, exponent = math.frexp(x)
    if fraction == 0.5:
        return float(exponent - 1)
    if x == 0.0 or not math.isfinite(x):
        return math.log(x)
    return math.log(fraction) * INVERSE_LN2 + float(exponent)


@inline
def _sinh(x):
    """Beyond 21 half of e**x, which overflows before sinh does: so does Go's."""
    if abs(x) > 21.0:
        return math.copysign(math.exp(abs(x)) * 0.5, x)
    return math.sinh(x)


@inline
def _cosh(x):
    return math.exp(abs(x)) * 0.5 if abs(x) > 21.0 else math.cosh(x)


@kernel(void(i64, RF64, RU8, F64))
def apply(function, values, kind, out):
    """One function of ELEMENTWISE over all cells. The cheap ones do not look at kind: what is absent stays absent."""
    n = values.size
    if function == 0:
        for i in range(n):
            out[i] = abs(values[i])
    elif function == 1:
        for i in range(n):
            out[i] = np.ceil(values[i])
    elif function == 2:
        for i in range(n):
            out[i] = np.floor(values[i])
    elif function == 3:
        for i in range(n):
            out[i] = np.sqrt(values[i])
    elif function == 4:
        for i in range(n):
            v = values[i]
            out[i] = 1.0 if v > 0.0 else (-1.0 if v < 0.0 else v)
    elif function == 5:
        for i in range(n):
            out[i] = values[i] * 180.0 / math.pi
    elif function == 6:
        for i in range(n):
            out[i] = values[i] * math.pi / 180.0
    elif function == 7:
        for i in range(n):
            out[i] = math.exp(values[i]) if kind[i] == 1 else 0.0
    elif function == 8:
        for i in range(n):
            out[i] = math.log(values[i]) if kind[i] == 1 else 0.0
    elif function == 9:
        for i in range(n):
            out[i] = _log2(values[i]) if kind[i] == 1 else 0.0
    elif function == 10:
        for i in range(n):
            out[i] = math.log(values[i]) * INVERSE_LN10 if kind[i] == 1 else 0.0
    elif function == 11:
        for i in range(n):
            out[i] = math.sin(values[i]) if kind[i] == 1 else 0.0
    elif function == 12:
        for i in range(n):
            out[i] = math.cos(values[i]) if kind[i] == 1 else 0.0
    elif function == 13:
        for i in range(n):
            out[i] = math.tan(values[i]) if kind[i] == 1 else 0.0
    elif function == 14:
        for i in range(n):
            out[i] = math.asin(values[i]) if kind[i] == 1 else 0.0
    elif function == 15:
        for i in range(n):
            out[i] = math.acos(values[i]) if kind[i] == 1 else 0.0
    elif function == 16:
        for i in range(n):
            out[i] = math.atan(values[i]) if kind[i] == 1 else 0.0
    elif function == 17:
        for i in range(n):
            out[i] = _sinh(values[i]) if kind[i] == 1 else 0.0
    elif function == 18:
        for i in range(n):
            out[i] = _cosh(values[i]) if kind[i] == 1 else 0.0
    elif function == 19:
        for i in range(n):
            out[i] = math.tanh(values[i]) if kind[i] == 1 else 0.0
    elif function == 20:
        for i in range(n):
            out[i] = math.asinh(values[i]) if kind[i] == 1 else 0.0
    elif function == 21:
        for i in range(n):
            out[i] = math.acosh(values[i]) if kind[i] == 1 else 0.0
    elif function == 22:
        for i in range(n):
            out[i] = math.atanh(values[i]) if kind[i] == 1 else 0.0


@kernel(void(RF64x2, RU8x2, RF64, F64x2, U8x2))
def round_to(values, kind, inverse, out, out_kind):
    """floor(v * inverse + 0.5) / inverse; inverse: 1 / to at each step."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            out[i, j] = np.floor(values[i, j] * inverse[j] + 0.5) / inverse[j]
            out_kind[i, j] = np.uint8(kind[i, j] == 1)


@kernel(void(RF64x2, RU8x2, RF64, RF64, F64x2, U8x2))
def clamp_plain(values, kind, low, high, out, out_kind):
    """For bounds that are neither NaN nor -0, low < +Inf, high > -Inf: then comparisons alone do what Go does."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            v = values[i, j]
            v = high[j] if v > high[j] else v
            out[i, j] = low[j] if v <= low[j] else v
            out_kind[i, j] = np.uint8((kind[i, j] == 1) & (not high[j] < low[j]))


@inline
def _go_min(x, y):
    if x == -math.inf or y == -math.inf:
        return -math.inf
    if math.isnan(x) or math.isnan(y):
        return math.nan
    if x == 0.0 and y == 0.0:
        return x if math.copysign(1.0, x) < 0.0 else y
    return x if x < y else y


@inline
def _go_max(x, y):
    if x == math.inf or y == math.inf:
        return math.inf
    if math.isnan(x) or math.isnan(y):
        return math.nan
    if x == 0.0 and y == 0.0:
        return y if math.copysign(1.0, x) < 0.0 else x
    return x if x > y else y


@kernel(void(RF64x2, RU8x2, RF64, RF64, F64x2, U8x2))
def clamp_exact(values, kind, low, high, out, out_kind):
    """For any bounds: max(low, min(high, v)) with Go's rules for NaN, infinities and zeros."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            out[i, j] = _go_max(low[j], _go_min(high[j], values[i, j]))
            out_kind[i, j] = np.uint8((kind[i, j] == 1) & (not high[j] < low[j]))


@inline
def _seconds(value):
    """Truncated towards zero; what does not fit becomes the smallest integer, as amd64 converts."""
    if value >= -9223372036854775808.0 and value < 9223372036854775808.0:
        return np.int64(value)
    return np.int64(-9223372036854775808)


@inline
def _date_field(field, seconds):
    """The sums wrap around as Go's do, so times outside of its years give its answers."""
    since_zero = np.uint64(seconds) + np.uint64(UNIX_TO_YEAR_1_S) + np.uint64(YEAR_1_TO_ZERO_S)
    in_day = np.int64(since_zero % np.uint64(86400))
    if field == 0:
        return in_day % np.int64(3600) // np.int64(60)
    if field == 1:
        return in_day // np.int64(3600)
    days = np.int64(since_zero // np.uint64(86400))
    if field == 2:
        return (days + np.int64(1)) % np.int64(7)
    # Cycles of 400, 100, 4 and 1 years; the last of a kind is a day longer.
    cycles = days // np.int64(146_097)
    rest = days - cycles * np.int64(146_097)
    centuries = min(rest // np.int64(36_524), np.int64(3))
    rest -= centuries * np.int64(36_524)
    fours = rest // np.int64(1_461)
    rest -= fours * np.int64(1_461)
    ones = min(rest // np.int64(365), np.int64(3))
    rest -= ones * np.int64(365)
    year = np.int64(ZERO_YEAR) + cycles * np.int64(400) + centuries * np.int64(100) + fours * np.int64(4) + ones
    if field == 7:
        return year
    if field == 4:
        return rest + np.int64(1)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    february_end = np.int64(60) if leap else np.int64(59)
    if rest < 31:
        month = np.int64(1)
        day = rest + np.int64(1)
    elif rest < february_end:
        month = np.int64(2)
        day = rest - np.int64(30)
    else:  # from March on five months have 153 days
        rest -= february_end
        month = (rest * np.int64(5) + np.int64(2)) // np.int64(153)
        day = rest - (month * np.int64(153) + np.int64(2)) // np.int64(5) + np.int64(1)
        month += np.int64(3)
    if field == 3:
        return day
    if field == 6:
        return month
    if month == 2:
        return np.int64(29) if leap else np.int64(28)
    return np.int64(30) if month in (4, 6, 9, 11) else np.int64(31)


@kernel(void(i64, RF64, RU8, F64))
def date_field(field, values, kind, out):
    """One field of DATE_FIELDS in UTC, of times in seconds."""
    for i in range(values.size):
        if kind[i] == 1:
            out[i] = float(_date_field(field, _seconds(values[i])))
        else:
            out[i] = 0.0


@kernel(void(RF64x2, RU8x2, I64, F64))
def only_float(values, kind, seen, out):
    """The only float of each step, NaN where there are none or several. seen: int64[n], zeroed by the caller."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            there = kind[i, j] == 1
            seen[j] += np.int64(there)
            out[j] = values[i, j] if there else out[j]
    for j in range(seen.size):
        if seen[j] != 1:
            out[j] = math.nan
