# mypy: ignore-errors
"""Decoding of XOR chunks (TSDB encoding 1), many in one call.

A chunk: be16 sample count; varint t0, 64 bits v0; uvarint t1 - t0, value code; then for each sample a delta-of-delta
code and a value code, most significant bit first. Bytes after the last sample are ignored: before 3.0, Prometheus
may leave a zero byte there. (prometheus tsdb/chunkenc/xor.go)

The loop carries a bit position; the word at that position is loaded anew for every sample (one unaligned load), so that
nothing but the position, the window and the last value flows from sample to sample. Which codes come is decided by
branches, not by arithmetic on their bits: a processor that guesses them right knows the next position before the word
has arrived (1.2 to 2 times faster). A new window is loaded from a place of its own, so that the compiler makes no
conditional moves of that branch. Loads run up to SLACK bytes past the position: a chunk nearer to the arena's end is
decoded from a padded copy.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.bytes_kernels import be64
from athanor.kernel.compile import inline, kernel, short_kernel
from athanor.kernel.types import I64, RI64, RU8, U64, i64
from athanor.kernel.varint_kernels import read_uvarint, read_varint

SLACK = 40  # the last load starts at most 20 bytes past the position where a sample begins, and reads 9
HEADER_BYTES = 2

ONE = np.uint64(1)
THREE = np.uint64(3)
SEVEN = np.uint64(7)
EIGHT = np.uint64(8)
MASK63 = np.uint64(63)
FRESH = np.uint64(1 << 62)  # behind the first bit of a value code: a new window follows
IN_WORD = np.uint64(54)  # bits of a word behind three of codes: such a payload needs no second load


@inline
def _word(data, at, bit):
    """At least 57 bits from a bit position on, left aligned."""
    return be64(data, at + (bit >> THREE)) << (bit & SEVEN)


@inline
def _word64(data, at, bit):
    """All 64 bits from a bit position on."""
    position = at + (bit >> THREE)
    shift = bit & SEVEN
    return (be64(data, position) << shift) | (np.uint64(data[position + EIGHT]) >> (EIGHT - shift))


@inline
def _dod(data, at, bit, word):
    """A delta-of-delta code that does not begin with 0: value and the position after it."""
    if word < np.uint64(0xC000000000000000):
        raw, size, bit = (word << np.uint64(2)) >> np.uint64(50), np.uint64(14), bit + np.uint64(16)
    elif word < np.uint64(0xE000000000000000):
        raw, size, bit = (word << np.uint64(3)) >> np.uint64(47), np.uint64(17), bit + np.uint64(20)
    elif word < np.uint64(0xF000000000000000):
        raw, size, bit = (word << np.uint64(4)) >> np.uint64(44), np.uint64(20), bit + np.uint64(24)
    else:
        return _word64(data, at, bit + np.uint64(4)), bit + np.uint64(68)
    # compat: n bits hold -(2**(n-1)-1) .. 2**(n-1), so the half itself is positive.
    if raw > (ONE << (size - ONE)):
        raw -= ONE << size
    return raw, bit


@inline
def _decode(data, start, end, n, ts_ms, values, out_at):
    """Decode n > 0 samples of the chunk in data[start:end]; -1, or the byte in the chunk where it broke."""
    t, position = read_varint(data, start + HEADER_BYTES, end)
    if position < 0 or position + 8 > end:
        return np.int64(HEADER_BYTES)
    v = be64(data, position)
    position += 8
    ts_ms[out_at] = t
    values[out_at] = v
    if n == 1:
        return np.int64(-1)
    first_delta, after = read_uvarint(data, position, end)
    if after < 0:
        return position - start
    delta = first_delta
    time = np.uint64(t) + delta
    at = np.uint64(start)
    bit = np.uint64(after - start) << np.uint64(3)
    end_bit = np.uint64(end - start) << np.uint64(3)
    lead = np.uint64(0)
    size = np.uint64(64)
    dod_bit = np.uint64(0)  # sample 1 has no delta-of-delta code
    for i in range(1, n):
        begin = bit
        word = _word(data, at, bit)
        if dod_bit != np.uint64(0):
            if (word >> MASK63) != np.uint64(0):
                dod, bit = _dod(data, at, bit, word)
                delta += dod
                word = _word(data, at, bit)
            else:
                word <<= ONE
                bit += ONE
            time += delta
        dod_bit = ONE
        if (word >> MASK63) == np.uint64(0):
            bit += ONE
        else:
            if (word & FRESH) != np.uint64(0):
                window = _word(data, at, bit + np.uint64(2))
                lead = window >> np.uint64(59)
                size = (window >> np.uint64(53)) & MASK63
                if size == np.uint64(0):
                    size = np.uint64(64)
                if lead + size > np.uint64(64):
                    return np.int64(begin >> THREE)
                bit += np.uint64(13)
                payload = _word64(data, at, bit) >> (np.uint64(64) - size)
            elif size <= IN_WORD:
                bit += np.uint64(2)
                payload = (word << np.uint64(2)) >> (np.uint64(64) - size)
            else:
                bit += np.uint64(2)
                payload = _word64(data, at, bit) >> (np.uint64(64) - size)
            bit += size
            v ^= payload << ((np.uint64(64) - lead - size) & MASK63)
        if bit > end_bit:
            return np.int64(begin >> THREE)
        ts_ms[out_at + i] = np.int64(time)
        values[out_at + i] = v
    return np.int64(-1)


@short_kernel(i64(RU8, RI64, RI64, I64))
def count_samples(arena, at, size, n_samples):
    """Sample counts from the headers of chunks. Returns -1, or the first row outside the arena or without a header."""
    for i in range(at.size):
        if at[i] < 0 or size[i] < HEADER_BYTES or at[i] > arena.size - size[i]:
            return np.int64(i)
        p = np.uint64(at[i])
        n_samples[i] = (np.int64(arena[p]) << 8) | np.int64(arena[p + ONE])
    return np.int64(-1)


@kernel(i64(RU8, RI64, RI64, RI64, I64, U64, I64))
def decode(arena, at, size, out_at, ts_ms, value_bits, bad_at):
    """Decode chunk i to ``ts_ms[out_at[i]:]`` and value_bits (float64 bits); its header says how many samples.

    The caller has checked spans and counts with count_samples. bad_at[i]: -1, or the byte offset in chunk i where it
    broke (its output is then undefined); -2 where the samples have no room. Returns the number of bad chunks.
    """
    n_bad = 0
    for i in range(at.size):
        bad_at[i] = -1
        start, length, first = at[i], size[i], out_at[i]
        if start < 0 or length < HEADER_BYTES or start > arena.size - length:
            bad_at[i] = 0
            n_bad += 1
            continue
        p = np.uint64(start)
        n = (np.int64(arena[p]) << 8) | np.int64(arena[p + ONE])
        if first < 0 or first > ts_ms.size - n or first > value_bits.size - n:
            bad_at[i] = -2
        elif n > 0 and start + length + SLACK <= arena.size:
            bad_at[i] = _decode(arena, start, start + length, n, ts_ms, value_bits, first)
        elif n > 0:
            padded = np.zeros(length + SLACK, np.uint8)
            for k in range(length):
                padded[k] = arena[start + k]
            bad_at[i] = _decode(padded, np.int64(0), length, n, ts_ms, value_bits, first)
        if bad_at[i] != -1:
            n_bad += 1
    return np.int64(n_bad)
