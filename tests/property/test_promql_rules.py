"""No rule of the planner changes an answer: random queries over two shifted, gappy replicas, each rule on and off."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from athanor.model.budget import Budget
from athanor.model.errors import AthanorError
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from athanor.promql.rules import Rules
from athanor.query.json_result import result_pieces
from athanor.store.service import services
from tests.property.replicas import ReplicaStore, shifted_replicas, storage_of
from tests.unit.query.conftest import LocalStore, open_gateway

FIRST_MS, LAST_MS, STEP_MS = 600_000, 3_000_000, 150_000
OFF = Rules(shared_reads=False, matchers=False, projection=False)
SEEDS = range(6)
ONE_REPLICA = (4, 5)  # of these seeds only the first one is there


@pytest.fixture(scope="module")
def engine():
    made = Engine(n_threads=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def data() -> dict[int, list[ReplicaStore]]:
    return {seed: shifted_replicas(seed)[: 1 if seed in ONE_REPLICA else 2] for seed in SEEDS}


@dataclass(frozen=True)
class Steps:
    first_ms: int = FIRST_MS
    last_ms: int = LAST_MS
    step_ms: int = STEP_MS


def answer(
    engine: Engine, stores: Sequence[Any], query: str, rules: Rules, is_range: bool = True, steps: Steps = Steps()
) -> object:
    """The answer's bytes and its annotations, or its error."""
    options = EngineOptions(features=Features.all(), rules=rules)
    process = Budget(1 << 30)
    try:
        with Budget(1 << 28, parent=process) as budget:
            if is_range:
                times = steps.first_ms, steps.last_ms, steps.step_ms
                found = engine.range(storage_of(stores), query, *times, budget=budget, options=options)
            else:
                found = engine.instant(storage_of(stores), query, steps.last_ms, budget=budget, options=options)
            return found.type, b"".join(result_pieces(found, None)), found.warnings, found.infos
    except AthanorError as error:
        return type(error).__name__, str(error)
    finally:
        assert process.held_bytes == 0


NAMES = st.sampled_from(["c_total", "c_total", "d_total", "g"])
CONDITIONS = st.lists(
    st.sampled_from(
        ['job="a"', 'job="b"', 'job=~"a|c"', 'i!="3"', 'code="500"', 'code!=""', 'code=""', 'i=~"[0-3]"',
         'replica="x"', 'job!~"b.*"', '__name__=~"c.*|g"']
    ),
    max_size=2, unique=True,
)  # fmt: skip
SHIFTS = st.sampled_from(["", "", "", " offset 1m", " offset 7m", " offset -2m", " @ 1800", " @ end()"])
RANGES = st.sampled_from(["2m", "5m", "5m", "12m"])
WINDOWS = st.sampled_from(
    ["rate", "increase", "irate", "resets", "changes", "delta", "max_over_time", "min_over_time", "count_over_time",
     "sum_over_time", "last_over_time", "absent_over_time", "present_over_time", "deriv", "stddev_over_time"]
)  # fmt: skip
MAPS = st.sampled_from(["{}", "{}", "abs({})", "-{}", "{} + 1", "{} > 2", "{} > bool 0", "timestamp({})", "ceil({})"])
REDUCTIONS = st.sampled_from(["sum", "avg", "count", "min", "max", "stddev", "group", "topk", "quantile", "absent"])
GROUPINGS = st.sampled_from(["", "by (job)", "by (job, code)", "by (i)", "without (i)", "without (code)"])
OPERATORS = st.sampled_from(["+", "-", "*", "/", ">", "== bool", "and", "or", "unless", "%"])
MATCHINGS = st.sampled_from(
    ["", "", "on (job)", "on (job, i)", "on (i)", "on (i, code)", "ignoring (code)", "ignoring (i)", "on ()",
     "on (job) group_left ()", "on (i) group_right (code)", "on (__name__, i)"]
)  # fmt: skip


@st.composite
def leaves(draw: st.DrawFn) -> str:
    selector = f"{draw(NAMES)}{{{','.join(draw(CONDITIONS))}}}"
    shift = draw(SHIFTS)
    inner = selector + shift if draw(st.booleans()) else f"{draw(WINDOWS)}({selector}[{draw(RANGES)}]{shift})"
    return draw(MAPS).format(inner)


@st.composite
def vectors(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.sampled_from(["leaf", "reduced", "reduced", "joined", "joined", "subquery"])) if depth else "leaf"
    if kind == "leaf":
        return draw(leaves())
    inner = draw(vectors(depth=depth - 1))
    if kind == "reduced":
        op = draw(REDUCTIONS)
        if op == "absent":
            return f"absent({inner})"
        parameter = {"topk": "2, ", "quantile": "0.4, "}.get(op, "")
        return f"{op} {draw(GROUPINGS)} ({parameter}{inner})"
    if kind == "subquery":
        return f"{draw(st.sampled_from(['max', 'sum', 'last']))}_over_time(({inner})[6m:2m])"
    op, matching = draw(OPERATORS), draw(MATCHINGS)
    if op in ("and", "or", "unless"):
        matching = matching.split(" group_")[0]
    return f"({inner}) {op} {matching} ({draw(vectors(depth=depth - 1))})"


