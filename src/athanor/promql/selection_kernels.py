# mypy: ignore-errors
"""Loops of aggregations that look at whole columns: best k, first k, a share by hash, counted values.

Rows are series in the order of the input, codes[i] is the group of row i. Heaps behave exactly as Go's container/heap
under Prometheus' orders, because which of several equal values survives is visible.
"""

from __future__ import annotations

import numpy as np
from numba import types

from athanor.kernel.checksum_kernels import xxhash64
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import (
    F64,
    I32,
    I64,
    RF64,
    RI32,
    RI64,
    RU8,
    RU64,
    U8,
    U64,
    F64x2,
    RF64x2,
    RU8x2,
    U8x2,
    f64,
    i64,
    void,
)

I32x2 = types.Array(types.int32, 2, "C")
RI32x2 = types.Array(types.int32, 2, "C", readonly=True)
SMALL = 12  # Go sorts up to this many elements by insertion
NAN_BITS = np.uint64(0x7FF8000000000001)


@inline
def _less(x, y):
    """NaN is below everything, other NaN included, as in vectorByValueHeap."""
    return np.isnan(x) or x < y


@inline
def _sift_up(v, r, base, j):
    while j > 0:
        parent = (j - 1) // 2
        if not _less(v[base + j], v[base + parent]):
            break
        v[base + j], v[base + parent] = v[base + parent], v[base + j]
        r[base + j], r[base + parent] = r[base + parent], r[base + j]
        j = parent


@inline
def _sift_down(v, r, base, n):
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and _less(v[base + child + 1], v[base + child]):
            child += 1
        if not _less(v[base + child], v[base + i]):
            break
        v[base + child], v[base + i] = v[base + i], v[base + child]
        r[base + child], r[base + i] = r[base + i], r[base + child]
        i = child


@kernel(void(RF64x2, RU8x2, RI32, RI64, f64, RI64, i64, i64, F64, I32, I32, F64))
def best_cells(values, kind, codes, k, sign, heap_at, first, n, heap_v, heap_r, heap_n, bar):
    """Heaps of the best cells of steps first .. first+n.

    sign -1 turns bottomk into topk. Group g has room for heap_at[g+1] - heap_at[g] cells a step; the heap of step j
    begins at heap_at[g] * n + j * room. heap_n, bar: [groups * n], cleared here; a value at or below the bar cannot
    enter.
    """
    n_groups = heap_at.size - 1
    for s in range(n_groups * n):
        heap_n[s] = 0
        bar[s] = np.nan
    for i in range(values.shape[0]):
        g = codes[i]
        if g < 0:
            continue
        room = heap_at[g + 1] - heap_at[g]
        start = heap_at[g] * n
        x_row, kinds = values[i], kind[i]
        for j in range(n):
            x = sign * x_row[first + j]
            slot = g * n + j
            if x <= bar[slot] or kinds[first + j] != np.uint8(1):
                continue
            limit = min(k[first + j], room)
            size = heap_n[slot]
            base = start + j * room
            if size < limit:
                heap_v[base + size] = x
                heap_r[base + size] = i
                heap_n[slot] = size + 1
                _sift_up(heap_v, heap_r, base, size)
                if size + 1 == limit:
                    bar[slot] = heap_v[base]
            elif limit > 0 and not np.isnan(x):
                worst = heap_v[base]
                if worst < x or np.isnan(worst):
                    heap_v[base] = x
                    heap_r[base] = i
                    _sift_down(heap_v, heap_r, base, limit)
                    bar[slot] = heap_v[base]


@kernel(void(RI64, i64, i64, RI32, RI32, U8x2))
def mark_heaps(heap_at, first, n, heap_r, heap_n, out):
    """out[row, step] = 1 for every cell in a heap."""
    for g in range(heap_at.size - 1):
        room = heap_at[g + 1] - heap_at[g]
        for j in range(n):
            base = heap_at[g] * n + j * room
            for e in range(heap_n[g * n + j]):
                out[heap_r[base + e], first + j] = np.uint8(1)


@kernel(i64(RI64, F64, I32, RI32, i64, I64))
def heap_rows(heap_at, heap_v, heap_r, heap_n, best_first, out):
    """Rows of the heaps of a single step, group after group: best first, or as they lie. Returns how many."""
    used = 0
    for g in range(heap_at.size - 1):
        base = heap_at[g]
        size = heap_n[g]
        if best_first == 1:
            if size <= SMALL:
                for e in range(1, size):
                    j = e
                    while j > 0 and _less(heap_v[base + j - 1], heap_v[base + j]):
                        heap_v[base + j], heap_v[base + j - 1] = heap_v[base + j - 1], heap_v[base + j]
                        heap_r[base + j], heap_r[base + j - 1] = heap_r[base + j - 1], heap_r[base + j]
                        j -= 1
            else:
                order = np.argsort(-heap_v[base : base + size], kind="mergesort")
                rows = heap_r[base : base + size].copy()
                for e in range(size):
                    heap_r[base + e] = rows[order[e]]
        for e in range(size):
            out[used] = heap_r[base + e]
            used += 1
    return np.int64(used)


@kernel(void(RF64, RI32, RI64, RI64, F64, I32, I32))
def push_rows(values, codes, rows, heap_at, heap_v, heap_r, heap_n):
    """Pushes these rows of a single step onto the heaps of their groups."""
    heap_n[:] = 0
    for e in range(rows.size):
        i = rows[e]
        g = codes[i]
        base, size = heap_at[g], heap_n[g]
        heap_v[base + size] = values[i]
        heap_r[base + size] = i
        heap_n[g] = size + 1
        _sift_up(heap_v, heap_r, base, size)


