# mypy: ignore-errors
# mypy: ignore-errors
"""Shortest decimal text of float64 in the style of Prometheus' JSON: ``1.5``, ``1e-07``, ``+Inf``.

The digits come from Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles"): of the decimals inside
the rounding interval the shortest, of those the closest. Whole numbers and numbers of up to three decimals, which
most samples are, take a shorter way that gives the same digits.

Form: plain for 0 and 1e-6 <= |v| < 1e21, else ``d.ddde±NN``; never more than MAX_BYTES bytes.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RF64, U8, i64

MAX_BYTES = 25  # -0.0000012345678901234567
SLACK = 32  # writers may touch this many bytes behind what they say they wrote

_FIRST_K, _LAST_K = -292, 324


def _power_table() -> np.ndarray:
    """For k in _FIRST_K.._LAST_K the upper 128 bits of 10**k, rounded up: rows of (upper, lower) 64 bits."""
    rows = []
    for k in range(_FIRST_K, _LAST_K + 1):
        shift = 127 - _floor_log2_pow10(k)
        if k >= 0:
            exact = 10**k << shift if shift >= 0 else -(-(10**k) >> -shift)
        else:
            exact = -(-(1 << shift) // 10**-k)
        rows.append((exact >> 64, exact & (2**64 - 1)))
    return np.array(rows, np.uint64).reshape(-1)


def _floor_log2_pow10(k: int) -> int:
    return (k * 1741647) >> 19


_POWERS = _power_table()
_TENS = np.array([10**k for k in range(20)], np.uint64)
_PAIRS = np.frombuffer("".join(f"{i:02d}" for i in range(100)).encode(), np.uint8)

_U0, _U1, _U2, _U4, _U10 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(10)
_U40, _U63 = np.uint64(40), np.uint64(63)
_U100, _U10000, _U1E8 = np.uint64(100), np.uint64(10_000), np.uint64(100_000_000)
_FRACTION_MASK = np.uint64(2**52 - 1)
_HIDDEN = np.uint64(2**52)
_MINUS, _DOT, _ZERO, _E = 45, 46, 48, 101


@intrinsic
def _high_product(typingctx, a, b):
    """The upper 64 bits of a 128-bit product: one instruction."""

    def codegen(context, builder, signature, args):
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def _bits(typingctx, value):
    """The bits of a float64."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), codegen


@inline
def _round_to_odd(high, low, cp):
    carried = _high_product(low, cp)
    y_low = high * cp
    y_high = _high_product(high, cp)
    y_sum = y_low + carried
    if y_sum < y_low:
        y_high += _U1
    if y_sum > _U1:
        y_high |= _U1
    return y_high


@inline
def _shortest(bits):
    """(digits, exponent) of a positive finite number: the number is digits * 10**exponent."""
    fraction = bits & _FRACTION_MASK
    biased = np.int64(bits >> np.uint64(52))
    if biased != 0:
        c = fraction | _HIDDEN
        q = biased - 1075
    else:
        c = fraction
        q = -1074
    closer = fraction == _U0 and biased > 1
    odd = c & _U1
    cb = c << _U2
    if closer:
        cbl = cb - _U1
        k = (q * 1262611 - 524031) >> 22
    else:
        cbl = cb - _U2
        k = (q * 1262611) >> 22
    h = np.uint64(q + ((-k * 1741647) >> 19) + 1)
    at = (-k - _FIRST_K) * 2
    high, low = _POWERS[at], _POWERS[at + 1]
    lower = _round_to_odd(high, low, cbl << h) + odd
    vb = _round_to_odd(high, low, cb << h)
    upper = _round_to_odd(high, low, (cb + _U2) << h) - odd
    s = vb >> _U2
    if s >= _U10:
        sp = s // _U10
        below = sp * _U40
        up_inside = lower <= below
        wp_inside = below + _U40 <= upper
        if up_inside != wp_inside:
            return (sp + _U1 if wp_inside else sp), k + 1
    below = s << _U2
    u_inside = lower <= below
    w_inside = below + _U4 <= upper
    if u_inside != w_inside:
        return (s + _U1 if w_inside else s), k
    middle = below + _U2
    if vb > middle or (vb == middle and (s & _U1) != _U0):
        return s + _U1, k
    return s, k


@inline
def _trim(digits, exponent):
    """The same number without zeros at its end."""
    while True:
        q = digits // _U1E8
        if q * _U1E8 != digits:
            break
        digits, exponent = q, exponent + 8
    while True:
        q = digits // _U10
        if q * _U10 != digits:
            break
        digits, exponent = q, exponent + 1
    return digits, exponent


@inline
def n_digits(value):
    """Decimal digits of an unsigned number; 1 for 0."""
    n = 1
    while n < 20 and value >= _TENS[n]:
        n += 1
    return n


