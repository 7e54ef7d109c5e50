# mypy: ignore-errors
"""Reading of the bit streams in histogram chunks, most significant bit first: varbit integers, XOR codes, varints.

Positions are bits behind data[at]; a position after what was read is negative where that would end behind data[end].
(prometheus tsdb/chunkenc/varbit.go, bstream.go)
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.bytes_kernels import be64
from athanor.kernel.compile import inline

WINDOW_BYTES = 9  # 64 bits from any bit on
ZERO = np.uint64(0)
ONE = np.uint64(1)
SEVEN = np.uint64(7)
EIGHT = np.uint64(8)


@inline
def from_bits(bits):
    return np.uint64(bits).view(np.float64)


@inline
def _window(data, position, bit):
    """64 bits; the caller knows that WINDOW_BYTES bytes are there."""
    p = np.uint64(position)
    shift = np.uint64(bit) & SEVEN
    return (be64(data, p) << shift) | (np.uint64(data[p + EIGHT]) >> (EIGHT - shift))


@inline
def read_bits(data, at, end, bit, n):
    """1 <= n <= 64 bits from a position inside data[at:end] (n bits are there: the caller has checked)."""
    position = at + (bit >> 3)
    if position + WINDOW_BYTES <= data.size:
        return _window(data, position, bit) >> np.uint64(64 - n)
    value = ZERO
    left = n
    while left > 0:
        byte = np.uint64(data[at + (bit >> 3)])
        room = 8 - (bit & 7)
        take = min(room, left)
        value = (value << np.uint64(take)) | ((byte >> np.uint64(room - take)) & ((ONE << np.uint64(take)) - ONE))
        bit += take
        left -= take
    return value


@inline
def _ahead(data, at, end, bit):
    """At least 13 bits from a position inside data[at:end], left aligned; zeros stand for what is behind the end."""
    position = at + (bit >> 3)
    if position + WINDOW_BYTES <= data.size:
        return _window(data, position, bit)
    n = min(13, ((end - at) << 3) - bit)
    return read_bits(data, at, end, bit, n) << np.uint64(64 - n)


@inline
def read_varbit(data, at, end, bit):
    """(raw bits, size in bits, position after it)."""
    last = (end - at) << 3
    if bit >= last:
        return ZERO, 0, np.int64(-1)
    word = _ahead(data, at, end, bit)
    if word < np.uint64(0x8000000000000000):
        prefix, size = 1, 0
    elif word < np.uint64(0xC000000000000000):
        prefix, size = 2, 3
    elif word < np.uint64(0xE000000000000000):
        prefix, size = 3, 6
    elif word < np.uint64(0xF000000000000000):
        prefix, size = 4, 9
    elif word < np.uint64(0xF800000000000000):
        prefix, size = 5, 12
    elif word < np.uint64(0xFC00000000000000):
        prefix, size = 6, 18
    elif word < np.uint64(0xFE00000000000000):
        prefix, size = 7, 25
    elif word < np.uint64(0xFF00000000000000):
        prefix, size = 8, 56
    else:
        prefix, size = 8, 64
    if bit + prefix + size > last:
        return ZERO, 0, np.int64(-1)
    if size == 0:
        return ZERO, 0, bit + prefix
    return read_bits(data, at, end, bit + prefix, size), size, bit + prefix + size


@inline
def signed(raw, size):
    # compat: n bits hold -(2**(n-1)-1) .. 2**(n-1), so the half itself is positive.
    if 0 < size < 64 and raw > (ONE << np.uint64(size - 1)):
        raw -= ONE << np.uint64(size)
    return np.int64(raw)


@inline
def read_raw64(data, at, end, bit):
    if bit < 0 or bit + 64 > (end - at) << 3:
        return ZERO, np.int64(-1)
    return read_bits(data, at, end, bit, 64), bit + 64


@inline
def read_xor(data, at, end, bit, value, window, k):
    """The next value of a XOR stream; window[k], window[k + 1]: leading zeros and size of the last one written out."""
    last = (end - at) << 3
    if bit < 0 or bit >= last:
        return value, np.int64(-1)
    word = _ahead(data, at, end, bit)
    if word < np.uint64(0x8000000000000000):
        return value, bit + 1
    if word < np.uint64(0xC000000000000000):
        bit += 2
    else:
        window[k] = np.int64((word >> np.uint64(57)) & np.uint64(31))
        size = np.int64((word >> np.uint64(51)) & np.uint64(63))
        window[k + 1] = size if size != 0 else 64
        bit += 13
    size = window[k + 1]
    if bit + size > last or window[k] + size > 64:
        return value, np.int64(-1)
    return value ^ (read_bits(data, at, end, bit, size) << np.uint64(64 - window[k] - size)), bit + size


@inline
def read_bit_varint(data, at, end, bit):
    """A zigzag varint whose bytes begin at any bit; the position is negative where it does not end in time."""
    value, shift = ZERO, 0
    while True:
        if bit + 8 > (end - at) << 3 or shift > 63:
            return np.int64(0), np.int64(-1)
        byte = read_bits(data, at, end, bit, 8)
        bit += 8
        if shift == 63 and byte > ONE:
            return np.int64(0), np.int64(-1)
        value |= (byte & np.uint64(0x7F)) << np.uint64(shift)
        if byte < np.uint64(0x80):
            return np.int64(value >> ONE) ^ -np.int64(value & ONE), bit
        shift += 7
