# mypy: ignore-errors
"""Decoding of histogram chunks (TSDB encodings 2, 3, 5, 6), many in one call, to columns of `model.tables.Histograms`.

A chunk: be16 sample count, flags (top bits 11: gauge), layout (zero threshold, schema, spans, custom bounds), samples
of times, counts and buckets as varbit integers or XOR codes, most significant bit first; stale samples have no buckets.
With start times (5, 6) the flags are the count's top bits, and their byte says which samples end with a start time.
(prometheus tsdb/chunkenc/histogram.go, float_histogram.go, histogram_meta.go, histogram_st.go, st.go, varbit.go)

`shape` reads the layouts and says how much room they and the buckets need; a claim that the chunk's own bits cannot
hold is broken. `decode` fills the room. Every read is checked against the end of its chunk.
"""

from __future__ import annotations

import numpy as np

from athanor.chunk.varbit_kernels import (
    ZERO,
    from_bits,
    read_bit_varint,
    read_bits,
    read_raw64,
    read_varbit,
    read_xor,
    signed,
)
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import F64, I32, I64, RI64, RU8, U8, i64, tup, void

HEADER_BYTES = 3
MIN_SAMPLE_BITS = 4  # of time, count, zero count and sum
MAX_VARBIT_BITS = 72
FLOAT_HISTOGRAM, HISTOGRAM_ST, FLOAT_HISTOGRAM_ST = 3, 5, 6
ST_COUNT_MASK = 0x3FFF
CUSTOM = -53
LARGEST_SCHEMA, LEAST_SCHEMA, MOST_SCHEMA = 8, -9, 52
UNKNOWN, NOT_RESET, GAUGE = 0, 2, 3
STALE = np.uint64(0x7FF0000000000002)
BROKEN, UNKNOWN_SCHEMA = 1, 2
# Columns of `shape`'s answer for each chunk.
N_POS, N_NEG, N_BOUNDS, N_BUCKETS, N_SAMPLES, STATUS = range(6)
SHAPE_FIELDS = 6


@inline
def _spans(data, at, end, bit, index, n):
    """Bucket indexes of one side, written to index[n:] where it has room; (how many, position after; -1 broken)."""
    raw, _, bit = read_varbit(data, at, end, bit)
    if bit < 0 or raw > np.uint64((end - at) << 3):
        return np.int64(0), np.int64(-1)
    count, total, current = np.int64(raw), np.int64(0), np.int64(0)
    limit = (end - at) << 3
    for _ in range(count):
        length, _, bit = read_varbit(data, at, end, bit)
        if bit < 0:
            return total, np.int64(-1)
        code, size, bit = read_varbit(data, at, end, bit)
        if bit < 0 or length > np.uint64(limit - total):
            return total, np.int64(-1)
        current += signed(code, size)
        if current < -(2**31) or current + np.int64(length) > 2**31 - 1:
            return total, np.int64(-1)
        for _ in range(np.int64(length)):
            if n + total < index.size:
                index[n + total] = current
            current += 1
            total += 1
    return total, bit


@inline
def _threshold(data, at, end, bit):
    if bit + 8 > (end - at) << 3:
        return 0.0, np.int64(-1)
    code = np.int64(read_bits(data, at, end, bit, 8))
    bit += 8
    if code == 0:
        return 0.0, bit
    if code == 255:
        raw, bit = read_raw64(data, at, end, bit)
        return from_bits(raw), bit
    return 2.0 ** np.float64(code - 244), bit


@inline
def _layout(data, at, end, index, n_index, bounds, n_bound):
    """(status, threshold, schema, positive and negative buckets, bounds, position after); lists go where room is."""
    threshold, bit = _threshold(data, at, end, np.int64(HEADER_BYTES * 8))
    schema, n_pos, n_neg, n_custom = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    if bit >= 0:
        raw, size, bit = read_varbit(data, at, end, bit)
        schema = signed(raw, size)
    if bit >= 0 and schema != CUSTOM and (schema < LEAST_SCHEMA or schema > MOST_SCHEMA):
        return UNKNOWN_SCHEMA, threshold, schema, n_pos, n_neg, n_custom, bit
    if bit >= 0:
        n_pos, bit = _spans(data, at, end, bit, index, n_index)
    if bit >= 0:
        n_neg, bit = _spans(data, at, end, bit, index, n_index + n_pos)
    if bit >= 0 and schema == CUSTOM:
        raw, _, bit = read_varbit(data, at, end, bit)
        if bit >= 0 and raw > np.uint64((end - at) << 3):
            bit = np.int64(-1)
        if bit >= 0:
            n_custom = np.int64(raw)
            for k in range(n_custom):
                code, _, bit = read_varbit(data, at, end, bit)
                bound = (np.float64(code) - 1.0) / 1000.0
                if bit >= 0 and code == ZERO:
                    raw, bit = read_raw64(data, at, end, bit)
                    bound = from_bits(raw)
                if bit < 0:
                    break
                if n_bound + k < bounds.size:
                    bounds[n_bound + k] = bound
    return (BROKEN if bit < 0 else 0), threshold, schema, n_pos, n_neg, n_custom, bit


