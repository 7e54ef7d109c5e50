"""Start times of samples: the switch, the function, the warning; ranges with values at both ends."""

from __future__ import annotations

import pytest

from athanor.model.budget import Budget
from athanor.model.errors import AthanorError
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from tests.conformance.memory_storage import MemoryStorage
from tests.conformance.script import Load, parse_script

OPTIONS = EngineOptions(features=Features.all(), use_start_timestamps=True)


@pytest.fixture(scope="module")
def engine():
    engine = Engine(OPTIONS)
    yield engine
    engine.close()


def stored(gap: str, *lines: str) -> MemoryStorage:
    storage = MemoryStorage()
    for command in parse_script("\n".join((f"load {gap}", *lines))):
        assert isinstance(command, Load)
        storage.load(command)
    return storage


def ask(engine, storage, query, at_s, options=None):
    with Budget(1 << 24) as budget:
        return engine.instant(storage, query, at_s * 1000, budget=budget, options=options)


RESTARTED = stored("1m", "c_total@st 0 -30s -1s -1s", "c_total 1 2 3 4")


def test_start_timestamp_is_in_seconds_zero_where_unknown_and_gone_without_the_switch(engine):
    storage = stored("10s", "m@st _ 1ms _ -3s", "m 5 6 _ 7", "n 1 1 1 1")
    assert ask(engine, storage, "start_timestamp(m)", 10).block.values.tolist() == [[10.001]]
    assert ask(engine, storage, "start_timestamp((m))", 25).block.values.tolist() == [[10.001]]
    assert ask(engine, storage, "start_timestamp(m @ 35)", 0).block.values.tolist() == [[27.0]]
    assert ask(engine, storage, "start_timestamp(n)", 10).block.values.tolist() == [[0.0]]
    assert len(ask(engine, storage, "start_timestamp(m + 0)", 10).block.labels) == 0
    off = EngineOptions(features=Features.all())
    assert len(ask(engine, storage, "start_timestamp(m)", 10, off).block.labels) == 0


def test_without_the_switch_start_times_change_nothing(engine):
    off = EngineOptions(features=Features.all())
    assert ask(engine, RESTARTED, "resets(c_total[5m])", 180).block.values.tolist() == [[3.0]]
    assert ask(engine, RESTARTED, "resets(c_total[5m])", 180, off).block.values.tolist() == [[0.0]]
    assert ask(engine, RESTARTED, "delta(c_total[5m])", 180).block.values.tolist() == [[3.0 * (180 + 30) / 180]]


def test_overlaps_of_a_metric_are_counted_in_one_warning(engine):
    lines = [line for i in "ab" for line in (f'c_total{{i="{i}"}}@st _ _ -2m -2m', f'c_total{{i="{i}"}} 1 2 3 4')]
    words = 'PromQL warning: sample has start time that overlaps with previous sample timestamp for metric "c_total"'
    both = ask(engine, stored("1m", *lines), "increase(c_total[4m])", 180)
    assert both.warnings == [f"{words} (2 occurrences) (1:10)"]
    one = ask(engine, stored("1m", *lines), 'increase(c_total{i="a"}[4m])', 180)
    assert one.warnings == [f"{words} (1:10)"]
    assert ask(engine, stored("1m", *lines), "irate(c_total[4m])", 180).warnings == []


def points(result):
    return dict(zip(result.samples.ts_ms.tolist(), result.samples.values.tolist(), strict=True))


def test_a_range_with_a_modifier_is_answered_with_a_value_at_both_ends(engine):
    storage = stored("10s", "m 1 2 4 8 16")
    assert points(ask(engine, storage, "m[20s] anchored", 35)) == {15_000: 2.0, 20_000: 4.0, 30_000: 8.0, 35_000: 8.0}
    assert points(ask(engine, storage, "m[20s] smoothed", 35)) == {15_000: 3.0, 20_000: 4.0, 30_000: 8.0, 35_000: 12.0}
    assert points(ask(engine, storage, "m[20s] anchored", 30)) == {10_000: 2.0, 20_000: 4.0, 30_000: 8.0}
    assert points(ask(engine, storage, "m[20s] smoothed", 5)) == {-15_000: 1.0, 0: 1.0, 5_000: 1.5}
    assert points(ask(engine, storage, "m[20s] anchored", 100)) == {}


def test_absent_over_time_names_itself_where_a_modifier_has_no_meaning(engine):
    with pytest.raises(AthanorError, match="not with absent_over_time"):
        ask(engine, stored("10s", "m 1"), "absent_over_time(m[1m] anchored)", 10)
