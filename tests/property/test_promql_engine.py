"""An answer's bytes depend on the data alone: not on tiles, threads, or which copy of a part was evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.budget import Budget
from athanor.promql import rows
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from tests.conformance.memory_storage import MemoryStorage
from tests.conformance.script import Load, Series

QUERIES = [
    "sum by (job) (rate(c_total[5m]))",
    "avg without (i) (c_total)",
    "stddev by (job) (deriv(c_total[10m]))",
    "quantile by (job) (0.7, c_total)",
    "topk(2, c_total)",
    "c_total / on (i) c_total",
    "sum(c_total) - sum(c_total offset 3m)",
    "max_over_time(sum by (job) (rate(c_total[3m]))[10m:1m])",
    "c_total > 5",
    "sum(c_total @ end())",
    'count_values by (job) ("v", round(c_total))',
    "-c_total + 1",
]
ENGINES = {n: Engine(EngineOptions(features=Features.all()), n_threads=n) for n in (1, 3)}

values = st.lists(
    st.one_of(st.floats(-1e9, 1e9), st.sampled_from([1e300, -1e300, 0.1, float("inf"), float("nan")]), st.none()),
    min_size=1,
    max_size=40,
)


def load(many: list[list[float | None]]) -> tuple[Series, ...]:
    return tuple(Series({"__name__": "c_total", "job": "ab"[i % 2], "i": str(i)}, list(v)) for i, v in enumerate(many))


def answer(engine: Engine, storage: MemoryStorage, query: str) -> tuple[bytes, bytes, bytes]:
    with Budget(1 << 30) as budget:
        block = engine.range(storage, query, 0, 1_200_000, 60_000, budget=budget).block
        assert block is not None
        present = np.where(block.kind != 0, block.values.view(np.uint64), np.uint64(0))
        return present.tobytes(), block.kind.tobytes(), block.labels.arena.tobytes()


@pytest.fixture(scope="module", autouse=True)
def tiles_in_threads() -> Iterator[None]:
    """Also small tiles go to worker threads, as large ones do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "INLINE_SAMPLES", 0)
        yield


@pytest.mark.parametrize("query", QUERIES)
@settings(max_examples=15)
@given(many=st.lists(values, min_size=1, max_size=9))
def test_tiles_and_threads_never_change_a_byte(query, many):
    answers = set()
    for n_threads, tile_size in ((1, 1), (3, 2), (3, 100)):
        storage = MemoryStorage(tile_size)
        storage.load(Load(1, 30_000, load(many)))
        answers.add(answer(ENGINES[n_threads], storage, query))
    assert len(answers) == 1


def test_everything_that_a_query_reserved_is_given_back():
    storage = MemoryStorage(1)
    storage.load(Load(1, 30_000, load([[1.0] * 30, [2.0] * 30])))
    process = Budget(1 << 30)
    for query in QUERIES:
        with Budget(1 << 20, parent=process) as budget:
            ENGINES[3].range(storage, query, 0, 600_000, 60_000, budget=budget)
        assert process.held_bytes == 0
    assert process.peak_bytes > 0
