"""Native histograms as tables: arithmetic, resets, quantiles, fractions, trims, texts; numbers by hand."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from athanor.model.tables import HISTOGRAM, STALE_NAN_BITS, HistogramLayouts, Histograms, Samples
from athanor.promql import histogram_code_kernels as codes
from athanor.promql import histogram_function_kernels as functions
from athanor.promql import histogram_window_kernels as windows
from athanor.promql.histogram_code_kernels import COLLISION, INCOMPATIBLE, RECONCILED
from athanor.promql.histogram_functions import trimmed
from athanor.promql.histogram_windows import statistics_only
from athanor.promql.histogram_work_kernels import FRACTIONS
from athanor.promql.histograms import added, concat, equal, kernel_table, room, scaled, take, texts

FIRST = np.zeros(1, np.int64)
UNKNOWN, RESET, NOT_RESET, GAUGE = range(4)
STALE = float(np.uint64(STALE_NAN_BITS).view(np.float64))


def one(
    positive: dict[int, float],
    *,
    schema: int = 0,
    count: float = 0.0,
    total: float = 0.0,
    zero: float = 0.0,
    threshold: float = 0.0,
    negative: dict[int, float] | None = None,
    bounds: tuple[float, ...] = (),
    hint: int = UNKNOWN,
) -> Histograms:
    negative = negative or {}
    layouts = HistogramLayouts(
        np.array([schema], np.int32), np.array([threshold]), np.array([*positive, *negative], np.int32),
        np.array([0, len(positive) + len(negative)]), np.array([len(positive)]), np.array(bounds, np.float64),
        np.array([0, len(bounds)]),
    )  # fmt: skip
    return Histograms(
        layouts, np.zeros(1, np.int32), np.array([hint], np.uint8), np.array([count]), np.array([total]),
        np.array([zero]), FIRST.copy(), np.array([*positive.values(), *negative.values()], np.float64),
    )  # fmt: skip


def text(h: Histograms, row: int = 0) -> str:
    return texts(h, np.array([row]))[0]


def plus(a: Histograms, b: Histograms, sign: float = 1.0) -> tuple[Histograms, int]:
    table, told = added(a, FIRST, b, FIRST, sign)
    return table, int(told[0])


def has_reset(before: Histograms, after: Histograms) -> bool:
    t = kernel_table(concat([before, after]))
    out = np.zeros(2, np.bool_)
    times = np.array([1, 2])
    windows.mark_resets(t, times, np.zeros(2, np.int64), np.arange(2), np.array([0, 2]), *room(t), out)
    return bool(out[1])


def quantile(h: Histograms, q: float) -> tuple[float, int]:
    t, out, notes = kernel_table(h), np.empty(1), np.empty(1, np.uint8)
    functions.quantiles(t, FIRST, np.array([q], np.float64), *room(t), out, notes)
    return float(out[0]), int(notes[0])


def fraction(h: Histograms, low: float, high: float) -> float:
    t, out, notes = kernel_table(h), np.empty(1), np.empty(1, np.uint8)
    functions.fractions(t, FIRST, np.array([low], np.float64), np.array([high], np.float64), *room(t), out, notes)
    return float(out[0])


def test_bounds_come_from_the_table_of_the_original() -> None:
    digest = hashlib.sha256(FRACTIONS.astype("<f8").tobytes()).hexdigest()
    assert digest == "9de5914e4bc19f96dd1f461efa1b8f3fd6bfe80297b3a5a46302dac8a388c730"
    assert FRACTIONS[128] == 0.7071067811865475


def test_a_histogram_prints_its_populated_buckets_from_the_lowest_up() -> None:
    h = one({0: 21, 1: 0}, count=210, total=420, zero=42, threshold=0.001, negative={1: 3})
    assert text(h) == "{count:210, sum:420, [-2,-1):3, [-0.001,0.001]:42, (0.5,1]:21}"


def test_the_finer_side_of_a_sum_is_reduced_to_the_coarser_schema() -> None:
    # Schema 1: buckets 1 and 2 together are bucket 1 of schema 0, bucket 3 is half of bucket 2.
    total, told = plus(one({1: 4, 2: 5}, schema=0, count=9), one({1: 1, 2: 2, 3: 7}, schema=1, count=10))
    assert told == 0
    assert text(total) == "{count:19, sum:0, (1,2]:7, (2,4]:12}"


def test_buckets_that_only_one_side_has_are_put_in_place() -> None:
    total, _ = plus(one({2: 1, 5: 1}, count=2), one({-1: 3, 2: 1, 4: 2}, count=6))
    assert text(total) == "{count:8, sum:0, (0.25,0.5]:3, (2,4]:2, (8,16]:2, (16,32]:1}"


def test_a_wider_zero_bucket_swallows_the_buckets_of_the_other_side() -> None:
    narrow = one({-1: 2, 1: 3}, count=6, zero=1, threshold=0.1)
    wide = one({1: 1}, count=5, zero=4, threshold=0.5)
    total, _ = plus(narrow, wide)
    assert text(total) == "{count:11, sum:0, [-0.5,0.5]:7, (1,2]:4}"


def test_a_zero_bucket_that_ends_inside_a_populated_bucket_grows_to_its_end() -> None:
    total, _ = plus(one({0: 2}, count=2, threshold=0.1), one({}, count=1, zero=1, threshold=0.75))
    assert text(total) == "{count:3, sum:0, [-1,1]:3}"


def test_a_difference_is_a_gauge_and_loses_empty_buckets() -> None:
    left, _ = plus(one({1: 4, 2: 5}, count=9), one({1: 4, 2: 2}, count=6), -1.0)
    assert text(left) == "{count:3, sum:0, (2,4]:3}"
    assert left.hint.tolist() == [GAUGE]


def test_custom_buckets_meet_at_their_common_bounds() -> None:
    a = one({0: 1, 1: 2, 2: 3}, schema=-53, bounds=(1, 2), count=6)
    b = one({0: 10, 1: 20}, schema=-53, bounds=(2,), count=30)
    total, told = plus(a, b)
    assert told == RECONCILED
    assert text(total) == "{count:36, sum:0, [-Inf,2]:13, (2,+Inf]:23}"


def test_custom_and_exponential_buckets_do_not_add_up() -> None:
    assert plus(one({0: 1}, schema=-53, bounds=(1,)), one({0: 1}))[1] == INCOMPATIBLE


def test_hints_that_contradict_each_other_are_told() -> None:
    total, told = plus(one({1: 1}, hint=RESET), one({1: 1}, hint=NOT_RESET))
    assert told == COLLISION
    assert total.hint.tolist() == [UNKNOWN]


def test_a_product_scales_every_count_and_a_negative_factor_makes_a_gauge() -> None:
    h = scaled(one({1: 2}, count=3, total=4, zero=1, threshold=0.5), FIRST, np.array([-2.0]))
    assert text(h).startswith("{count:-6, sum:-8, ")
    assert h.hint.tolist() == [GAUGE]


def test_division_by_zero_leaves_no_buckets() -> None:
    h = scaled(one({1: 2}, count=3, total=4), FIRST, np.array([0.0]), divides=True)
    assert h.layouts.index.size == 0
    assert h.count.tolist() == [math.inf]
    assert math.isnan(h.zero_count[0])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (one({1: 1, 2: 2}, count=3), one({1: 1, 2: 3}, count=4), False),
        (one({1: 1, 2: 2}, count=3), one({1: 4}, count=4), True),
        (one({1: 3}, count=3), one({1: 2, 2: 4}, count=6), True),
        (one({1: 3}, count=3), one({1: 2}, count=2), True),
        (one({1: 3}, count=3), one({1: 1}, count=1, hint=NOT_RESET), False),
        (one({1: 3}, count=3), one({1: 9}, count=9, hint=RESET), True),
        (one({1: 1, 2: 1}, schema=1, count=2), one({1: 2}, schema=0, count=2), False),
        (one({1: 2}, schema=0, count=2), one({1: 1, 2: 1}, schema=1, count=2), True),
        (one({-3: 1}, count=1), one({}, count=1, zero=1, threshold=0.5), False),
        (one({0: 1}, count=1), one({}, count=1, zero=1, threshold=0.75), True),
        (one({0: 1}, count=1), one({0: 1}, schema=-53, bounds=(1,), count=1), True),
    ],
)
def test_a_counter_started_again_where_any_bucket_fell(before: Histograms, after: Histograms, expected: bool) -> None:
    assert has_reset(before, after) is expected


def test_equality_sees_bits_and_empty_buckets_but_no_hints() -> None:
    pairs = [
        (one({1: 1}, hint=RESET), one({1: 1}, hint=GAUGE), True),
        (one({1: 1}), one({1: 1, 2: 0}), False),
        (one({}, total=0.0), one({}, total=-0.0), False),
        (one({}, total=math.nan), one({}, total=math.nan), True),
    ]
    for a, b, expected in pairs:
        assert equal(a, FIRST, b, FIRST).tolist() == [expected]


def test_a_quantile_inside_an_exponential_bucket_is_interpolated_on_the_logarithm() -> None:
    h = one({1: 2}, count=2, total=3)
    assert quantile(h, 0.25) == (pytest.approx(2**0.25), codes.NO_NOTE)
    assert quantile(h, 0.75) == (pytest.approx(2**0.75), codes.NO_NOTE)
    assert quantile(h, -1)[0] == -math.inf
    assert quantile(h, 2)[0] == math.inf


def test_a_sum_that_is_nan_takes_the_last_bucket_as_the_original_does() -> None:
    h = one({0: 1, 1: 2, 2: 3, 3: 1}, count=8, total=math.nan)
    assert quantile(h, 0.1) == (pytest.approx(6.964404506368992), codes.SKEWED)
    assert math.isnan(quantile(h, 0.99)[0])


def test_the_fraction_of_custom_buckets_clips_the_bucket_around_zero() -> None:
    h = one({0: 1, 1: 4, 2: 3, 3: 2}, schema=-53, bounds=(-1, 2, 5), count=10)
    assert fraction(h, -math.inf, 1) == pytest.approx(0.3)


def test_trimming_keeps_whole_buckets_and_a_share_of_the_one_that_is_cut() -> None:
    h = one({1: 2, 2: 4}, count=6, total=12)
    below = trimmed(h, FIRST, np.array([math.sqrt(8)]), keeps_below=True)
    assert text(below).startswith("{count:4, ")
    assert below.buckets.tolist() == pytest.approx([2, 2])
    assert text(trimmed(h, FIRST, np.array([8.0]), keeps_below=True)) == text(h)


def test_joined_tables_keep_their_rows_and_rows_can_be_taken() -> None:
    a, b = one({1: 1}, count=1), one({1: 2, 3: 4}, schema=-53, bounds=(1, 2, 3), count=6)
    table = concat([a, b, a])
    assert [text(table, row) for row in range(3)] == [text(a), text(b), text(a)]
    assert [text(take(table, np.array([1, 0])), row) for row in range(2)] == [text(b), text(a)]


@pytest.mark.parametrize(("after", "hint"), [(147.0, NOT_RESET), (10.0, RESET)])
def test_a_reset_is_found_across_a_stale_marker_where_buckets_are_left_out(after: float, hint: int) -> None:
    """As HistogramStatsIterator of the original: it does not remember stale markers."""
    before, stale = one({1: 107}, count=107), one({}, total=STALE)
    table = concat([before, stale, one({1: after}, count=after)])
    times, kind = np.arange(3) * 15_000, np.full(3, HISTOGRAM, np.uint8)
    samples = Samples(times, np.arange(3.0), np.array([0, 3]), kind, table)
    bare = statistics_only(samples).histograms
    assert bare is not None
    assert bare.hint.tolist() == [UNKNOWN, UNKNOWN, hint]
    assert bare.buckets.size == 0
