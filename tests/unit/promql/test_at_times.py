"""Where the original reads `@` at another time: subqueries whose first step is that of what is around them.

The answers were seen on Prometheus 3.14. A script of promtool shows the same.
"""

from __future__ import annotations

import pytest

from athanor.model.budget import Budget
from athanor.promql.engine import Engine
from tests.conformance.memory_storage import MemoryStorage

from .some_series import loaded

AT_MS = 1_800_000


@pytest.fixture(scope="module")
def storage() -> MemoryStorage:
    """A sample every 30 s, its value the time."""
    return loaded(["x 0+30x120"], tile_size=5, every="30s")


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("last_over_time((x @ 1200)[2m:1m])", 1200),
        ("last_over_time((x @ 1200)[2m:1m] offset 1m)", 1200),
        ("last_over_time((x @ 1200)[2m:1m] offset -30s)", 1200),
        ("last_over_time((x @ 1200)[2m:1m] offset -2m)", 1200),
        # Its steps begin at 1800, as the query does.
        ("last_over_time((x @ 1200)[2m:1m] offset -1m)", 1140),
        ("last_over_time((x @ 1200 offset 30s)[2m:1m] offset -1m)", 1110),
        ("last_over_time((x @ 1200)[5m:2m] offset -3m)", 1020),
        ("timestamp((x @ 1200))", 1200),
        ("last_over_time((timestamp(x @ 1200))[2m:1m] offset -1m)", 1200),
        # With an @ of its own: the offset is that to the time which it names.
        ("last_over_time((x @ 1200)[2m:1m] offset -2m @ 1740)", 1140),
        ("last_over_time((x @ 1200)[2m:1m] @ 1740)", 1200),
        # The steps of the inner one move, the window over them does not: 1 of 4 is left.
        ("last_over_time((count_over_time(x[4m:1m] @ 1800))[5m:2m] offset -3m)", 1),
        ("last_over_time((count_over_time(x[4m:1m] @ 1800))[5m:2m])", 4),
    ],
)
def test_what_is_read(storage: MemoryStorage, query: str, value: float) -> None:
    engine = Engine(n_threads=1)
    try:
        with Budget(1 << 30) as budget:
            block = engine.instant(storage, query, AT_MS, budget=budget).block
            assert block is not None
            assert block.values.tolist() == [[value]]
    finally:
        engine.close()
