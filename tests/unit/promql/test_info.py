"""info(): texts of its errors, what stays as it is, where it looks."""

from __future__ import annotations

import numpy as np
import pytest

from athanor.model.budget import Budget
from athanor.model.errors import AthanorError
from athanor.model.tables import HISTOGRAM, StepGrid, label_table
from athanor.promql.blocks import block
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from athanor.promql.info import info_matchers, info_selector, read_times, reference
from athanor.promql.parser import parse
from athanor.promql.rows import InstantRead
from tests.conformance.memory_storage import MemoryStorage
from tests.conformance.script import Load, parse_script

FEATURES = Features(experimental_functions=True)


@pytest.fixture(scope="module")
def engine():
    engine = Engine(EngineOptions(features=FEATURES))
    yield engine
    engine.close()


def stored(*lines: str) -> MemoryStorage:
    storage = MemoryStorage()
    for command in parse_script("\n".join(("load 1m", *lines))):
        assert isinstance(command, Load)
        storage.load(command)
    return storage


def ask(engine, storage, query, at_s=120):
    with Budget(1 << 24) as budget:
        result = engine.instant(storage, query, at_s * 1000, budget=budget).block
        return {tuple(result.labels.pairs(i)): float(result.values[i, 0]) for i in range(len(result.labels))}


def test_two_info_series_of_the_same_age_are_an_error_with_both_and_the_time(engine):
    storage = stored('m{job="1"} 1 2 3', 'target_info{job="1", x="a"} 1 1', 'target_info{job="1", x="b"} 1 1')
    with pytest.raises(AthanorError) as caught:
        ask(engine, storage, "info(m)")
    assert str(caught.value) == (
        'found duplicate series for info metric: existing {__name__="target_info", job="1", x="a"} @ 60000, '
        'new {__name__="target_info", job="1", x="b"} @ 60000'
    )


def test_series_that_are_info_metrics_themselves_stay_as_they_are(engine):
    storage = stored('target_info{job="1", x="a"} 1 1 1', 'build_info{job="1", y="b"} 1 1 1')
    assert ask(engine, storage, 'info(build_info, {__name__=~".+_info"})') == {
        (("__name__", "build_info"), ("job", "1"), ("y", "b")): 1.0
    }
    assert ask(engine, storage, "info(build_info)") == {
        (("__name__", "build_info"), ("job", "1"), ("x", "a"), ("y", "b")): 1.0
    }


def test_a_label_without_values_is_not_asked_for_and_no_values_at_all_ask_for_nothing():
    selector = info_selector(parse('info(m, {x="y"})', FEATURES))
    matchers = info_matchers(label_table([[("instance", "a.b")], [("instance", "c")]]), selector)
    assert matchers is not None
    assert [f"{m.name}{m.type.value}{m.value}" for m in matchers] == [
        "instance=~a\\.b|c", "__name__=target_info", "x=y",
    ]  # fmt: skip
    assert info_matchers(label_table([[("x", "y")]]), selector) is None


def test_conditions_on_the_name_that_only_exclude_leave_names_that_end_in_info():
    selector = info_selector(parse('info(m, {__name__!="target_info"})', FEATURES))
    assert [(m.type.value, m.value) for m in selector.names] == [("!=", "target_info"), ("=~", ".+_info")]


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("m", (None, 0)),
        ("m offset 2m", (None, 120_000)),
        ("m @ 60 offset 2m", (60_000, 120_000)),
        ("rate(m[5m] offset 1m)", (None, 60_000)),
        ("last_over_time(m[5m:1m] offset 6m)", (None, 360_000)),
        ("last_over_time((m offset 1m)[10m:1m] @ 180)", (180_000, 60_000)),
        ("last_over_time(last_over_time((m offset 1m)[5m:] @ 60 offset 2m)[5m:] offset 4m)", (60_000, 180_000)),
        ("last_over_time((m @ 60)[10m:1m] offset 6m)", (60_000, 0)),
        ("vector(1)", (None, 0)),
    ],
)
def test_info_series_are_looked_for_where_the_first_selector_looks(query, at):
    assert reference(parse(query, FEATURES)) == at


def test_an_info_sample_that_is_a_histogram_is_an_error(monkeypatch):
    def with_histogram(self, table, samples, workspace, notes):
        kind = np.full((1, 1), HISTOGRAM, np.uint8)
        return block(self.grid, table, np.zeros((1, 1)), kind)

    class Samples:
        kind = np.ones(1, np.uint8)

    monkeypatch.setattr(InstantRead, "__call__", with_histogram)
    read = InstantRead(StepGrid(0, 0, 1), 0, 0, 300_000, "time")
    table = label_table([[("__name__", "h"), ("job", "1")]])
    with pytest.raises(AthanorError) as caught:
        read_times(read, table, Samples(), None, None)
    assert str(caught.value) == 'this should be an info metric, with float samples: {__name__="h", job="1"}'
