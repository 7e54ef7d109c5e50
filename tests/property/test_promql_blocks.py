"""Series whose labels became equal, against a plain reference: one series where they never meet, else an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.model.tables import StepGrid, label_table
from athanor.promql import blocks
from athanor.promql.errors import QueryError

N_STEPS = 4
cell = st.one_of(st.none(), st.sampled_from([1.0, -0.0, float("nan"), 7.5]))
row = st.tuples(st.sampled_from("abc"), st.lists(cell, min_size=N_STEPS, max_size=N_STEPS))


def bits(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


@given(rows=st.lists(row, max_size=7))
def test_equal_series_become_one_unless_they_meet_at_a_step(rows):
    values = np.array([[0.0 if v is None else v for v in cells] for _, cells in rows]).reshape(len(rows), N_STEPS)
    kind = np.array([[v is not None for v in cells] for _, cells in rows], np.uint8).reshape(len(rows), N_STEPS)
    source = blocks.block(StepGrid(0, 1, N_STEPS), label_table([[("n", name)] for name, _ in rows]), values, kind)

    expected: dict[str, dict[int, int]] = {}
    meets = False
    for name, cells in rows:
        known = expected.setdefault(name, {})
        for step, value in enumerate(cells):
            if value is not None:
                meets |= step in known
                known[step] = bits(value)
    if meets:
        with pytest.raises(QueryError, match="same labelset"):
            blocks.merge_equal(source)
        return
    merged = blocks.merge_equal(source)
    assert {
        dict(merged.labels.pairs(i))["n"]: {j: bits(merged.values[i, j]) for j in range(N_STEPS) if merged.kind[i, j]}
        for i in range(len(merged.labels))
    } == expected
