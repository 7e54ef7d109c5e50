# mypy: ignore-errors
"""Sums and averages of native histograms over groups of series: the state is a table and one of its compensations."""

from __future__ import annotations

import numpy as np
from numba import types

from athanor.kernel.compile import kernel
from athanor.kernel.types import I64, RI64, RU8, U8, i64
from athanor.promql.histogram_code_kernels import DEAD
from athanor.promql.histogram_math_kernels import add
from athanor.promql.histogram_mean_kernels import average_step
from athanor.promql.histogram_work_kernels import (
    BUILT,
    TABLE,
    add_compensations,
    compact,
    divide,
    emit,
    load,
    load_compensation,
    new_built,
    new_work,
)


@kernel(types.Tuple((BUILT, BUILT))(TABLE, TABLE, TABLE, RI64, RI64, i64, i64, i64, I64, I64, U8, I64, I64))
def merge_cells(
    state, compensations, t, slots, rows, is_average, room, n_bounds, state_rows, counts, modes, seen, told
):
    """Adds histograms t[rows[c]], ascending by slot, to the states of their slots; the new states.

    state_rows[slot]: its row in the state, -1 none; counts: histograms so far; modes: 1 an incremental mean, DEAD
    two kinds of buckets met; seen: bits of hints; told[c]: what `add` said.
    """
    w, o, backup = new_work(room, n_bounds), new_work(room, n_bounds), new_work(room, n_bounds)
    out, out_c = new_built(64, 1024), new_built(64, 1024)
    c = np.int64(0)
    for slot in range(state_rows.size):
        there = state_rows[slot] >= 0
        if not there and (c == slots.size or slots[c] != slot):
            continue
        if there:
            load(state, state_rows[slot], w)
            load_compensation(compensations, state_rows[slot], w)
        while c < slots.size and slots[c] == slot:
            seen[slot] |= np.int64(1) << np.int64(t.hint[rows[c]])
            if modes[slot] == DEAD:
                c += 1
                continue
            counts[slot] += 1
            if not there:
                load(t, rows[c], w)
                there = True
            else:
                load(t, rows[c], o)
                if is_average == 1:
                    told[c], mean = average_step(w, o, backup, np.float64(counts[slot]), modes[slot] == 1)
                    modes[slot] = 1 if mean else 0
                else:
                    told[c] = add(w, o, 1.0, True)
                if told[c] < 0:
                    modes[slot] = DEAD
            c += 1
        state_rows[slot] = -1
        if there and modes[slot] != DEAD:
            state_rows[slot] = out.n[0]
            out = emit(out, w, False)
            out_c = emit(out_c, w, True)
    return out, out_c


@kernel(BUILT(TABLE, TABLE, RI64, RI64, RU8, i64, i64, i64))
def finish_cells(state, compensations, state_rows, counts, modes, is_average, room, n_bounds):
    """One result for each slot that has a state, in order of slots."""
    w = new_work(room, n_bounds)
    out = new_built(64, 1024)
    for slot in range(state_rows.size):
        if state_rows[slot] < 0:
            continue
        load(state, state_rows[slot], w)
        load_compensation(compensations, state_rows[slot], w)
        if is_average == 1 and modes[slot] == 0:
            divide(w, np.float64(counts[slot]))
        add_compensations(w)
        compact(w)
        out = emit(out, w, False)
    return out
