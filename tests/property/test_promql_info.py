"""info() against a plain reference that joins one step at a time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.budget import Budget
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.errors import QueryError
from athanor.promql.features import Features
from tests.conformance.memory_storage import MemorySeries, MemoryStorage

LOOKBACK, STEP, N = 25, 10, 6
ENGINE = Engine(EngineOptions(lookback_ms=LOOKBACK, features=Features(experimental_functions=True)), n_threads=1)
QUERIES = {
    "info(m)": (["target_info"], None, True),
    'info(m, {__name__=~".+_info"})': (["build_info", "target_info"], None, True),
    'info(m, {__name__=~".+_info", x=~".+"})': (["build_info", "target_info"], ("x", ".+"), False),
    'info(m, {__name__!="build_info", y=~".*"})': (["target_info"], ("y", ".*"), True),
}

times = st.sets(st.integers(0, 55), min_size=1, max_size=4)
word = st.sampled_from(["", "1", "2"])
base_sets = st.fixed_dictionaries({"instance": word, "job": word, "x": word, "z": word})
info_sets = st.fixed_dictionaries(
    {"__name__": st.sampled_from(["target_info", "build_info"]), "instance": word, "job": word, "x": word, "y": word}
)


def without_empty(labels):
    return {name: value for name, value in labels.items() if value}


def identity(item):
    return tuple(sorted(without_empty(item[0]).items()))


def latest(points, t):
    return max((at for at in points if t - LOOKBACK < at <= t), default=None)


def reference(base, infos, query):
    """Rows of (labels, step) -> value, or the error's first words."""
    names, data, keeps = QUERIES[query]
    # A series without a sample at any step is not in the vector, and its identity selects nothing.
    steps = range(0, N * STEP, STEP)
    present = [labels for labels, points in base if any(latest(points, t) is not None for t in steps)]
    known = {k: {labels.get(k) for labels in present} - {None} for k in ("instance", "job")}
    chosen = [
        (labels, points)
        for labels, points in sorted(infos, key=lambda item: sorted(item[0].items()))
        if labels["__name__"] in names
        and (known["instance"] or known["job"])
        and all(not values or labels.get(k) in values for k, values in known.items())
        and (data is None or re.fullmatch(data[1], labels.get(data[0], "")))
    ]
    rows: dict = {}
    for t in range(0, N * STEP, STEP):
        if not any(latest(points, t) is not None for _, points in base):
            continue
        newest: dict = {}
        for labels, points in chosen:
            at = latest(points, t)
            if at is None:
                continue
            key = labels["__name__"], labels.get("instance"), labels.get("job")
            if key in newest and newest[key][0] == at:
                return "found duplicate series for info metric"
            if key not in newest or newest[key][0] < at:
                newest[key] = at, labels
        for labels, points in base:
            at = latest(points, t)
            if at is None:
                continue
            found = [newest.get((name, labels.get("instance"), labels.get("job"))) for name in names]
            found = [labels_ for _, labels_ in filter(None, found)]
            added: dict = {}
            for info in found:
                for name, value in info.items():
                    if name == "__name__" or name in labels or (data and name != data[0]):
                        continue
                    if added.setdefault(name, value) != value:
                        return "conflicting label"
            if not found and not keeps:
                continue
            key = tuple(sorted({**labels, **added}.items())), t
            if key in rows:
                return "vector cannot contain"
            rows[key] = points[at]
    return rows


@pytest.mark.parametrize("query", QUERIES)
@settings(max_examples=150, deadline=None)
@given(
    bases=st.lists(st.tuples(base_sets, times), min_size=1, max_size=4, unique_by=identity),
    infos=st.lists(st.tuples(info_sets, times), max_size=6, unique_by=identity),
    tile_size=st.integers(1, 3),
)
def test_info_equals_its_reference_at_every_step(query, bases, infos, tile_size):
    base = [
        (without_empty({"__name__": "m", **labels}), {t: float(i * 100 + t) for t in at})
        for i, (labels, at) in enumerate(bases)
    ]
    known = [(without_empty(labels), dict.fromkeys(at, 1.0)) for labels, at in infos]
    storage = MemoryStorage(tile_size)
    for labels, points in (*base, *known):
        storage._series[tuple(sorted(labels.items()))] = MemorySeries(labels, points)
    wanted = reference(base, known, query)
    with Budget(1 << 26) as budget:
        if isinstance(wanted, str):
            # Of several errors the one that is met first wins, which is not always the reference's.
            with pytest.raises(QueryError):
                ENGINE.range(storage, query, 0, (N - 1) * STEP, STEP, budget=budget)
            return
        block = ENGINE.range(storage, query, 0, (N - 1) * STEP, STEP, budget=budget).block
    got = {}
    for row in range(len(block.labels)):
        for j in range(N):
            if block.kind[row, j]:
                got[tuple(block.labels.pairs(row)), j * STEP] = float(block.values[row, j])
    assert got == wanted
