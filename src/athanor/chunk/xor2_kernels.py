# mypy: ignore-errors
"""Decoding of XOR2 chunks (TSDB encoding 4, Prometheus 3.11 and later), many in one call.

A chunk: be16 sample count; a byte that says which samples carry a start time; varint t0, 64 bits v0; uvarint t1 - t0,
value code; then for each sample a control prefix, which is short where the interval stays. A value is XORed with the
last one that was no stale marker. Start times are passed over: floats are read without them.
(prometheus tsdb/chunkenc/xor2.go, st.go)
"""

from __future__ import annotations

import numpy as np

from athanor.chunk.varbit_kernels import read_bits, read_varbit
from athanor.kernel.bytes_kernels import be64
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RI64, RU8, U64, i64
from athanor.kernel.varint_kernels import read_uvarint, read_varint

HEADER_BYTES = 3
STALE = np.uint64(0x7FF0000000000002)
ZERO = np.uint64(0)
BROKEN = np.int64(-1)


@inline
def _bits(data, start, end, bit, n):
    """n bits and the position behind them, which is negative where they are not there."""
    if bit < 0 or bit + n > (end - start) << 3:
        return ZERO, BROKEN
    return read_bits(data, start, end, bit, n), np.int64(bit + n)


@inline
def _ones(data, start, end, bit, most):
    """How many bits are 1 before the first 0, at most so many, and the position behind them and that 0."""
    n = np.int64(0)
    while n < most:
        one, bit = _bits(data, start, end, bit, 1)
        if bit < 0:
            return n, BROKEN
        if one == ZERO:
            return n, bit
        n += 1
    return n, bit


@inline
def _signed(data, start, end, bit, n):
    """A two's complement number of n bits."""
    raw, bit = _bits(data, start, end, bit, n)
    value = np.int64(raw)
    if n < 64 and (raw >> np.uint64(n - 1)) != ZERO:
        value -= np.int64(1) << np.int64(n)
    return value, bit


@inline
def _xored(data, start, end, bit, base, window, is_new):
    """A changed value in the last window, or in a new one."""
    if is_new:
        lead, bit = _bits(data, start, end, bit, 5)
        size, bit = _bits(data, start, end, bit, 6)
        window[0] = np.int64(lead)
        window[1] = np.int64(size) if size != ZERO else 64
    if window[0] + window[1] > 64:
        return base, BROKEN
    payload, bit = _bits(data, start, end, bit, window[1])
    return base ^ (payload << np.uint64(64 - window[0] - window[1])), bit


@inline
def _value(data, start, end, bit, base, window):
    """A value code where the interval has changed."""
    n, bit = _ones(data, start, end, bit, 3)
    if bit < 0 or n == 0:
        return base, bit
    if n == 3:
        return STALE, bit
    return _xored(data, start, end, bit, base, window, n == 2)


@inline
def _decode(data, start, end, n, window, ts_ms, values, out_at):
    """Decode n > 0 samples of the chunk in data[start:end]; -1, or the byte in the chunk where it broke."""
    t, position = read_varint(data, start + HEADER_BYTES, end)
    if position < 0 or position + 8 > end:
        return np.int64(HEADER_BYTES)
    v = be64(data, position)
    position += 8
    ts_ms[out_at] = t
    values[out_at] = v
    header = np.int64(data[start + 2])
    if header >= 128:
        position = read_varint(data, position, end)[1]
        if position < 0:
            return np.int64(HEADER_BYTES)
    if n == 1:
        return BROKEN
    raw, after = read_uvarint(data, position, end)
    if after < 0:
        return np.int64(position - start)
    first_start = header & 127
    delta = np.int64(raw)
    base = v if v != STALE else ZERO
    window[0], window[1] = 0, 64
    bit = np.int64((after - start) << 3)
    for i in range(1, n):
        begin = bit
        if i == 1:
            v, bit = _value(data, start, end, bit, base, window)
        else:
            ones, bit = _ones(data, start, end, bit, 5)
            if bit < 0 or ones == 0:
                v = base
            elif ones == 1:
                fresh, bit = _bits(data, start, end, bit, 1)
                v, bit = _xored(data, start, end, bit, base, window, fresh != ZERO)
            elif ones == 5:
                v = STALE
            else:
                change, bit = _signed(data, start, end, bit, 13 if ones == 2 else (20 if ones == 3 else 64))
                delta += change
                v, bit = _value(data, start, end, bit, base, window)
        if bit >= 0 and first_start > 0 and i >= first_start:
            bit = read_varbit(data, start, end, bit)[2]
        if bit < 0:
            return np.int64(begin >> 3)
        if v != STALE:
            base = v
        t += delta
        ts_ms[out_at + i] = t
        values[out_at + i] = v
    return BROKEN


@kernel(i64(RU8, RI64, RI64, RI64, I64, U64, I64))
def decode(arena, at, size, out_at, ts_ms, value_bits, bad_at):
    """As the kernel of the same name for XOR chunks."""
    n_bad = 0
    window = np.zeros(2, np.int64)
    for i in range(at.size):
        bad_at[i] = -1
        start, length, first = at[i], size[i], out_at[i]
        if start < 0 or length < HEADER_BYTES or start > arena.size - length:
            bad_at[i] = 0
            n_bad += 1
            continue
        n = (np.int64(arena[start]) << 8) | np.int64(arena[start + 1])
        if first < 0 or first > ts_ms.size - n or first > value_bits.size - n:
            bad_at[i] = -2
        elif n > 0:
            bad_at[i] = _decode(arena, start, start + length, n, window, ts_ms, value_bits, first)
        if bad_at[i] != -1:
            n_bad += 1
    return np.int64(n_bad)
