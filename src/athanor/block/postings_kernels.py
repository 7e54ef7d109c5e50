# mypy: ignore-errors
"""Set algebra on postings: ascending uint32 series references, many lists in one arena.

List i is ``arena[offsets[i]:offsets[i+1]]``. On disk a list is ``be32 n`` and n times ``be32 reference`` (Prometheus
tsdb/docs/format/index.md). Union merges neighbouring runs until one is left; intersection starts from the smallest list
and gallops through the others, so it costs O(smallest * log(ratio)).
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RI64, RU8, RU32, U32, i64

OK, CUT, UNSORTED = 0, -1, -2


@inline
def _be32(data, at):
    return (
        (np.uint32(data[at]) << np.uint32(24))
        | (np.uint32(data[at + 1]) << np.uint32(16))
        | (np.uint32(data[at + 2]) << np.uint32(8))
        | np.uint32(data[at + 3])
    )


@kernel(i64(RU8, RI64, RI64, I64))
def count_entries(data, at, end, offsets):
    """Offsets of k lists that begin at ``at[i]`` (their count field) and must end by ``end[i]``; 0 or -(i+1)."""
    total = np.int64(0)
    offsets[0] = 0
    for i in range(at.size):
        if at[i] < 0 or end[i] > data.size or at[i] + 4 > end[i]:
            return -(i + 1)
        n = np.int64(_be32(data, at[i]))
        if at[i] + 4 + 4 * n > end[i]:
            return -(i + 1)
        total += n
        offsets[i + 1] = total
    return 0


@kernel(i64(RU8, RI64, RI64, U32))
def decode_entries(data, at, offsets, out):
    """The references of k lists counted by ``count_entries``; 0, or -(i+1) where list i does not ascend."""
    for i in range(at.size):
        position = at[i] + 4
        previous = np.int64(-1)
        for j in range(offsets[i], offsets[i + 1]):
            reference = _be32(data, position)
            if np.int64(reference) <= previous:
                return -(i + 1)
            previous = np.int64(reference)
            out[j] = reference
            position += 4
    return 0


@inline
def _merge(a, a_at, a_end, b, b_at, b_end, out, at):
    """Union of two runs; returns the position after the last element written."""
    while a_at < a_end and b_at < b_end:
        left, right = a[a_at], b[b_at]
        if left <= right:
            out[at] = left
            a_at += 1
            if left == right:
                b_at += 1
        else:
            out[at] = right
            b_at += 1
        at += 1
    while a_at < a_end:
        out[at] = a[a_at]
        a_at += 1
        at += 1
    while b_at < b_end:
        out[at] = b[b_at]
        b_at += 1
        at += 1
    return at


@kernel(i64(U32, I64, U32))
def union_in_place(arena, offsets, scratch):
    """Union of all lists, left in ``arena[:n]``; overwrites offsets; scratch is as large as the arena. Returns n."""
    n_runs = offsets.size - 1
    source, target = arena, scratch
    in_arena = True
    if n_runs == 0:
        return 0
    while n_runs > 1:
        at = np.int64(0)
        run = 0
        i = 0
        first = offsets[0]
        while i < n_runs:
            middle = offsets[i + 1]
            start = at
            if i + 1 < n_runs:
                last = offsets[i + 2]
                at = _merge(source, first, middle, source, middle, last, target, at)
                first = last
                i += 2
            else:
                for j in range(first, middle):
                    target[at] = source[j]
                    at += 1
                first = middle
                i += 1
            offsets[run] = start
            run += 1
        offsets[run] = at
        n_runs = run
        source, target = target, source
        in_arena = not in_arena
    n = offsets[1] - offsets[0]
    if not in_arena or offsets[0] > 0:
        for j in range(n):
            arena[j] = source[offsets[0] + j]
    return n


@inline
def _gallop(values, at, end, wanted):
    """First position in [at, end) whose value is not below ``wanted``; doubles its step, then bisects."""
    step = np.int64(1)
    low = at
    high = at
    while high < end and values[high] < wanted:
        low = high + 1
        high += step
        step <<= 1
    high = min(high, end)
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(i64(RU32, RU32, U32))
def intersect(small, large, out):
    """Elements of both; ``out`` may be ``small`` itself. Returns their number."""
    n = 0
    at = np.int64(0)
    for i in range(small.size):
        wanted = small[i]
        at = _gallop(large, at, np.int64(large.size), wanted)
        if at == large.size:
            break
        if large[at] == wanted:
            out[n] = wanted
            n += 1
    return n


@kernel(i64(RU32, RU32, U32))
def subtract(left, right, out):
    """Elements of left that right lacks; ``out`` may be ``left`` itself. Returns their number."""
    n = 0
    at = np.int64(0)
    for i in range(left.size):
        wanted = left[i]
        at = _gallop(right, at, np.int64(right.size), wanted)
        if at < right.size and right[at] == wanted:
            continue
        out[n] = wanted
        n += 1
    return n
