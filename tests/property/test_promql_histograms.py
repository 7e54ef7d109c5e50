"""Tables of native histograms against plain ones (``plain_histogram``), several rows and layouts in each call."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.tables import HistogramLayouts, Histograms, StepBlock, StepGrid, label_table
from athanor.promql.function_call import FunctionCall
from athanor.promql.histogram_code_kernels import INCOMPATIBLE
from athanor.promql.histogram_functions import histogram_statistic, native_fractions, native_quantiles, trimmed
from athanor.promql.histograms import added, bucket_lists, concat, scaled, take
from athanor.promql.notes import Notes
from tests.property import plain_histogram as plain
from tests.property.plain_histogram import CUSTOM, NOTHING, Plain

# Whole numbers, so that sums are exact in any order; thresholds at powers of two and inside of buckets.
counts = st.integers(0, 1000).map(float)
sides = st.dictionaries(st.integers(-6, 9), counts, max_size=5)
thresholds = st.sampled_from([NOTHING, Fraction(-2), Fraction(0), Fraction(1), math.log2(0.75), math.log2(3.0)])
SETTINGS = settings(max_examples=300, deadline=None)


@st.composite
def exponential(draw, *, zeros=True):
    positive, negative = draw(sides), draw(sides)
    schema, zero, zero_count = draw(st.integers(-2, 3)), NOTHING, 0.0
    if zeros:
        zero, zero_count = draw(thresholds), draw(counts)
        beyond = Plain(schema, positive, negative)
        # No bucket lies below the threshold, as in every histogram that an instrumented program makes.
        positive, negative = (
            {i: n for i, n in side.items() if plain.bound(i - 1, schema) >= zero}
            for side in (beyond.positive, beyond.negative)
        )
    total = sum(positive.values()) + sum(negative.values()) + zero_count
    return Plain(schema, positive, negative, zero, zero_count, total, float(draw(st.integers(-9999, 9999))))


@st.composite
def custom(draw):
    bounds = tuple(sorted(draw(st.sets(st.sampled_from([-3.0, -1.0, 0.5, 1.0, 2.0, 5.0, 10.0]), min_size=1))))
    positive = draw(st.dictionaries(st.integers(0, len(bounds)), counts, max_size=5))
    total = float(draw(st.integers(-9999, 9999)))
    return Plain(CUSTOM, positive, count=sum(positive.values()), sum=total, bounds=bounds)


any_histogram = exponential() | custom()


def table_of(rows: list[Plain]) -> Histograms:
    """One table, a layout for each row."""
    return concat([_one(h) for h in rows])


def _one(h: Plain) -> Histograms:
    positive, negative = sorted(h.positive.items()), sorted(h.negative.items())
    both = [*positive, *negative]
    layouts = HistogramLayouts(
        np.array([h.schema], np.int32), np.array([h.threshold]), np.array([i for i, _ in both], np.int32),
        np.array([0, len(both)]), np.array([len(positive)]), np.array(h.bounds, np.float64),
        np.array([0, len(h.bounds)]),
    )  # fmt: skip
    return Histograms(
        layouts, np.zeros(1, np.int32), np.zeros(1, np.uint8), np.array([h.count]), np.array([h.sum]),
        np.array([h.zero_count]), np.zeros(1, np.int64), np.array([n for _, n in both], np.float64),
    )  # fmt: skip


def row(table: Histograms, at: int) -> tuple:
    """What a row holds; empty buckets do not count."""
    a, layout = table.layouts, int(table.layout[at])
    first, middle, end = int(a.pos_at[layout]), int(a.neg_at[layout]), int(a.pos_at[layout + 1])
    start = int(table.bucket_at[at])
    cells = dict(zip(range(first, end), table.buckets[start : start + end - first].tolist(), strict=True))
    positive, negative = (
        {int(a.index[k]): cells[k] for k in span if cells[k]} for span in (range(first, middle), range(middle, end))
    )
    bounds = tuple(a.bounds[int(a.bounds_at[layout]) : int(a.bounds_at[layout + 1])].tolist())
    numbers = table.count[at], table.sum[at], table.zero_count[at]
    return int(a.schema[layout]), positive, negative, *map(float, numbers), bounds


def expected_row(h: Plain) -> tuple:
    return h.schema, *h.populated(), h.count, h.sum, h.zero_count, h.bounds


def block_of(rows: list[Plain]) -> StepBlock:
    """Each histogram a series of its own, at one step."""
    n = len(rows)
    labels = label_table([[("i", str(i))] for i in range(n)])
    values, kind = np.arange(n, dtype=np.float64)[:, None], np.full((n, 1), 2, np.uint8)
    return StepBlock(StepGrid(0, 1000, 1), values, kind, labels, np.zeros(n, np.bool_), table_of(rows))


def close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


@given(st.lists(st.tuples(any_histogram, any_histogram), min_size=1, max_size=5), st.sampled_from([1.0, -1.0]))
@SETTINGS
def test_sums_and_differences(pairs, sign):
    n = len(pairs)
    left, right = (table_of([pair[k] for pair in pairs]) for k in (0, 1))
    table, told = added(left, np.arange(n), right, np.arange(n), sign)
    for i, (a, b) in enumerate(pairs):
        expected = plain.plus(a, b, sign)
        if expected is None:
            assert told[i] == INCOMPATIBLE
            continue
        assert told[i] >= 0
        assert row(table, i) == expected_row(expected)
        assert close(float(table.layouts.zero_threshold[table.layout[i]]), expected.threshold)


@given(st.lists(any_histogram, min_size=1, max_size=5), st.data())
@SETTINGS
def test_choices_and_multiples(rows, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    at = np.array(chosen, np.int64)
    table = table_of(rows)
    taken = take(table, at)
    assert [row(taken, i) for i in range(at.size)] == [expected_row(rows[k]) for k in chosen]
    factors = [2.0 ** data.draw(st.integers(-3, 3)) for _ in chosen]
    for divides in (False, True):
        found = scaled(table, at, np.array(factors), divides=divides)
        for i, (k, factor) in enumerate(zip(chosen, factors, strict=True)):
            times = 1 / factor if divides else factor
            schema, positive, negative, *numbers, bounds = expected_row(rows[k])
            sides = ({i: n * times for i, n in side.items()} for side in (positive, negative))
            assert row(found, i) == (schema, *sides, *(x * times for x in numbers), bounds)


@given(st.lists(any_histogram, min_size=1, max_size=5))
@SETTINGS
def test_buckets_ascend_with_their_bounds(rows):
    at, lower, upper, count, _ = bucket_lists(table_of(rows), np.arange(len(rows)))
    for i, h in enumerate(rows):
        span = slice(int(at[i]), int(at[i + 1]))
        found = list(zip(lower[span].tolist(), upper[span].tolist(), count[span].tolist(), strict=True))
        expected = plain.buckets(h)
        assert len(found) == len(expected)
        for (low, high, n), b in zip(found, expected, strict=True):
            assert close(low, b.lower) and close(high, b.upper) and n == b.count


@given(st.lists(any_histogram, min_size=1, max_size=5), st.floats(-0.1, 1.1))
@SETTINGS
def test_quantiles(rows, q):
    values, kind, _ = native_quantiles(block_of(rows), np.array([q]))
    assert kind.all()
    for i, h in enumerate(rows):
        assert close(float(values[i, 0]), plain.quantile(h, q)), (h, q)


@given(st.lists(exponential(), min_size=1, max_size=5), st.floats(-20, 20), st.floats(-20, 20))
@SETTINGS
def test_fractions(rows, lower, upper):
    values, _, _ = native_fractions(block_of(rows), np.array([lower]), np.array([upper]))
    for i, h in enumerate(rows):
        assert close(float(values[i, 0]), plain.fraction(h, lower, upper)), (h, lower, upper)


@given(st.lists(any_histogram.filter(lambda h: h.count > 0), min_size=1, max_size=5))
@SETTINGS
def test_variances(rows):
    source = block_of(rows)
    call = FunctionCall("histogram_stdvar", source.grid, (source,), (), (), Notes(), 0, (0,))
    found = histogram_statistic(call)
    for i, h in enumerate(rows):
        reaches_infinity = any(math.isinf(b.lower) or math.isinf(b.upper) for b in plain.buckets(h))
        if not reaches_infinity:
            assert close(float(found.values[i, 0]), plain.variance(h)), h


@given(st.lists(exponential(zeros=False), min_size=1, max_size=5), st.floats(-20, 20).filter(lambda x: abs(x) > 1e-3))
@SETTINGS
def test_trims_to_values_below(rows, limit):
    n = len(rows)
    table = trimmed(table_of(rows), np.arange(n), np.full(n, limit), keeps_below=True)
    at, _, upper, count, _ = bucket_lists(table, np.arange(n))
    for i, h in enumerate(rows):
        span = slice(int(at[i]), int(at[i + 1]))
        found, expected = list(zip(upper[span].tolist(), count[span].tolist(), strict=True)), plain.kept_below(h, limit)
        assert len(found) == len(expected)
        for (high, m), (expected_high, expected_m) in zip(found, expected, strict=True):
            assert close(high, expected_high) and close(m, expected_m)
        assert close(float(table.count[i]), sum(m for _, m in expected))