@inline
def _start(data, at, end, bit, flags, s, t, previous_t, start, gap):
    """(start time of sample s, its distance from the sample before, position after it)."""
    if bit < 0:
        return start, gap, bit
    changes = np.int64(flags & 0x7F)
    if s == 0:
        if (flags & 0x80) != 0:
            gap, bit = read_bit_varint(data, at, end, bit)
            start = t - gap
    elif changes > 0 and s >= changes:
        raw, size, bit = read_varbit(data, at, end, bit)
        gap = signed(raw, size) if s == changes else gap + signed(raw, size)
        start = previous_t - gap
    return start, gap, bit


@inline
def _n_samples(arena, at, encoding):
    n = (np.int64(arena[at]) << 8) | np.int64(arena[at + 1])
    return n & ST_COUNT_MASK if encoding >= HISTOGRAM_ST else n


@kernel(void(RU8, RI64, RI64, RU8, I64))
def shape(arena, at, size, encoding, out):
    """out[SHAPE_FIELDS * i + ...]: buckets of each side, bounds, the most bucket counts and samples of chunk i, all 0
    where the status is not. The caller has checked the spans.
    """
    no_index, no_bounds = np.empty(0, np.int32), np.empty(0, np.float64)
    for i in range(at.size):
        end = at[i] + size[i]
        base = SHAPE_FIELDS * i
        out[base : base + SHAPE_FIELDS] = 0
        n = _n_samples(arena, at[i], encoding[i])
        if n == 0:
            continue
        status, _, _, n_pos, n_neg, n_custom, bit = _layout(arena, at[i], end, no_index, 0, no_bounds, 0)
        n_bits = size[i] << 3
        if status == 0 and n_pos + n_neg > n_bits - bit:
            # Each bucket of a sample takes a bit, and a chunk that begins with a stale sample has no buckets.
            status = BROKEN
        if status == 0 and n * MIN_SAMPLE_BITS > n_bits - bit:
            status = BROKEN
        if status:
            out[base + STATUS] = status
            continue
        out[base + N_POS] = n_pos
        out[base + N_NEG] = n_neg
        out[base + N_BOUNDS] = n_custom
        out[base + N_BUCKETS] = min(n * (n_pos + n_neg), n_bits)
        out[base + N_SAMPLES] = n


@inline
def _merge_side(index, first, n, shift, kept, target):
    """Indexes [first, first + n) at a lower schema, in place behind `kept`: target[k] of each; returns how many."""
    count = np.int64(0)
    for k in range(n):
        merged = ((np.int64(index[first + k]) - 1) >> shift) + 1
        if count == 0 or index[kept + count - 1] != merged:
            index[kept + count] = merged
            count += 1
        target[k] = count - 1
    return count


