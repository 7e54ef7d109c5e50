# mypy: ignore-errors
"""Encoding of XOR chunks, byte-identical to Prometheus; cutting of a series into chunks by the rules of its head.

Format: ``xor_kernels``. Bits collect in a 64-bit word that is written when full.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.bytes_kernels import put_be64
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RI64, RU64, U8, i64
from athanor.kernel.varint_kernels import write_uvarint, write_varint

ZERO = np.uint64(0)
ONE = np.uint64(1)
SIXTYFOUR = np.uint64(64)
NO_WINDOW = np.uint64(255)

# A sample takes at most 68 bits of time and 77 bits of value; the word in hand is written as 8 bytes.
MAX_SAMPLE_BYTES = 19
MAX_CHUNK_OVERHEAD_BYTES = 40


@inline
def _put(out, at, word, used, bits, n):
    """Append the n (1..64) low bits of ``bits`` to the word in hand: (position, word, used bits)."""
    free = SIXTYFOUR - used
    bits = bits & (~ZERO >> (SIXTYFOUR - n))
    if n < free:
        return at, word | (bits << (free - n)), used + n
    word |= bits >> (n - free)
    at = put_be64(out, at, word)
    rest = n - free
    return at, (bits << (SIXTYFOUR - rest)) if rest != ZERO else ZERO, rest


@inline
def _put_dod(out, at, word, used, dod):
    if dod == 0:
        return _put(out, at, word, used, ZERO, ONE)
    bits = np.uint64(dod)
    if -8191 <= dod <= 8192:
        return _put(out, at, word, used, np.uint64(0x8000) | (bits & np.uint64(0x3FFF)), np.uint64(16))
    if -65535 <= dod <= 65536:
        return _put(out, at, word, used, np.uint64(0xC0000) | (bits & np.uint64(0x1FFFF)), np.uint64(20))
    if -524287 <= dod <= 524288:
        return _put(out, at, word, used, np.uint64(0xE00000) | (bits & np.uint64(0xFFFFF)), np.uint64(24))
    at, word, used = _put(out, at, word, used, np.uint64(0b1111), np.uint64(4))
    return _put(out, at, word, used, bits, SIXTYFOUR)


@inline
def _leading_zeros(x):
    n = ZERO
    for step in (np.uint64(32), np.uint64(16), np.uint64(8), np.uint64(4), np.uint64(2), np.uint64(1)):
        if (x >> (SIXTYFOUR - step)) == ZERO:
            n += step
            x <<= step
    return n


@inline
def _trailing_zeros(x):
    return np.uint64(63) - _leading_zeros(x & (~x + ONE))


@inline
def _put_value(out, at, word, used, x, lead, trail):
    """The code of one XORed value: (position, word, used, lead, trail, whether whole bytes were written last)."""
    if x == ZERO:
        at, word, used = _put(out, at, word, used, ZERO, ONE)
        return at, word, used, lead, trail, False
    new_lead = min(_leading_zeros(x), np.uint64(31))
    new_trail = _trailing_zeros(x)
    if lead != NO_WINDOW and new_lead >= lead and new_trail >= trail:
        at, word, used = _put(out, at, word, used, np.uint64(0b10), np.uint64(2))
        size = SIXTYFOUR - lead - trail
        at, word, used = _put(out, at, word, used, x >> trail, size)
        return at, word, used, lead, trail, (size & np.uint64(7)) == ZERO
    size = SIXTYFOUR - new_lead - new_trail
    head = (np.uint64(0b11) << np.uint64(11)) | (new_lead << np.uint64(6)) | (size & np.uint64(63))
    at, word, used = _put(out, at, word, used, head, np.uint64(13))
    at, word, used = _put(out, at, word, used, x >> new_trail, size)
    return at, word, used, new_lead, new_trail, (size & np.uint64(7)) == ZERO


@inline
def _estimated_end_ms(first_ms, last_ms, max_ms, ratio):
    """Where a chunk that goes on like this should end so that chunks of a range are equally full."""
    x = (np.float64(max_ms) - np.float64(first_ms)) / (np.float64(last_ms - first_ms + 1) * ratio)
    if x <= 1.0:
        return max_ms
    return np.int64(np.float64(first_ms) + np.float64(max_ms - first_ms) / np.floor(x))


@inline
def _range_end_ms(t, range_ms):
    quotient = t // range_ms
    if t < 0 and quotient * range_ms != t:
        quotient += 1  # Go divides towards zero
    return quotient * range_ms + range_ms


@kernel(i64(RI64, RU64, RI64, i64, i64, i64, i64, U8, I64, I64, I64, I64, I64))
def encode_series(
    ts_ms, value_bits, bounds, range_ms, target, max_bytes, zero_byte, out, series, at, size, counts, first
):
    """Encode samples ``bounds[s]:bounds[s+1]`` of each s into chunks, cutting as the head of Prometheus does.

    range_ms: no chunk crosses a multiple of it; 0: no cutting (one chunk for each s, at most 65,535 samples). target:
    samples wanted in a chunk (120). max_bytes: a chunk with more bytes takes no further sample; 0: no limit
    (Prometheus before 2.47). zero_byte: 1 leaves the zero byte that Prometheus before 3.0 leaves after whole bytes.

    out needs MAX_SAMPLE_BYTES a sample and MAX_CHUNK_OVERHEAD_BYTES a chunk; series, at, size, counts, first (the
    number of the first sample) need room for every chunk: at most one a sample. Returns the number of chunks.
    """
    count = 0
    position = np.int64(0)
    for s in range(bounds.size - 1):
        i = bounds[s]
        while i < bounds[s + 1]:
            begin = position
            t = ts_ms[i]
            v = value_bits[i]
            next_ms = _range_end_ms(t, range_ms) if range_ms > 0 else np.int64(0)
            series[count], at[count], first[count] = s, begin, i
            position = write_varint(out, begin + 2, t)
            position = put_be64(out, position, v)
            word, used = ZERO, ZERO
            lead, trail = NO_WINDOW, ZERO
            whole_bytes = True
            delta = np.int64(0)
            n = 1
            i += 1
            while i < bounds[s + 1]:
                now = ts_ms[i]
                if range_ms > 0:
                    if max_bytes > 0 and position - begin + np.int64((used + np.uint64(7)) >> np.uint64(3)) > max_bytes:
                        break
                    if n == target // 4:
                        next_ms = _estimated_end_ms(ts_ms[first[count]], t, next_ms, 4.0)
                    if now >= next_ms or n >= 2 * target:
                        break
                if n == 1:
                    position = write_uvarint(out, position, np.uint64(now - t))
                else:
                    position, word, used = _put_dod(out, position, word, used, (now - t) - delta)
                delta = now - t
                t = now
                x = value_bits[i] ^ v
                v = value_bits[i]
                position, word, used, lead, trail, whole_bytes = _put_value(out, position, word, used, x, lead, trail)
                n += 1
                i += 1
            if zero_byte == 0 or (used & np.uint64(7)) != ZERO:
                whole_bytes = False
            put_be64(out, position, word)
            position += np.int64((used + np.uint64(7)) >> np.uint64(3))
            if whole_bytes:
                out[position] = np.uint8(0)
                position += 1
            out[begin] = np.uint8(n >> 8)
            out[begin + 1] = np.uint8(n & 0xFF)
            size[count] = position - begin
            counts[count] = n
            count += 1
    return np.int64(count)
