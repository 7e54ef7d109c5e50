# mypy: ignore-errors
"""Chunks of one label set become one series: overlap split, counter resets, penalty deduplication.

The rules are Thanos' (pkg/query/iter.go, pkg/dedup/iter.go): a series' chunks, in order of (first, last) time, are
dealt to pseudo-series that do not overlap; each is read as a sequence (for counters with its resets removed); the
pseudo-series are folded from the left by a node that, at each sample, prefers the replica it is on and makes the
other one skip twice the last distance.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel, short_kernel
from athanor.kernel.types import F64, I32, I64, RF64, RI64, b1, f64, i64, void

MIN_TIME = np.int64(-(2**63))
FIRST_PENALTY_MS = 5000

# How sequences are read, bits of `mode`: counters lose their resets; replicas are lifted where one follows another;
# a NaN of this tag stands for the histogram of a number, which takes part in time only.
LOSES_RESETS, LIFTS, HAS_HISTOGRAMS = 1, 2, 4
HISTOGRAM_TAG = np.uint64(0x7FFC000000000000)
TAG_MASK = np.uint64(0xFFFC000000000000)


@short_kernel(i64(RI64, RI64, RI64))
def count_overlaps(chunk_starts, first_ms, last_ms):
    """How many series have chunks that overlap in time; series i owns chunks [chunk_starts[i], chunk_starts[i + 1])."""
    n = np.int64(0)
    for i in range(chunk_starts.size - 1):
        for c in range(chunk_starts[i] + 1, chunk_starts[i + 1]):
            if first_ms[c] <= last_ms[c - 1]:
                n += 1
                break
    return n


@short_kernel(i64(RF64, RI64))
def count_irregular(values, offsets):
    """How many series are no plain counters: a fall or a NaN somewhere."""
    n = np.int64(0)
    for i in range(offsets.size - 1):
        own = values[offsets[i] : offsets[i + 1]]
        after = own[1:]
        before = own[: after.size]
        regular = own.size == 0 or not np.isnan(own[0])
        for k in range(after.size):  # slices without a branch become vector code
            regular &= after[k] >= before[k]
        n += np.int64(not regular)
    return n


@kernel(i64(RI64, RI64, RI64, RF64, I64, F64, I64))
def take_sequences(rows, sample_at, ts, values, out_ts, out_values, out_offsets):
    """These sequences, one after the other; returns how many samples they have."""
    n = np.int64(0)
    out_offsets[0] = 0
    for i in range(rows.size):
        for k in range(sample_at[rows[i]], sample_at[rows[i] + 1]):
            out_ts[n] = ts[k]
            out_values[n] = values[k]
            n += 1
        out_offsets[i + 1] = n
    return n


@inline
def _append_sequence(ts, values, lo, hi, mode, low_ms, high_ms, out_ts, out_values, n, state_t, state_v, total, seen):
    """Continue one pseudo-series with a chunk's samples; returns the new n and the iterator's state.

    A downsampled counter ends with its last time once more and the value that the counter really had then.
    """
    for k in range(lo, hi):
        t = ts[k]
        v = values[k]
        if (mode & LOSES_RESETS) != 0:
            is_histogram = False
            if np.isnan(v):
                tag = np.float64(v).view(np.uint64) & TAG_MASK
                is_histogram = (mode & HAS_HISTOGRAMS) != 0 and tag == HISTOGRAM_TAG
                if not is_histogram:
                    continue
            if seen and t <= state_t:
                if t == state_t and not is_histogram:
                    state_v = v
                continue
            if not is_histogram:
                # Before the first float, state_v and total are 0: whatever it is, it becomes the total.
                if v < state_v:
                    total += v
                else:
                    total += v - state_v
                state_v = v
                v = total
        elif seen and t <= state_t:
            continue
        seen = True
        state_t = t
        if low_ms <= t <= high_ms:
            out_ts[n] = t
            out_values[n] = v
            n += 1
    return n, state_t, state_v, total, seen


@kernel(i64(RI64, RI64, RI64, RF64, i64, i64, i64, I64, F64, I64))
def join_sequences(chunk_starts, sample_at, ts, values, mode, low_ms, high_ms, out_ts, out_values, out_offsets):
    """Read each series' chunks one after the other, without a split: deduplication off, or nothing overlaps.

    sample_at: int64[chunks + 1]. Overlapping samples are skipped, the first chunk wins. Returns the samples written.
    """
    n = np.int64(0)
    out_offsets[0] = 0
    for i in range(chunk_starts.size - 1):
        state_t, state_v, total, seen = np.int64(0), 0.0, 0.0, False
        for c in range(chunk_starts[i], chunk_starts[i + 1]):
            n, state_t, state_v, total, seen = _append_sequence(
                ts,
                values,
                sample_at[c],
                sample_at[c + 1],
                mode,
                low_ms,
                high_ms,
                out_ts,
                out_values,
                n,
                state_t,
                state_v,
                total,
                seen,
            )
        out_offsets[i + 1] = n
    return n


@kernel(i64(i64, i64, RI64, RI64, I32, I64))
def split_overlaps(first_chunk, end_chunk, first_ms, last_ms, owner, ends):
    """Deal one series' chunks to pseudo-series: each to the first whose last chunk ended before it.

    owner[c - first_chunk]: the pseudo-series of chunk c; ends: scratch. Returns how many pseudo-series there are.
    """
    n = np.int64(0)
    for c in range(first_chunk, end_chunk):
        r = np.int64(0)
        while r < n and ends[r] >= first_ms[c]:
            r += 1
        if r == n:
            n += 1
        ends[r] = last_ms[c]
        owner[c - first_chunk] = r
    return n


# State of the fold. Leaf r reads ts/vs[position[r]:end[r]]; node m >= 1 has the children m - 1 (a node, or leaf 0)
# and leaf m. node[m, :] holds: LAST_T, PENALTY_A, PENALTY_B, USE_A, A_VALID, B_VALID, LEAF (whose sample the node
# shows).
LAST_T, PENALTY_A, PENALTY_B, USE_A, A_VALID, B_VALID, LEAF = range(7)
NODE_FIELDS = 7


@kernel(void(i64, f64, RF64, I64, F64, I64))
def _adjust(m, p, vs, position, error, node):
    """Lift the counters below a node to at least p: its leaf b, then down the chain of a; NaN compares false."""
    while m >= 1:
        base = m * NODE_FIELDS
        if node[base + B_VALID] == 1:
            v = vs[position[m]] + error[m]
            if p > v:
                error[m] += p - v
        if node[base + A_VALID] == 0 or np.isnan(vs[position[node[base - NODE_FIELDS + LEAF]]]):
            return
        m -= 1
    v = vs[position[0]] + error[0]
    if p > v:
        error[0] += p - v


@kernel(i64(i64, i64, i64, b1, RI64, RF64, I64, RI64, F64, I64))
def _advance(m, t, force, is_counter, ts, vs, position, end, error, node):
    """Seek(t) of child m (a node, or leaf 0), or Next() where force; 1 while it has a sample."""
    if m == 0:
        if position[0] < 0:
            position[0] = -position[0] - 1
        elif force == 1:
            position[0] += 1
        while force == 0 and position[0] < end[0] and ts[position[0]] < t:
            position[0] += 1
        return np.int64(1 if position[0] < end[0] else 0)
    base = m * NODE_FIELDS
    below = (m - 1) * NODE_FIELDS
    while True:
        if force == 0:
            side = node[below + LEAF] if node[base + USE_A] == 1 else m
            valid = node[base + A_VALID] if node[base + USE_A] == 1 else node[base + B_VALID]
            if valid == 1 and ts[position[side]] >= t:
                return np.int64(1)
        previous_use_a = node[base + USE_A]
        has_previous = (node[base + A_VALID] if previous_use_a == 1 else node[base + B_VALID]) == 1
        previous = 0.0
        if has_previous:
            leaf = node[base + LEAF]
            previous = vs[position[leaf]] + error[leaf]
        last_t = node[base + LAST_T]
        if node[base + A_VALID] == 1:
            node[base + A_VALID] = _advance(
                m - 1, last_t + 1 + node[base + PENALTY_A], np.int64(0), is_counter, ts, vs, position, end, error, node
            )
        if node[base + B_VALID] == 1:
            target = last_t + 1 + node[base + PENALTY_B]
            while position[m] < end[m] and ts[position[m]] < target:
                position[m] += 1
            node[base + B_VALID] = 1 if position[m] < end[m] else 0
        a_leaf = node[below + LEAF]
        if node[base + A_VALID] == 0:
            node[base + USE_A] = 0
            if node[base + B_VALID] == 0:
                return np.int64(0)
            node[base + LAST_T] = ts[position[m]]
            node[base + LEAF] = m
            node[base + PENALTY_B] = 0
        elif node[base + B_VALID] == 0:
            node[base + USE_A] = 1
            node[base + LAST_T] = ts[position[a_leaf]]
            node[base + LEAF] = a_leaf
            node[base + PENALTY_A] = 0
        else:
            ta = ts[position[a_leaf]]
            tb = ts[position[m]]
            a_wins = ta <= tb
            tw = ta if a_wins else tb
            penalty = 2 * (tw - last_t) if last_t != MIN_TIME else np.int64(FIRST_PENALTY_MS)
            node[base + USE_A] = 1 if a_wins else 0
            node[base + PENALTY_A] = 0 if a_wins else penalty
            node[base + PENALTY_B] = penalty if a_wins else 0
            node[base + LAST_T] = tw
            node[base + LEAF] = a_leaf if a_wins else m
        if is_counter and has_previous and node[base + USE_A] != previous_use_a:
            if node[base + A_VALID] == 1:
                if m == 1:
                    v = vs[position[0]] + error[0]
                    if previous > v:
                        error[0] += previous - v
                elif not np.isnan(vs[position[a_leaf]]):
                    _adjust(m - 1, previous, vs, position, error, node)
            if node[base + B_VALID] == 1:
                v = vs[position[m]] + error[m]
                if previous > v:
                    error[m] += previous - v
        if force == 1:
            return np.int64(1)


@inline
def _fold(n_leaves, is_counter, ts, vs, position, end, error, node, out_ts, out_values, n):
    """Emit the fold of leaves [position[r], end[r]) behind n samples; returns the new n."""
    for r in range(n_leaves):
        error[r] = 0.0
    # Leaf 0 is the only one that _advance moves as a child; position -p - 1 marks "before sample p".
    node[LEAF] = 0
    position[0] = -position[0] - 1
    valid = _advance(np.int64(0), np.int64(0), np.int64(1), is_counter, ts, vs, position, end, error, node)
    for m in range(1, n_leaves):
        base = m * NODE_FIELDS
        node[base + LAST_T] = MIN_TIME
        node[base + PENALTY_A] = 0
        node[base + PENALTY_B] = 0
        node[base + USE_A] = 1
        node[base + A_VALID] = valid
        node[base + B_VALID] = 1 if position[m] < end[m] else 0
        node[base + LEAF] = node[base - NODE_FIELDS + LEAF]
        if m < n_leaves - 1:
            valid = _advance(np.int64(m), np.int64(0), np.int64(1), is_counter, ts, vs, position, end, error, node)
    top = np.int64(n_leaves - 1)
    while _advance(top, np.int64(0), np.int64(1), is_counter, ts, vs, position, end, error, node) == 1:
        leaf = node[top * NODE_FIELDS + LEAF]
        out_ts[n] = ts[position[leaf]]
        v = vs[position[leaf]]
        # Adding even zero would turn the stale marker into another NaN.
        out_values[n] = v + error[leaf] if is_counter and not np.isnan(v) else v
        n += 1
    return n


@kernel(i64(RI64, RI64, RI64, RI64, RI64, RF64, i64, i64, i64, I32, I64, I64, I64, F64, I64, F64, I64, I64, F64, I64))
def deduplicate(
    chunk_starts, first_ms, last_ms, sample_at, ts, values, mode, low_ms, high_ms,
    owner, ends, position, end, error, leaf_ts, leaf_vs, node, out_ts, out_values, out_offsets,
):  # fmt: skip
    """Split, read and fold the chunks of every series; samples outside [low_ms, high_ms] are never seen.

    Scratch, for the longest series: owner, ends, position, end, error: chunks; node: 7 * chunks; leaf_ts, leaf_vs:
    samples. Returns the samples written; out_offsets: int64[series + 1].
    """
    n = np.int64(0)
    out_offsets[0] = 0
    for i in range(chunk_starts.size - 1):
        first_chunk, end_chunk = chunk_starts[i], chunk_starts[i + 1]
        n_leaves = split_overlaps(first_chunk, end_chunk, first_ms, last_ms, owner, ends)
        if n_leaves <= 1:
            state_t, state_v, total, seen = np.int64(0), 0.0, 0.0, False
            for c in range(first_chunk, end_chunk):
                n, state_t, state_v, total, seen = _append_sequence(
                    ts, values, sample_at[c], sample_at[c + 1], mode, low_ms, high_ms,
                    out_ts, out_values, n, state_t, state_v, total, seen,
                )  # fmt: skip
            out_offsets[i + 1] = n
            continue
        written = np.int64(0)
        for r in range(n_leaves):
            position[r] = written
            state_t, state_v, total, seen = np.int64(0), 0.0, 0.0, False
            for c in range(first_chunk, end_chunk):
                if owner[c - first_chunk] == r:
                    written, state_t, state_v, total, seen = _append_sequence(
                        ts, values, sample_at[c], sample_at[c + 1], mode, low_ms, high_ms,
                        leaf_ts, leaf_vs, written, state_t, state_v, total, seen,
                    )  # fmt: skip
            end[r] = written
        n = _fold(n_leaves, (mode & LIFTS) != 0, leaf_ts, leaf_vs, position, end, error, node, out_ts, out_values, n)
        out_offsets[i + 1] = n
    return n