@inline
def write_digits(out, at, value, n):
    """Exactly n decimal digits at out[at]; returns the position behind them."""
    end = at + n
    i = end
    while value >= _U10000:
        q = value // _U10000
        four = value - q * _U10000
        two = four // _U100
        low = np.int64(four - two * _U100) * 2
        high = np.int64(two) * 2
        out[i - 4] = _PAIRS[high]
        out[i - 3] = _PAIRS[high + 1]
        out[i - 2] = _PAIRS[low]
        out[i - 1] = _PAIRS[low + 1]
        i -= 4
        value = q
    while i - at >= 2:
        q = value // _U100
        low = np.int64(value - q * _U100) * 2
        out[i - 2] = _PAIRS[low]
        out[i - 1] = _PAIRS[low + 1]
        i -= 2
        value = q
    if i > at:
        out[i - 1] = np.uint8(_ZERO + np.int64(value % _U10))
    return end


@inline
def _write_whole(out, at, value):
    return write_digits(out, at, value, n_digits(value))


@inline
def _write_plain(out, at, digits, exponent):
    n = n_digits(digits)
    point = n + exponent
    if exponent >= 0:
        at = write_digits(out, at, digits, n)
        for _ in range(exponent):
            out[at] = _ZERO
            at += 1
        return at
    if point > 0:
        end = write_digits(out, at + 1, digits, n)
        for i in range(at, at + point):
            out[i] = out[i + 1]
        out[at + point] = _DOT
        return end
    out[at] = _ZERO
    out[at + 1] = _DOT
    at += 2
    for _ in range(-point):
        out[at] = _ZERO
        at += 1
    return write_digits(out, at, digits, n)


@inline
def _write_exponent_form(out, at, digits, exponent):
    n = n_digits(digits)
    power = exponent + n - 1
    if n == 1:
        at = write_digits(out, at, digits, 1)
    else:
        end = write_digits(out, at + 1, digits, n)
        out[at] = out[at + 1]
        out[at + 1] = _DOT
        at = end
    out[at] = _E
    out[at + 1] = _MINUS if power < 0 else 43
    size = np.uint64(-power if power < 0 else power)
    return write_digits(out, at + 2, size, 3 if size >= _U100 else 2)


@inline
def write_float(out, at, value):
    """The text of value at out[at], which has room for MAX_BYTES; returns the position behind it."""
    bits = _bits(value)
    if (bits >> _U63) != _U0 and value == value:
        out[at] = _MINUS
        at += 1
        bits &= np.uint64(2**63 - 1)
        value = -value
    elif value == np.inf:
        out[at] = 43
        at += 1
    if value < 1e15:
        whole = np.uint64(np.int64(value))
        if np.float64(np.int64(whole)) == value:
            return _write_whole(out, at, whole)
        if value >= 1e-3 and value < 1e11:
            # At most 15 digits, so no other decimal of 15 digits gives this number, and the division is exact.
            thousandths = np.int64(value * 1000.0 + 0.5)
            if np.float64(thousandths) / 1000.0 == value:
                digits, exponent = np.uint64(thousandths), -3
                for _ in range(2):
                    q = digits // _U10
                    if q * _U10 == digits:
                        digits, exponent = q, exponent + 1
                return _write_plain(out, at, digits, exponent)
    elif not value <= 1.7976931348623157e308:
        word = 0x666E49 if value == value else 0x4E614E  # "Inf", "NaN", lowest byte first
        for i in range(3):
            out[at + i] = np.uint8((word >> (8 * i)) & 0xFF)
        return at + 3
    digits, exponent = _shortest(bits)
    digits, exponent = _trim(digits, exponent)
    if value >= 1e-6 and value < 1e21:
        return _write_plain(out, at, digits, exponent)
    return _write_exponent_form(out, at, digits, exponent)


@inline
def write_seconds(out, at, ts_ms):
    """A time in ms as seconds: three decimals where there is a fraction, none otherwise."""
    if ts_ms < 0:
        out[at] = _MINUS
        at += 1
        size = _U0 - np.uint64(ts_ms)
    else:
        size = np.uint64(ts_ms)
    whole = size // np.uint64(1000)
    at = _write_whole(out, at, whole)
    rest = size - whole * np.uint64(1000)
    if rest != _U0:
        out[at] = _DOT
        at = write_digits(out, at + 1, rest, 3)
    return at


@kernel(i64(RF64, I64, U8))
def float_texts(values, offsets, out):
    """The texts of values one after the other; offsets[i] is where text i ends. out: MAX_BYTES each. Returns the
    size."""
    at = np.int64(0)
    for i in range(values.size):
        at = write_float(out, at, values[i])
        offsets[i] = at
    return at