@st.composite
def pairs(draw: st.DrawFn) -> str:
    """Two parts that are likely to read the same series."""
    name, conditions = draw(NAMES), draw(CONDITIONS)
    sides = []
    reduces = draw(st.booleans())
    for _ in range(2):
        own = sorted({*conditions, *(draw(CONDITIONS)[:1] if draw(st.booleans()) else [])})
        selector, shift = f"{name}{{{','.join(own)}}}", draw(SHIFTS)
        window = draw(st.sampled_from(["", "rate({})", "rate({})", "increase({})", "delta({})", "max_over_time({})"]))
        inner = window.format(f"{selector}[{draw(RANGES)}]{shift}") if window else selector + shift
        inner = draw(MAPS).format(inner)
        op = draw(st.sampled_from(["sum", "count", "avg", "max"]))
        sides.append(f"{op} {draw(GROUPINGS)} ({inner})" if reduces else f"({inner})")
    return f"{sides[0]} {draw(st.sampled_from(['/', '-', 'or', '+ on (job, i)']))} {sides[1]}"


RATIO = 'sum by (job) (rate(c_total{code="500"}[5m])) / sum by (job) (rate(c_total[5m]))'
SHARING = Rules(shared_reads=True, matchers=False, projection=False)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(query=st.one_of(pairs(), pairs(), vectors()), seed=st.sampled_from(SEEDS), is_range=st.booleans())
@example(query=RATIO, seed=0, is_range=True)
@example(query="c_total - c_total offset 1m", seed=1, is_range=True)
@example(query="sum(rate(c_total[5m])) / count(rate(c_total[5m]))", seed=1, is_range=True)
@example(query="g - g offset 7m", seed=4, is_range=True)
@example(query="sum by (job) (rate(c_total[5m])) / sum by (job) (rate(c_total[12m]))", seed=2, is_range=True)
@example(query="sum(increase(g[2m])) / sum(delta(g{job='a'}[5m]))", seed=2, is_range=True)
@example(query="sum(rate(g[5m])) / sum(rate(g{code='500'}[5m]))", seed=2, is_range=True)
@example(query="sum(c_total{replica='x'}) - sum(c_total)", seed=3, is_range=True)
def test_reading_together_changes_no_answer(engine, data, query, seed, is_range):
    apart = answer(engine, data[seed], query, OFF, is_range)
    assert answer(engine, data[seed], query, SHARING, is_range) == apart


MATCHERS = Rules(shared_reads=False, matchers=True, projection=False)


SIDES = st.sampled_from(
    ["{}", "{}", "{}", "last_over_time({}[5m])", "rate({}[5m])", "abs({})", "({} > 1)", "-{}", "timestamp({})",
     "count by (job, code) ({})", "group without (i) ({})", "sum by (job) ({})", "count by (i, job) ({})", "count({})",
     "topk by (job) (1, {})", "max_over_time({}[4m:2m])", "({} and on (job) d_total{{i='1'}})",
     "(g{{job='b'}} unless on (i) {})", "({} * on (job) group_left () sum by (job) (g{{job='a'}}))"]
)  # fmt: skip


