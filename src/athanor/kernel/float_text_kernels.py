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

from athanor.kernel.compile import inline, inlined, kernel
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

_U0, _U1, _U2, _U4, _U10 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(10)
_U40, _U63 = np.uint64(40), np.uint64(63)
_U100, _U10000, _U1E8, _U1E16 = np.uint64(100), np.uint64(10_000), np.uint64(10**8), np.uint64(10**16)
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


@inlined
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


@inlined
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


@inlined
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


@inlined
def n_digits(value):
    """Decimal digits of an unsigned number; 1 for 0."""
    if value >= _TENS[19]:
        return 20
    # The logarithm from the exponent of the nearest float64 is right or one too small.
    log2 = np.int64(_bits(np.float64(value | _U1)) >> np.uint64(52)) - 1023
    n = ((log2 * 1233) >> 12) + 1
    return n + 1 if value >= _TENS[n] else n


@inlined
def _eight(value):
    """The eight digits of a number below 10**8 as text in one word, the first in its lowest byte: halves are divided
    side by side, into fours, twos and ones."""
    four = value // _U10000
    fours = four | ((value - four * _U10000) << np.uint64(32))
    two = ((fours * np.uint64(10486)) >> np.uint64(20)) & np.uint64(0x0000007F0000007F)
    twos = two | ((fours - two * _U100) << np.uint64(16))
    ten = ((twos * np.uint64(103)) >> np.uint64(10)) & np.uint64(0x000F000F000F000F)
    return ten | ((twos - ten * _U10) << np.uint64(8)) | np.uint64(0x3030303030303030)


@inlined
def _put(out, at, word):
    """Eight bytes, the lowest first; one store."""
    to = np.uint64(at)
    for i in range(np.uint64(8)):
        out[to + i] = np.uint8((word >> (i << np.uint64(3))) & np.uint64(0xFF))


@inlined
def _write_padded(out, at, value, n):
    """The lowest n <= 16 digits of a number below 10**n, zeros in front; up to 16 bytes are touched."""
    if n <= 8:
        _put(out, at, _eight(value * _TENS[8 - n]))
    else:
        left = value * _TENS[16 - n]
        high = left // _U1E8
        _put(out, at, _eight(high))
        _put(out, at + 8, _eight(left - high * _U1E8))
    return at + n


@inlined
def _write_whole(out, at, value):
    n = n_digits(value)
    if n > 16:
        high = value // _U1E16
        at = _write_padded(out, at, high, n - 16)
        return _write_padded(out, at, value - high * _U1E16, np.int64(16))
    return _write_padded(out, at, value, n)


@inlined
def _write_plain(out, at, digits, exponent):
    """digits has at most 17 digits."""
    if exponent >= 0:
        at = _write_whole(out, at, digits)
        for _ in range(exponent):
            out[at] = _ZERO
            at += 1
        return at
    n = n_digits(digits)
    point = n + exponent
    if point > 0 and point < 8:
        # All digits one byte to the right, then the first eight again with the point between them.
        to = at + 1
        first = _U0
        if n == 17:
            first = digits // _U1E16
            rest = digits - first * _U1E16
            first |= np.uint64(_ZERO)
            out[to] = np.uint8(first)
            to += 1
        else:
            rest = digits * _TENS[16 - n]
        upper = rest // _U1E8
        head = _eight(upper)
        _put(out, to, head)
        _put(out, to + 8, _eight(rest - upper * _U1E8))
        if n == 17:
            head = (head << np.uint64(8)) | first
        bits = np.uint64(point) << np.uint64(3)
        behind = ~((_U1 << bits) - _U1)
        tail = (head << np.uint64(8)) & (behind << np.uint64(8))
        _put(out, at, (head & ~behind) | (np.uint64(_DOT) << bits) | tail)
        return at + n + 1
    if point > 0:
        scale = _TENS[-exponent]
        whole = digits // scale
        at = _write_whole(out, at, whole)
        out[at] = _DOT
        return _write_padded(out, at + 1, digits - whole * scale, -exponent)
    _put(out, at, np.uint64(0x303030303030_2E30))  # 0.000000
    return _write_whole(out, at + 2 - point, digits)


@inline
def _write_exponent_form(out, at, digits, exponent):
    n = n_digits(digits)
    power = exponent + n - 1
    end = _write_whole(out, at + 1, digits)
    out[at] = out[at + 1]
    if n == 1:
        at += 1
    else:
        out[at + 1] = _DOT
        at = end
    out[at] = _E
    out[at + 1] = _MINUS if power < 0 else 43
    size = np.uint64(-power if power < 0 else power)
    return _write_padded(out, at + 2, size, np.int64(3 if size >= _U100 else 2))


def _write_float(out, at, value):
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
                digits = np.uint64(thousandths)
                whole = digits // np.uint64(1000)
                rest = digits - whole * np.uint64(1000)
                at = _write_whole(out, at, whole)
                out[at] = _DOT
                at = _write_padded(out, at + 1, rest, np.int64(3))
                if rest % _U10 == _U0:
                    at -= 2 if rest % _U100 == _U0 else 1
                return at
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


write_float = inline(_write_float)
write_float_here = inlined(_write_float)  # for the one place that writes most of the numbers


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
        at = _write_padded(out, at + 1, rest, np.int64(3))
    return at


@kernel(i64(RF64, I64, U8))
def float_texts(values, offsets, out):
    """The texts of values one after the other; offsets[i] is where text i ends. out: MAX_BYTES each, and
    SLACK. Returns the size."""
    at = np.int64(0)
    for i in range(values.size):
        at = write_float(out, at, values[i])
        offsets[i] = at
    return at
