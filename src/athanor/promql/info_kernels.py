# mypy: ignore-errors
"""info(): the newest info series of each key at every step, and the combinations of them that a series meets."""

from __future__ import annotations

from athanor.kernel.compile import kernel
from athanor.kernel.types import I64, RI32, RI64, RU8, F64x2, I64x2, RF64x2, RI64x2, RU8x2, U8x2, i64, tup, void


@kernel(tup(i64, i64, i64)(RF64x2, RU8x2, RI32, RU8, I64x2))
def newest(times, kind, keys, wanted, winners):
    """winners[key, step]: the row with the newest time, or -1 (winners comes filled with it).

    Returns the earliest wanted step at which two rows of one key are equally new, and both rows; else -1.
    """
    first, second, clash = -1, -1, -1
    for i in range(kind.shape[0]):
        key = keys[i]
        for j in range(kind.shape[1]):
            if kind[i, j] == 0 or wanted[j] == 0:
                continue
            other = winners[key, j]
            if other < 0 or times[i, j] > times[other, j]:
                winners[key, j] = i
            elif times[i, j] == times[other, j] and (clash < 0 or j < clash):
                first, second, clash = other, i, j
    return clash, first, second


@kernel(i64(RU8x2, RI64x2, I64x2, I64, I64, I64x2, I64))
def combinations(kind, keys, winners, rep_rows, rep_steps, variant, seen):
    """variant[row, step]: the number of the combination of winners that the row meets there, -1 where it is absent.

    keys[row, m]: the row's key for info name m, or -1. Combination v is first met by row rep_rows[v] at step
    rep_steps[v]; they are written while there is room. Returns how many there are. seen: scratch for one row's steps.
    """
    count = 0
    n_names = keys.shape[1]
    for i in range(kind.shape[0]):
        n_seen = 0
        last = 0
        for j in range(kind.shape[1]):
            variant[i, j] = -1
            if kind[i, j] == 0:
                continue
            found = -1
            for turn in range(n_seen):
                v = (last + turn) % n_seen  # the one of the step before is the likely one
                same = True
                for m in range(n_names):
                    key = keys[i, m]
                    if key >= 0 and winners[key, seen[v]] != winners[key, j]:
                        same = False
                        break
                if same:
                    found = v
                    break
            if found < 0:
                found = n_seen
                seen[n_seen] = j
                if count + found < rep_rows.size:
                    rep_rows[count + found] = i
                    rep_steps[count + found] = j
                n_seen += 1
            last = found
            variant[i, j] = count + found
        count += n_seen
    return count


@kernel(void(RF64x2, RU8x2, RI64x2, RI64, F64x2, U8x2))
def split(values, kind, variant, new_rows, out, out_kind):
    """Cells to the row of their combination; new_rows[v] is -1 where it has none. The output comes filled with 0."""
    for i in range(kind.shape[0]):
        for j in range(kind.shape[1]):
            if kind[i, j] != 0:
                row = new_rows[variant[i, j]]
                if row >= 0:
                    out[row, j] = values[i, j]
                    out_kind[row, j] = kind[i, j]