@st.composite
def joins(draw: st.DrawFn) -> str:
    """Two sides, of which either may have conditions that the other has not."""
    left, right = (draw(SIDES).format(f"{draw(NAMES)}{{{','.join(draw(CONDITIONS))}}}") for _ in range(2))
    op, matching = draw(OPERATORS), draw(MATCHINGS)
    if op in ("and", "or", "unless"):
        matching = matching.split(" group_")[0]
    return f"{left} {op} {matching} {right}"


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(query=st.one_of(joins(), joins(), vectors()), seed=st.sampled_from(SEEDS), is_range=st.booleans())
@example(query="c_total{job='a'} / on (i) d_total", seed=0, is_range=True)
@example(query="c_total{job='a'} and on (job) {__name__=~'c.*|g'}", seed=0, is_range=False)
@example(query="c_total{code='500'} * on (job, i) group_right () count by (job) (rate(g[5m]))", seed=1, is_range=True)
@example(query="c_total{replica='x'} - d_total", seed=1, is_range=True)
@example(query="c_total{job='a'} / on (job) group_left () g", seed=0, is_range=True)
@example(query="c_total{job='a'} + on (job) group_left () sum by (job) (rate(g[5m]))", seed=0, is_range=True)
@example(query="c_total{code='500'} unless g", seed=2, is_range=True)
@example(query="c_total{job='a'} == bool ignoring (job) d_total", seed=2, is_range=True)
@example(query="c_total unless on (job) d_total{job='a'}", seed=0, is_range=True)
@example(query="c_total{job='a'} or c_total", seed=0, is_range=True)
@example(query="d_total and sum by (job, i) (c_total{code='500'})", seed=0, is_range=True)
@example(query="c_total{code='500'} and on (code) rate(g{i='0'}[5m])", seed=0, is_range=True)
@example(query="c_total{i='1'} + fill (0) d_total", seed=0, is_range=True)
def test_conditions_of_the_other_side_change_no_answer(engine, data, query, seed, is_range):
    plain = answer(engine, data[seed], query, OFF, is_range)
    assert answer(engine, data[seed], query, MATCHERS, is_range) == plain


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(query=st.one_of(joins(), pairs(), vectors()), seed=st.sampled_from(SEEDS))
def test_all_rules_together_change_no_answer(engine, data, query, seed):
    assert answer(engine, data[seed], query, Rules()) == answer(engine, data[seed], query, OFF)


@st.composite
def repeated(draw: st.DrawFn) -> str:
    """A query in which a part stands twice, and once more written otherwise."""
    part = draw(st.one_of(leaves(), vectors(depth=1)))
    second = draw(st.sampled_from([f"({part})", f" ( ( {part} ) )", f"sum by (job) ({part})"]))
    return f"({part}) {draw(OPERATORS)} {second} {draw(st.sampled_from(['+', 'or', 'unless']))} abs(({part}))"


def placeless(found: object) -> object:
    """Without the places of annotations, which our API does not show."""
    if not isinstance(found, tuple) or len(found) != 4:
        return found
    return *found[:2], *([PLACE.sub("", text) for text in texts] for texts in found[2:])


PLACE = re.compile(r" \(\d+:\d+\)$")


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(query=st.one_of(repeated(), repeated(), vectors()), seed=st.sampled_from(SEEDS), is_range=st.booleans())
@example(query="rate(g[5m]) / rate( g{} [300s])", seed=0, is_range=True)
@example(query="sum(c_total) + count(c_total) + avg(c_total @ end())", seed=0, is_range=True)
def test_what_is_evaluated_once_is_answered_as_if_twice(engine, data, query, seed, is_range):
    none = Rules(equal_parts=False, shared_reads=False, matchers=False, projection=False)
    apart = placeless(answer(engine, data[seed], query, none, is_range))
    assert placeless(answer(engine, data[seed], query, OFF, is_range)) == apart
    assert placeless(answer(engine, data[seed], query, Rules(), is_range)) == apart


# ---- stores that leave out labels: they answer in another order, so that sums differ in their last digits

PROJECTION = Rules(shared_reads=False, matchers=False, projection=True)
GROUPED = st.sampled_from(
    ["sum by (job) ({})", "avg by (job) ({})", "max by (code) ({})", "count({})", "quantile by (i) (0.4, {})",
     "count_values by (job) ('v', {})", "stddev by (job) ({})", "sum without (i) ({})", "topk by (job) (1, {})",
     "sum by (job) (max by (job, i) ({}))", "max(topk by (job) (2, {}))", "sum by (job) (1 - {})", "sum by (i) (-{})",
     "sum by (job) ({} * on (i) g)", "sum by (job) (max_over_time({}[6m:2m]))"]
)  # fmt: skip


@pytest.fixture(scope="module")
def projecting(data: dict[int, list[ReplicaStore]]) -> dict[int, list[ReplicaStore]]:
    return {
        seed: [ReplicaStore(store.facts.address, store.series_of, projects=True) for store in stores]
        for seed, stores in data.items()
    }


def rounded(found: object) -> object:
    """Numbers to 11 digits, series by their labels: what is grouped comes in the order in which it was met. Of an error
    the kind alone: its text may name the first series of some."""
    assert isinstance(found, tuple)
    if len(found) != 4:
        return found[0]
    text = NUMBER.sub(lambda m: f',"{float(m[1]):.10e}"', found[1].decode())
    entries = json.loads(text)
    series = entries and isinstance(entries[0], dict)
    return found[0], sorted(entries, key=lambda one: sorted(one["metric"].items())) if series else entries, *found[2:]