@kernel(
    tup(i64, i64, i64, i64)(
        RU8, RI64, RI64, RU8, RI64, I32, F64, I32, I64, I64, F64, I64, I64, I32, U8, F64, F64, F64, I64, F64, I64
    )
)
def decode(
    arena, at, size, encoding, out_at, schema, threshold, index, pos_at, neg_at, bounds, bounds_at,
    ts_ms, layout, hint, count, total, zero, bucket_at, buckets, start_ms,
):  # fmt: skip
    """Sample rows of chunk i from out_at[i] on; layout i is chunk i's, layout ``at.size`` that of stale samples.

    start_ms: all 0, written where chunks have start times, and without elements where no chunk has. Returns (status,
    chunk, byte in the chunk where it broke, buckets used).
    """
    n_index, n_bound, n_used = np.int64(0), np.int64(0), np.int64(0)
    pos_at[0] = 0
    bounds_at[0] = 0
    for i in range(at.size):
        start, end = at[i], at[i] + size[i]
        n = _n_samples(arena, start, encoding[i])
        neg_at[i] = n_index
        pos_at[i + 1] = n_index
        bounds_at[i + 1] = n_bound
        schema[i] = 0
        threshold[i] = 0.0
        if n == 0:
            continue
        status, threshold[i], own_schema, n_pos, n_neg, n_custom, bit = _layout(
            arena, start, end, index, n_index, bounds, n_bound
        )
        if status:
            return np.int64(status), np.int64(i), np.int64(HEADER_BYTES), n_used
        n_source = n_pos + n_neg
        target = np.empty(n_source, np.int64)
        shift = max(own_schema - LARGEST_SCHEMA, 0) if own_schema != CUSTOM else np.int64(0)
        kept_pos = _merge_side(index, n_index, n_pos, shift, n_index, target[:n_pos])
        kept_neg = _merge_side(index, n_index + n_pos, n_neg, shift, n_index + kept_pos, target[n_pos:])
        for k in range(n_pos, n_source):
            target[k] += kept_pos
        schema[i] = min(own_schema, LARGEST_SCHEMA)
        neg_at[i] = n_index + kept_pos
        n_index += kept_pos + kept_neg
        pos_at[i + 1] = n_index
        n_bound += n_custom
        bounds_at[i + 1] = n_bound
        n_kept = kept_pos + kept_neg
        is_float = encoding[i] == FLOAT_HISTOGRAM or encoding[i] == FLOAT_HISTOGRAM_ST
        has_starts = encoding[i] >= HISTOGRAM_ST
        is_gauge = (arena[start if has_starts else start + 2] & 0xC0) == 0xC0
        began, gap, previous_t = np.int64(0), np.int64(0), np.int64(0)
        t, dt = np.int64(0), np.int64(0)
        # Count, zero count, buckets. Of integers the value and its last delta, of floats the bits.
        value, delta = np.zeros(n_source + 2, np.uint64), np.zeros(n_source + 2, np.uint64)
        windows = np.zeros(2 * (n_source + 3), np.int64)
        for k in range(n_source + 3):
            windows[2 * k + 1] = 64
        sum_bits = ZERO
        for s in range(n):
            begin = bit
            row = out_at[i] + s
            raw, width, bit = read_varbit(arena, start, end, bit)
            if s < 2:
                dt = signed(raw, width)
            else:
                dt += signed(raw, width)
            t = dt if s == 0 else t + dt
            for k in range(2):
                if bit < 0:
                    break
                if is_float:
                    if s == 0:
                        value[k], bit = read_raw64(arena, start, end, bit)
                    else:
                        value[k], bit = read_xor(arena, start, end, bit, value[k], windows, 2 * k)
                else:
                    raw, width, bit = read_varbit(arena, start, end, bit)
                    if s == 0:
                        value[k] = raw
                    else:
                        delta[k] += np.uint64(signed(raw, width))
                        value[k] += delta[k]
            if bit >= 0:
                if s == 0:
                    sum_bits, bit = read_raw64(arena, start, end, bit)
                else:
                    sum_bits, bit = read_xor(arena, start, end, bit, sum_bits, windows, 2 * (n_source + 2))
            if bit < 0:
                return np.int64(BROKEN), np.int64(i), np.int64(begin >> 3), n_used
            ts_ms[row] = t
            total[row] = from_bits(sum_bits)
            bucket_at[row] = n_used
            if sum_bits == STALE:
                layout[row] = at.size
                hint[row] = UNKNOWN
                count[row] = 0.0
                zero[row] = 0.0
                if has_starts:
                    began, gap, bit = _start(arena, start, end, bit, arena[start + 2], s, t, previous_t, began, gap)
                    if bit < 0:
                        return np.int64(BROKEN), np.int64(i), np.int64(begin >> 3), n_used
                    start_ms[row] = began
                    previous_t = t
                continue
            layout[row] = i
            hint[row] = GAUGE if is_gauge else (UNKNOWN if s == 0 else NOT_RESET)
            if is_float:
                count[row] = from_bits(value[0])
                zero[row] = from_bits(value[1])
            else:
                count[row] = np.float64(value[0])
                zero[row] = np.float64(value[1])
            if n_used + n_kept > buckets.size:
                return np.int64(BROKEN), np.int64(i), np.int64(begin >> 3), n_used
            for k in range(n_kept):
                buckets[n_used + k] = 0.0
            running = ZERO
            for k in range(n_source):
                if k == n_pos:
                    running = ZERO
                v = k + 2
                if is_float:
                    if s == 0:
                        value[v], bit = read_raw64(arena, start, end, bit)
                    else:
                        value[v], bit = read_xor(arena, start, end, bit, value[v], windows, 2 * v)
                    if bit < 0:
                        return np.int64(BROKEN), np.int64(i), np.int64(begin >> 3), n_used
                    buckets[n_used + target[k]] += from_bits(value[v])
                else:
                    raw, width, bit = read_varbit(arena, start, end, bit)
                    if bit < 0:
                        return np.int64(BROKEN), np.int64(i), np.int64(begin >> 3), n_used
                    step = np.uint64(signed(raw, width))
                    if s == 0:
                        value[v] = step
                    else:
                        delta[v] += step
                        value[v] += delta[v]
                    running += value[v]
                    buckets[n_used + target[k]] += np.float64(np.int64(running))
            n_used += n_kept
            if has_starts:
                began, gap, bit = _start(arena, start, end, bit, arena[start + 2], s, t, previous_t, began, gap)
                if bit < 0:
                    return np.int64(BROKEN), np.int64(i), np.int64(begin >> 3), n_used
                start_ms[row] = began
                previous_t = t
    neg_at[at.size] = n_index
    pos_at[at.size + 1] = n_index
    bounds_at[at.size + 1] = n_bound
    schema[at.size] = 0
    threshold[at.size] = 0.0
    return np.int64(0), np.int64(0), np.int64(0), n_used
