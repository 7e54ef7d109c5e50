# mypy: ignore-errors
"""Loops of the ordered merge: merge sorted runs of label sets, group equal sets, join the chunks of a group.

Chunk rows are columns as in ``ChunkTable``; consecutive rows of one owner with equal times and rising aggregate are the
sub-chunks of one aggregate chunk.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, short_kernel
from athanor.kernel.label_kernels import compare_labels
from athanor.kernel.types import I32, I64, RI32, RI64, RU8, RU64, i64, void


@inline
def _less_or_equal(arena, offsets, a, b):
    return compare_labels(arena, offsets[a], offsets[a + 1], arena, offsets[b], offsets[b + 1]) <= 0


@short_kernel(i64(RU8, RI64))
def first_descent(arena, offsets):
    """The first row that is smaller than the row before it, or -1: equal neighbours are fine."""
    for i in range(1, offsets.size - 1):
        if not _less_or_equal(arena, offsets, i - 1, i):
            return np.int64(i)
    return np.int64(-1)


@short_kernel(i64(RU8, RI64, i64, RU8, i64, i64))
def rows_below(arena, offsets, start, bound_arena, bound_at, bound_end):
    """The first row from ``start`` on that is not smaller than the bound; rows are sorted."""
    low = start
    high = np.int64(offsets.size - 1)
    while low < high:
        middle = (low + high) >> 1
        if compare_labels(arena, offsets[middle], offsets[middle + 1], bound_arena, bound_at, bound_end) < 0:
            low = middle + 1
        else:
            high = middle
    return low


@short_kernel(void(RU8, RI64, I64, I64, I64))
def merge_runs(arena, offsets, runs, order, scratch):
    """Merge sorted runs of rows, earlier runs first among equals.

    runs: int64[r+1], where each run begins in ``order`` and the end; used up. order: rows on entry, sorted rows on
    exit.
    """
    n_runs = runs.size - 1
    while n_runs > 1:
        out_runs = 0
        for r in range(0, n_runs, 2):
            start = runs[r]
            middle = runs[r + 1]
            end = runs[r + 2] if r + 1 < n_runs else middle
            i, j = start, middle
            if i < middle and j < end and _less_or_equal(arena, offsets, order[middle - 1], order[middle]):
                for k in range(start, end):
                    scratch[k] = order[k]
            else:
                for k in range(start, end):
                    if i < middle and (j >= end or _less_or_equal(arena, offsets, order[i], order[j])):
                        scratch[k] = order[i]
                        i += 1
                    else:
                        scratch[k] = order[j]
                        j += 1
            runs[out_runs] = start
            out_runs += 1
        runs[out_runs] = runs[n_runs]
        n_runs = out_runs
        order[:] = scratch


@short_kernel(i64(RU8, RI64, RI64, I64))
def group_rows(arena, offsets, order, group_start):
    """Where groups of equal sets begin in the sorted rows: int64[g+1] is filled, g returned; room for n + 1."""
    groups = 0
    for i in range(order.size):
        row = order[i]
        size = offsets[row + 1] - offsets[row]
        same = False
        if i > 0:
            other = order[i - 1]
            same = offsets[other + 1] - offsets[other] == size
            k = 0
            while same and k < size:
                same = arena[offsets[other] + k] == arena[offsets[row] + k]
                k += 1
        if not same:
            group_start[groups] = i
            groups += 1
    group_start[groups] = order.size
    return np.int64(groups)


@inline
def _same_aggregate(i, first_ms, last_ms, aggregate):
    """Whether row i, of the same owner as row i - 1, belongs to the same aggregate chunk."""
    return aggregate[i] > aggregate[i - 1] and first_ms[i] == first_ms[i - 1] and last_ms[i] == last_ms[i - 1]


@short_kernel(i64(RI32, RI64, RI64, RU8, RU8))
def first_overlap(series, first_ms, last_ms, encoding, aggregate):
    """The first chunk row that is empty or begins before the series' chunk before it has ended, or -1.

    Where there is none the chunks are already in order, and no two can be identical unless their times lie.
    """
    for i in range(series.size):
        if encoding[i] == 0:
            return np.int64(i)
        if (
            i > 0
            and series[i] == series[i - 1]
            and not _same_aggregate(i, first_ms, last_ms, aggregate)
            and first_ms[i] <= last_ms[i - 1]
        ):
            return np.int64(i)
    return np.int64(-1)


@inline
def _data_order(arena, a_at, a_size, b_at, b_size):
    for i in range(min(a_size, b_size)):
        x = arena[a_at + i]
        y = arena[b_at + i]
        if x != y:
            return -1 if x < y else 1
    if a_size == b_size:
        return 0
    return -1 if a_size < b_size else 1


@inline
def _chunk_order(a, a_end, b, b_end, first_ms, last_ms, encoding, aggregate, at, size, arena):
    """Order of two aggregate chunks: times, then each kind in turn: present first, encoding, *bigger* data first."""
    if first_ms[a] != first_ms[b]:
        return -1 if first_ms[a] < first_ms[b] else 1
    if last_ms[a] != last_ms[b]:
        return -1 if last_ms[a] < last_ms[b] else 1
    while a < a_end and b < b_end:
        if aggregate[a] != aggregate[b]:
            return -1 if aggregate[a] < aggregate[b] else 1
        if encoding[a] != encoding[b]:
            return -1 if encoding[a] < encoding[b] else 1
        order = _data_order(arena, at[a], size[a], at[b], size[b])
        if order != 0:
            return -order
        a += 1
        b += 1
    if a < a_end:
        return -1
    return 1 if b < b_end else 0


@inline
def _is_new(digest, slots, stamps, stamp):
    """Whether a hash was not yet seen under this stamp; it is remembered."""
    mask = np.uint64(slots.size - 1)
    slot = np.int64((digest * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask)
    while stamps[slot] == stamp:
        if slots[slot] == digest:
            return False
        slot = np.int64(np.uint64(slot + 1) & mask)
    stamps[slot] = stamp
    slots[slot] = digest
    return True


@inline
def _keep_new(start, end, aggregate, hashes, slots, stamps, stamp):
    """Whether an aggregate chunk has a sub-chunk that was not seen: asked in the order raw, count, max, min, sum,
    counter."""
    for turn in range(6):
        wanted = 4 if turn == 2 else (2 if turn == 4 else turn)
        for i in range(start, end):
            if aggregate[i] == wanted and _is_new(hashes[i], slots, stamps, stamp):
                return True
    return False


@short_kernel(i64(RI64, RI64, RI64, RI64, RI64, RU8, RU8, RU64, RI64, RI64, RU8, I64, I32))
def join_chunks(
    order, group_start, starts, first_ms, last_ms, encoding, aggregate, hashes, at, size, arena, rows, owner
):  # fmt: skip
    """Chunk rows of every group, identical chunks once, in the order in which Thanos' proxy sends them.

    order: series rows sorted by labels; group_start: int64[g+1]; starts: int64[n+1], the first chunk row of each
    series row. hashes: xxhash64 of every row's data, none unknown. rows, owner: out, room for all chunk rows. Returns
    how many rows.
    """
    longest = np.int64(1)
    for g in range(group_start.size - 1):
        n = np.int64(0)
        for i in range(group_start[g], group_start[g + 1]):
            n += starts[order[i] + 1] - starts[order[i]]
        longest = max(longest, n)
    room = np.int64(4)
    while room < 2 * longest:
        room *= 2
    slots = np.zeros(room, np.uint64)
    stamps = np.full(room, -1, np.int64)
    kept = np.empty(longest, np.int64)
    kept_end = np.empty(longest, np.int64)
    turn = np.empty(longest, np.int64)
    scratch = np.empty(longest, np.int64)
    used = np.int64(0)
    for g in range(group_start.size - 1):
        n = 0
        for i in range(group_start[g], group_start[g + 1]):
            row = starts[order[i]]
            stop = starts[order[i] + 1]
            while row < stop:
                after = row + 1
                while after < stop and _same_aggregate(after, first_ms, last_ms, aggregate):
                    after += 1
                if encoding[row] != 0 and _keep_new(row, after, aggregate, hashes, slots, stamps, g):
                    kept[n] = row
                    kept_end[n] = after
                    n += 1
                row = after
        if n == 0:
            for row in range(starts[order[group_start[g]]], starts[order[group_start[g]] + 1]):
                rows[used] = row
                owner[used] = g
                used += 1
            continue
        for i in range(n):
            turn[i] = i
        width = 1
        while width < n:
            start = 0
            while start < n:
                middle = min(start + width, n)
                end = min(start + 2 * width, n)
                i, j = start, middle
                for k in range(start, end):
                    left = i < middle
                    if left and j < end:
                        a, b = turn[i], turn[j]
                        left = (
                            _chunk_order(
                                kept[a], kept_end[a], kept[b], kept_end[b],
                                first_ms, last_ms, encoding, aggregate, at, size, arena,
                            ) <= 0
                        )  # fmt: skip
                    if left:
                        scratch[k] = turn[i]
                        i += 1
                    else:
                        scratch[k] = turn[j]
                        j += 1
                start = end
            for k in range(n):
                turn[k] = scratch[k]
            width *= 2
        for i in range(n):
            for row in range(kept[turn[i]], kept_end[turn[i]]):
                rows[used] = row
                owner[used] = g
                used += 1
    return used