NUMBER = re.compile(r',"(-?[0-9][^"]*)"(?=\])')


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    query=st.one_of(st.builds(str.format, GROUPED, leaves()), vectors()), seed=st.sampled_from(SEEDS),
    is_range=st.booleans(),
)  # fmt: skip
@example(query="sum by (job) (rate(c_total[5m]))", seed=0, is_range=True)
@example(query="sum by (job) (rate({__name__=~'c.*|d.*'}[5m]))", seed=0, is_range=True)
@example(query="count by (i) (g{replica='x'} > 0)", seed=1, is_range=True)
@example(query="sum by (job) (rate(c_total[5m])) / sum by (job) (rate(d_total[5m]))", seed=2, is_range=True)
def test_labels_that_are_left_out_change_no_answer(engine, data, projecting, query, seed, is_range):
    whole = answer(engine, data[seed], query, OFF, is_range)
    assert rounded(answer(engine, projecting[seed], query, PROJECTION, is_range)) == rounded(whole)
    mixed = [projecting[seed][0], *data[seed][1:]]
    assert rounded(answer(engine, mixed, query, PROJECTION, is_range)) == rounded(whole)


def test_stores_that_can_leave_out_labels_are_asked_to(engine, data, projecting):
    stores = [ReplicaStore(store.facts.address, store.series_of, projects=True) for store in data[0]]
    answer(engine, stores, "sum by (job) (rate(c_total[5m]))", PROJECTION)
    assert [store.projected for store in stores] == [[("__name__", "__type__", "__unit__", "job")]] * 2
    answer(engine, stores, "sum by (job) (rate(c_total[5m]))", OFF)
    assert [len(store.projected) for store in stores] == [1, 1]


# ---- native histograms: two recorded replicas, with floats among them, gauges and custom buckets

GOLDEN = Path(__file__).parents[1] / "golden/histograms/blocks"
T0_MS = 1_700_006_400_000
NATIVE_STEPS = Steps(T0_MS + 300_000, T0_MS + 1_200_000, 60_000)
NATIVE_NAMES = st.sampled_from(["nh_int", "nh_int", "nh_mix", "nh_mix", "nh_gauge", "nh_custom", "f_total", "nh_flt"])
NATIVE_CONDITIONS = st.sampled_from(["", "", 'inst="a"', 'inst="b"', 'g="x"', 'inst=~"a|b",g="x"'])
NATIVE_PARTS = st.sampled_from(
    ["sum({})", "avg by (inst) ({})", "count by (g) ({})", "max({})", "{}", "{}", "histogram_count({})", "abs({})",
     "group by (inst) ({})", "histogram_count(sum by (inst) ({}))", "{} * 2"]
)  # fmt: skip
NATIVE_WINDOWS = st.sampled_from(
    ["rate", "increase", "irate", "delta", "sum_over_time", "avg_over_time", "count_over_time", "max_over_time",
     "last_over_time", "resets", "changes"]
)  # fmt: skip


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> list[LocalStore]:
    stores = []
    for block in sorted(GOLDEN.iterdir()):
        place = tmp_path_factory.mktemp(block.name)
        shutil.copytree(block, place / "bucket" / block.name)
        gateway = open_gateway(place / "bucket", place / "store")
        stores.append(LocalStore(services(gateway, lambda: -(2**62), lambda: 2**62)))
    assert len(stores) > 1
    return stores


@st.composite
def native_queries(draw: st.DrawFn) -> str:
    name, sides = draw(NATIVE_NAMES), []
    for _ in range(2):
        selector = f"{name}{{{draw(NATIVE_CONDITIONS)}}}"
        shift = draw(st.sampled_from(["", "", " offset 1m", " offset 5m"]))
        if draw(st.booleans()):
            inner = f"{draw(NATIVE_WINDOWS)}({selector}[{draw(RANGES)}]{shift})"
        else:
            inner = selector + shift
        sides.append(draw(NATIVE_PARTS).format(inner))
        name = draw(st.sampled_from([name, name, "nh_int"]))
    matching = draw(st.sampled_from(["", "", "on (inst)", "on ()"]))
    return f"{sides[0]} {draw(st.sampled_from(['-', '+', '/', 'and', 'unless', 'or']))} {matching} {sides[1]}"


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(query=native_queries(), is_range=st.booleans())
@example(query="sum(rate(nh_mix[5m])) - sum(rate(nh_mix{inst='a'}[5m]))", is_range=True)
@example(query="nh_int - nh_int offset 5m", is_range=True)
@example(query="nh_int{inst='a'} and sum_over_time(nh_mix[5m])", is_range=True)
@example(query="f_total{inst='a'} and on (inst) count by (inst) (nh_mix)", is_range=True)
@example(query="f_total{inst='a'} and on (inst) sum by (inst) (nh_mix)", is_range=True)
def test_histograms_are_answered_as_without_the_rules(engine, native, query, is_range):
    plain = answer(engine, native, query, OFF, is_range, NATIVE_STEPS)
    for rules in (SHARING, MATCHERS, Rules()):
        assert answer(engine, native, query, rules, is_range, NATIVE_STEPS) == plain
