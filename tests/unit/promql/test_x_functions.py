"""xrate, xincrease and xdelta answer as a recorded Thanos does."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from athanor.model.budget import Budget
from athanor.model.errors import AthanorError
from athanor.model.select import Selection
from athanor.model.tables import HISTOGRAM, Samples, label_table
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.errors import ParseError, QueryError
from athanor.promql.features import Features
from tests.conformance.memory_storage import MemorySeries, MemoryStorage

GOLDEN = Path(__file__).parents[2] / "golden" / "xfunctions"
STALE = float(np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0])
RANGES = json.loads((GOLDEN / "range.json").read_text())
INSTANTS = json.loads((GOLDEN / "instant_and_errors.json").read_text())


def as_counter(samples: dict[int, float]) -> dict[int, float]:
    """What a querier reads for xrate and xincrease: no NaN, no stale markers, no resets."""
    result, total, last = {}, 0.0, -math.inf
    for t, value in samples.items():
        if not math.isnan(value):
            total += last if value < last else 0.0
            last, result[t] = value, value + total
    return result


class HistogramTile:
    """One native histogram sample; its contents are never looked at."""

    labels = label_table([[("__name__", "hist")]])
    n_samples_bound = 1

    def samples(self, workspace):
        kind = np.full(1, HISTOGRAM, np.uint8)
        return Samples(np.array([RANGES["T0"] + 590_000]), np.zeros(1), np.array([0, 1]), kind)

    def drop(self):
        """Nothing is accounted."""


class Querier:
    """Reads raw samples, or for counters what is left of them without resets."""

    def __init__(self) -> None:
        self._raw, self._counters = MemoryStorage(), MemoryStorage()
        words = {"STALE": STALE, "NaN": math.nan}
        for name, points in RANGES["input"].items():
            labels = {"__name__": name, "s": "1"}
            raw = {RANGES["T0"] + t: words.get(value, value) for t, value in points}
            key = tuple(sorted(labels.items()))
            self._raw._series[key] = MemorySeries(labels, raw)
            self._counters._series[key] = MemorySeries(labels, as_counter(raw))

    def select(self, selection: Selection, budget, context):
        if any(matcher.value == "hist" for matcher in selection.matchers):
            return iter([HistogramTile()])
        storage = self._counters if selection.hints.func in ("xrate", "xincrease") else self._raw
        return storage.select(selection, budget, context)


@pytest.fixture(scope="module")
def engine():
    engine = Engine(EngineOptions(features=Features(x_functions=True)))
    yield engine
    engine.close()


def equal(got: float, wanted: float) -> bool:
    return got == wanted or math.isclose(got, wanted, rel_tol=1e-12) or (math.isnan(got) and math.isnan(wanted))


@pytest.mark.parametrize("query", RANGES["results"])
def test_every_step_has_the_recorded_value_or_none(engine, query):
    first, last = RANGES["T0"] + RANGES["start"], RANGES["T0"] + RANGES["end"]
    wanted = RANGES["results"][query]
    with Budget(1 << 26) as budget:
        block = engine.range(Querier(), query, first, last, RANGES["step"], budget=budget).block
        if not any(value is not None for value in wanted):
            assert len(block.labels) == 0
            return
        assert block.labels.pairs(0) == [("s", "1")]
        there = [value is not None for value in wanted]
        assert block.kind[0].astype(bool).tolist() == there
        pairs = zip(block.values[0].tolist(), wanted, there, strict=True)
        assert [(g, w) for g, w, is_there in pairs if is_there and not equal(g, w)] == []


@pytest.mark.parametrize("case", INSTANTS, ids=lambda case: f"{case['query']} at {case['time']}")
def test_instant_queries_answer_or_fail_as_recorded(engine, case):
    at_ms = round(case["time"] * 1000)
    with Budget(1 << 26) as budget:
        if "error" in case:
            with pytest.raises((QueryError, ParseError)) as caught:
                engine.instant(Querier(), case["query"], at_ms, budget=budget)
            assert str(caught.value) == case["error"]
            return
        block = engine.instant(Querier(), case["query"], at_ms, budget=budget).block
        values = [float(value) for value in case["values"]]
        assert len(values) == len(block.labels)
        assert all(equal(g, w) for g, w in zip(block.values[:, 0].tolist(), values, strict=True))


def test_without_the_switch_they_do_not_exist():
    engine = Engine()
    with Budget(1 << 20) as budget, pytest.raises(AthanorError, match='unknown function with name "xrate"'):
        engine.instant(Querier(), "xrate(gauge[5m])", RANGES["T0"], budget=budget)
    engine.close()