@kernel(void(RU8x2, RI32, RI64, i64, i64, I32, U8x2))
def first_cells(kind, codes, k, first, n, counts, out):
    """Keeps the first k cells of each group at steps first .. first+n; counts: [groups * n], cleared here."""
    counts[:] = 0
    for i in range(kind.shape[0]):
        g = codes[i]
        if g < 0:
            continue
        kinds, kept = kind[i], out[i]
        for j in range(n):
            cell = kinds[first + j]
            slot = g * n + j
            takes = cell != np.uint8(0) and counts[slot] < k[first + j]
            kept[first + j] = cell if takes else np.uint8(0)
            counts[slot] += 1 if takes else 0


@kernel(void(RU8x2, RF64, RF64, U8x2))
def ratio_cells(kind, offsets, ratio, out):
    """Keeps series by their place in [0, 1]: below a ratio, or from 1 + ratio on for a negative one."""
    for i in range(kind.shape[0]):
        u = offsets[i]
        for j in range(ratio.size):
            r = ratio[j]
            takes = u < r if r >= 0.0 else u >= 1.0 + r
            out[i, j] = kind[i, j] if takes else np.uint8(0)


@inline
def _varint(arena, at):
    value = np.int64(0)
    shift = 0
    while True:
        byte = np.int64(arena[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


@inline
def _put_text(out, at, arena, start, size, separated):
    """One string in the form that the labels are hashed in."""
    if not separated:
        if size < 255:
            out[at] = np.uint8(size)
            at += 1
        else:
            out[at] = np.uint8(255)
            out[at + 1] = np.uint8(size & 0xFF)
            out[at + 2] = np.uint8((size >> 8) & 0xFF)
            out[at + 3] = np.uint8((size >> 16) & 0xFF)
            at += 4
    for e in range(size):
        out[at + e] = arena[start + e]
    at += size
    if separated:
        out[at] = np.uint8(255)
        at += 1
    return at


@kernel(void(RU8, RI64, i64, U8, U64))
def label_hashes(arena, offsets, separated, scratch, out):
    """xxHash64 of label sets as Prometheus hashes them: lengths before the strings, or 0xFF after them (separated 1).

    scratch: room for the longest set; its own form never takes less than the hashed one.
    """
    for i in range(out.size):
        at = offsets[i]
        end = offsets[i + 1]
        used = 0
        while at < end:
            _, at = _varint(arena, at + 1)
            size, at = _varint(arena, at + 1)
            used = _put_text(scratch, used, arena, at, size, separated == 1)
            at += size
            size, at = _varint(arena, at + 1)
            used = _put_text(scratch, used, arena, at, size, separated == 1)
            at += size
        out[i] = xxhash64(scratch, 0, used)


@inline
def _mix(bits, code):
    h = (bits ^ (np.uint64(code) * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(31)
    h *= np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(29))


@kernel(void(RU64, RI32, i64, I32))
def index_pairs(bits, groups, n, slots):
    """Fills a table of slots (a power of two, all -1) with the first n pairs."""
    mask = np.uint64(slots.size - 1)
    for p in range(n):
        at = _mix(bits[p], groups[p]) & mask
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = p


@kernel(i64(RF64x2, RU8x2, RI32, i64, i64, I32, U64, I32, I64, I32x2))
def number_pairs(values, kind, codes, by_value, start, slots, bits, groups, n_pairs, out):
    """Numbers the pairs (group of the row, value of the cell) from row `start` on; -1 where there is no cell.

    by_value 0 makes all values one. n_pairs: [1]. Returns the row where bits, groups or slots must grow first, or the
    number of rows.
    """
    mask = np.uint64(slots.size - 1)
    n = values.shape[1]
    for i in range(start, values.shape[0]):
        if n_pairs[0] + n > bits.size or 2 * (n_pairs[0] + n) > slots.size:
            return np.int64(i)
        g = codes[i]
        row_bits = values[i].view(np.uint64)
        last_bits = np.uint64(0)
        last = np.int32(-1)
        for j in range(n):
            if kind[i, j] == np.uint8(0) or g < 0:
                out[i, j] = np.int32(-1)
                continue
            x = row_bits[j]
            if by_value == 0:
                x = np.uint64(0)
            elif values[i, j] != values[i, j] and kind[i, j] == np.uint8(1):
                x = NAN_BITS
            if last < 0 or x != last_bits:
                at = _mix(x, g) & mask
                while slots[at] >= 0 and (bits[slots[at]] != x or groups[slots[at]] != g):
                    at = (at + np.uint64(1)) & mask
                if slots[at] < 0:
                    pair = n_pairs[0]
                    slots[at] = pair
                    bits[pair] = x
                    groups[pair] = g
                    n_pairs[0] = pair + 1
                last = slots[at]
                last_bits = x
            out[i, j] = last
    return np.int64(values.shape[0])


@kernel(void(RI32x2, F64x2, U8x2))
def count_pairs(pairs, out, kind):
    """out and kind are zero before; pairs[row, step] counts one in row pairs[...] of out."""
    for i in range(pairs.shape[0]):
        for j in range(pairs.shape[1]):
            p = pairs[i, j]
            if p >= 0:
                out[p, j] += 1.0
                kind[p, j] = np.uint8(1)
