"""Aggregations against plain references, cell by cell, and against themselves on input that is cut differently."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.kernel import labels
from athanor.model.tables import HistogramLayouts, Histograms, StepBlock, StepGrid, label_table
from athanor.promql import blocks, floats
from athanor.promql.aggregate import REDUCTIONS, GroupIndex, Reduction, select_aggregate
from athanor.promql.errors import QueryError
from athanor.promql.notes import Notes
from athanor.promql.selection import label_hashes

NAN, INF = math.nan, math.inf
VALUES = st.one_of(
    st.sampled_from(
        [0.0, -0.0, 1.0, 1.0, 2.0, 2.0, -3.5, NAN, INF, -INF, 1e308, 1.7e308, -1.7e308, 1e100, -1e100, 5e-324]
    ),
    st.floats(),
)
CALM = st.one_of(st.sampled_from([0.0, 1.0, 1.0, 2.0, 2.0, 3.0, NAN, INF, -INF]), st.floats(-100, 100))


@st.composite
def inputs(draw, values=VALUES, max_rows=14, max_steps=4):
    """(block, groups of its rows): rows carry a metric name, a unique label and one of a few group labels."""
    k, n = draw(st.integers(0, max_rows)), draw(st.integers(1, max_steps))
    density = draw(st.sampled_from([0, 0, 1, 3]))
    table = [[("__name__", "m"), ("i", str(i)), ("g", draw(st.sampled_from(["", "a", "b", "c"])))] for i in range(k)]
    cells = draw(st.lists(values, min_size=k * n, max_size=k * n))
    kinds = [0 if density and draw(st.integers(0, density)) else 1 for _ in range(k * n)]
    block = StepBlock(
        StepGrid(0, 1000, n),
        np.array(cells, np.float64).reshape(k, n),
        np.array(kinds, np.uint8).reshape(k, n),
        label_table(table),
        np.array(draw(st.lists(st.booleans(), min_size=k, max_size=k)), np.bool_),
    )
    return block, [dict(row)["g"] for row in table]


def grouped_columns(block, groups):
    """{group: one list for each step of the values there, as (row, value)}, groups by first row with a cell."""
    out: dict[str, list[list[tuple[int, float]]]] = {}
    for i, group in enumerate(groups):
        if block.kind[i].any():
            columns = out.setdefault(group, [[] for _ in range(block.grid.n)])
            for j in range(block.grid.n):
                if block.kind[i, j]:
                    columns[j].append((i, float(block.values[i, j])))
    return out


def inc(x, s, c):
    t = s + x
    if math.isinf(t):
        return t, 0.0
    return (t, c + ((s - t) + x)) if abs(s) >= abs(x) else (t, c + ((x - t) + s))


def ref_sum(vs):
    s, c = vs[0], 0.0
    for v in vs[1:]:
        s, c = inc(v, s, c)
    return s + c


def ref_avg(vs):
    s, c, mean, incremental = vs[0], 0.0, 0.0, False
    for n, v in enumerate(vs[1:], 2):
        if not incremental:
            s2, c2 = inc(v, s, c)
            if not math.isinf(s2):
                s, c = s2, c2
                continue
            incremental, mean, c = True, s / (n - 1), c / (n - 1)
        q = (n - 1) / n
        mean, c = inc(v / n, q * mean, q * c)
    return mean + c if incremental else s / len(vs) + c / len(vs)


def ref_extreme(vs, better):
    best = vs[0]
    for v in vs[1:]:
        if better(v, best) or math.isnan(best):
            best = v
    return best


def ref_stdvar(vs):
    mean, m2 = vs[0], 0.0 if math.isfinite(vs[0]) else NAN
    for n, v in enumerate(vs[1:], 2):
        d = v - mean
        mean += d / n
        m2 += d * (v - mean)
    return m2 / len(vs)


REFERENCE = {
    "sum": ref_sum,
    "avg": ref_avg,
    "count": len,
    "group": lambda vs: 1,
    "min": lambda vs: ref_extreme(vs, lambda v, best: best > v),
    "max": lambda vs: ref_extreme(vs, lambda v, best: best < v),
    "stdvar": ref_stdvar,
    "stddev": lambda vs: math.sqrt(ref_stdvar(vs)) if not ref_stdvar(vs) < 0 else NAN,
}


def ref_quantile(q, vs):
    if math.isnan(q):
        return NAN
    if q < 0 or q > 1:
        return -INF if q < 0 else INF
    vs = sorted(vs, key=lambda v: (not math.isnan(v), v if not math.isnan(v) else 0))
    rank = q * (len(vs) - 1)
    low = max(0, math.floor(rank))
    weight = rank - math.floor(rank)
    return vs[low] * (1 - weight) + vs[min(len(vs) - 1, low + 1)] * weight


def less(x, y):
    return math.isnan(x) or x < y


class Heap(list):
    """Go's container/heap of (key, row), the smallest key on top and NaN below all."""

    def push(self, item):
        self.append(item)
        j = len(self) - 1
        while j > 0 and less(self[j][0], self[(j - 1) // 2][0]):
            self[j], self[(j - 1) // 2] = self[(j - 1) // 2], self[j]
            j = (j - 1) // 2

    def replace_top(self, item):
        self[0], i = item, 0
        while 2 * i + 1 < len(self):
            child = 2 * i + 1
            if child + 1 < len(self) and less(self[child + 1][0], self[child][0]):
                child += 1
            if not less(self[child][0], self[i][0]):
                break
            self[i], self[child] = self[child], self[i]
            i = child


def ref_best(cells, k, sign):
    """The heap of the k best of (row, value)."""
    heap = Heap()
    for row, value in cells:
        x = sign * value
        if len(heap) < k:
            heap.push((x, row))
        elif k and (heap[0][0] < x or (math.isnan(heap[0][0]) and not math.isnan(x))):
            heap.replace_top((x, row))
    return heap


def best_first(heap):
    """Insertion sort, as Go sorts up to twelve elements."""
    heap = list(heap)
    for i in range(1, len(heap)):
        j = i
        while j > 0 and less(heap[j - 1][0], heap[j][0]):
            heap[j], heap[j - 1] = heap[j - 1], heap[j]
            j -= 1
    return heap


def run(op, block, tiles: Iterable[np.ndarray], grouping=("g",), without=False):
    reduction = Reduction(op, grouping, without, block.grid)
    for rows in tiles:
        reduction.add(blocks.take_rows(block, rows))
    return reduction.finish()


def select(op, block, parameter, grouping=("g",), without=False, **kwargs):
    notes = Notes()
    if not isinstance(parameter, str):
        parameter = np.array(parameter, np.float64)
    answer = select_aggregate(op, block, parameter, grouping, without, notes, 10, 20, 30, **kwargs)
    return answer, [(n.text, n.at, n.is_info) for n in notes]


def label(block, row, name):
    return dict(block.labels.pairs(row)).get(name, "")


def same(x, y):
    return math.isnan(x) if math.isnan(y) else x == y and math.copysign(1, x) == math.copysign(1, y)


def assert_cells(answer, expected):
    """expected: {group: [None or value for each step]}."""
    rows = {label(answer, i, "g"): i for i in range(len(answer.labels))}
    assert list(rows) == list(expected)
    for group, columns in expected.items():
        for j, value in enumerate(columns):
            assert bool(answer.kind[rows[group], j]) == (value is not None)
            if value is not None:
                got = float(answer.values[rows[group], j])
                assert same(got, value), (group, j, got, value)


@pytest.mark.parametrize("op", sorted(REDUCTIONS))
@given(data=inputs())
@settings(max_examples=150, deadline=None)
def test_a_reduction_is_that_of_each_column(op, data):
    block, groups = data
    answer = run(op, block, [np.arange(len(groups))])
    expected = {
        group: [REFERENCE[op]([v for _, v in cells]) if cells else None for cells in columns]
        for group, columns in grouped_columns(block, groups).items()
    }
    assert_cells(answer, expected)
    marked = {g for i, g in enumerate(groups) if block.drop_name[i] and block.kind[i].any()}
    assert {label(answer, i, "g") for i in np.flatnonzero(answer.drop_name)} == marked


@pytest.mark.parametrize("op", sorted(REDUCTIONS))
@given(data=inputs(), size=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_reduction_does_not_depend_on_the_cut_into_tiles(op, data, size):
    block, groups = data
    whole = run(op, block, [np.arange(len(groups))])
    cut = run(op, block, [np.arange(len(groups))[at : at + size] for at in range(0, len(groups), size)])
    assert whole.values.tobytes() == cut.values.tobytes()
    assert whole.kind.tobytes() == cut.kind.tobytes()
    assert [whole.labels.encoded(i) for i in range(len(whole.labels))] == [
        cut.labels.encoded(i) for i in range(len(cut.labels))
    ]


def test_sums_keep_what_plain_addition_loses():
    block = blocks.block(
        StepGrid(0, 1, 1),
        label_table([[("i", str(i))] for i in range(4)]),
        np.array([[1.0], [1e100], [1.0], [-1e100]]),
        np.ones((4, 1), np.uint8),
    )
    assert run("sum", block, [np.arange(4)], ()).values.tolist() == [[2.0]]
    assert run("avg", block, [np.arange(4)], ()).values.tolist() == [[0.5]]


def test_an_average_survives_a_sum_that_would_overflow():
    block = blocks.block(
        StepGrid(0, 1, 1),
        label_table([[("i", "1")], [("i", "2")]]),
        np.array([[1.5e308], [1.5e308]]),
        np.ones((2, 1), np.uint8),
    )
    assert run("avg", block, [np.arange(2)], ()).values.tolist() == [[1.5e308]]


def test_a_step_invariant_tile_counts_at_every_step():
    block = StepBlock(
        StepGrid(0, 1, 3),
        np.array([[2.0]]),
        np.ones((1, 1), np.uint8),
        label_table([[("g", "a")]]),
        np.zeros(1, np.bool_),
    )
    assert run("sum", block, [np.arange(1)]).values.tolist() == [[2.0, 2.0, 2.0]]


def float_and_histogram():
    """The float 3 in one series, and in another a native histogram without observations."""
    layouts = HistogramLayouts(
        np.zeros(1, np.int32), np.zeros(1), np.empty(0, np.int32), np.zeros(2, np.int64), np.zeros(1, np.int64),
        np.empty(0), np.zeros(2, np.int64),
    )  # fmt: skip
    row = np.zeros(1)
    histograms = Histograms(
        layouts, np.zeros(1, np.int32), np.zeros(1, np.uint8), row, row, row, np.zeros(1, np.int64), np.empty(0)
    )
    table = label_table([[("i", "1")], [("i", "2")]])
    values, kind = np.array([[3.0], [0.0]]), np.array([[1], [2]], np.uint8)
    return StepBlock(StepGrid(0, 1, 1), values, kind, table, np.zeros(2, np.bool_), histograms)


def with_histogram(op):
    block = float_and_histogram()
    reduction = Reduction(op, (), False, block.grid)
    reduction.add(block)
    return reduction


def test_counts_take_histograms_extremes_skip_them_and_sums_drop_a_mixed_group():
    assert with_histogram("count").finish().values.tolist() == [[2.0]]
    extreme = with_histogram("min")
    assert extreme.ignored_histograms
    assert extreme.finish().values.tolist() == [[3.0]]
    for op in ("sum", "avg"):
        mixed = with_histogram(op)
        assert not mixed.finish().kind.any()
        assert mixed.mixed


@given(st.lists(st.lists(st.integers(0, 30), unique=True, max_size=12), max_size=12))
@settings(deadline=None)
def test_a_group_index_numbers_sets_by_first_appearance(tables):
    index, numbers = GroupIndex(), {}
    for table in tables:
        expected = [numbers.setdefault(number, len(numbers)) for number in table]
        assert index.codes(label_table([[("n", str(number))] for number in table])).tolist() == expected
    assert [index.table().pairs(i) for i in range(index.n)] == [[("n", str(number))] for number in numbers]


@given(
    inputs(CALM, 40, 3), st.lists(st.sampled_from([0, 0.5, 0.25, 1, 0.9, 0.33, -0.1, 1.1, NAN]), min_size=3, max_size=3)
)
@settings(max_examples=300, deadline=None)
def test_quantiles_are_those_of_the_sorted_column(data, qs):
    block, groups = data
    answer, _ = select("quantile", block, qs[: block.grid.n])
    expected = {
        group: [ref_quantile(qs[j], [v for _, v in cells]) if cells else None for j, cells in enumerate(columns)]
        for group, columns in grouped_columns(block, groups).items()
    }
    assert list(expected) == [label(answer, i, "g") for i in range(len(answer.labels))]
    for i, columns in enumerate(expected.values()):
        for j, value in enumerate(columns):
            assert bool(answer.kind[i, j]) == (value is not None)
            if value is not None:
                assert answer.values[i, j] == value or (math.isnan(value) and math.isnan(answer.values[i, j]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 700), st.integers(1, 40), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_quantiles_of_large_groups_with_many_equal_values_are_exact(seed, rows, distinct, q):
    values = np.random.default_rng(seed).integers(0, distinct, (rows, 3)).astype(np.float64)
    values[:, 1] = np.sort(values[:, 1])
    table = label_table([[("i", str(i))] for i in range(rows)])
    block = blocks.block(StepGrid(0, 1, 3), table, values, np.ones((rows, 3), np.uint8))
    answer, _ = select("quantile", block, [q] * 3, grouping=())
    assert answer.values[0].tolist() == [ref_quantile(q, values[:, j].tolist()) for j in range(3)]


@pytest.mark.parametrize(("op", "sign"), [("topk", 1), ("bottomk", -1)])
@given(data=inputs(CALM, 30, 4), ks=st.lists(st.sampled_from([0, 1, 2.9, 3, 7, 100, -1]), min_size=4, max_size=4))
@settings(max_examples=300, deadline=None)
def test_best_cells_of_a_range_are_those_left_in_the_heap(op, sign, data, ks):
    block, groups = data
    answer, _ = select(op, block, ks[: block.grid.n])
    expected = {
        (row, j): block.values[row, j]
        for columns in grouped_columns(block, groups).values()
        for j, cells in enumerate(columns)
        for _, row in ref_best(cells, max(0, int(ks[j])), sign)
    }
    got = {(int(label(answer, i, "i")), j): answer.values[i, j] for i, j in zip(*np.nonzero(answer.kind), strict=True)}
    assert got.keys() == expected.keys()
    assert all(same(got[cell], expected[cell]) for cell in got)
    rows = [int(label(answer, i, "i")) for i in range(len(answer.labels))]
    in_order = sorted(rows) if block.grid.n == 1 else rows  # one step has an order of its own
    assert in_order == sorted({row for row, _ in expected})
    assert all(label(answer, i, "__name__") == "m" for i in range(len(rows)))


@pytest.mark.parametrize(("op", "sign"), [("topk", 1), ("bottomk", -1)])
@given(data=inputs(CALM, 30, 1), k=st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_an_instant_answer_lists_groups_in_turn_and_the_best_of_each_first(op, sign, data, k):
    block, groups = data
    answer, _ = select(op, block, [k])
    expected = [
        row
        for columns in grouped_columns(block, groups).values()
        for _, row in best_first(ref_best(columns[0], k, sign))
    ]
    assert [int(label(answer, i, "i")) for i in range(len(answer.labels))] == expected


def test_a_long_instant_answer_is_best_first_with_nan_last():
    values = np.array([[float(i % 7) if i % 5 else NAN] for i in range(40)])
    table = label_table([[("i", str(i))] for i in range(40)])
    block = blocks.block(StepGrid(0, 1, 1), table, values, np.ones((40, 1), np.uint8))
    got = select("topk", block, [38], grouping=())[0].values[:, 0]
    assert got[:32].tolist() == sorted((v for v in values[:, 0].tolist() if not math.isnan(v)), reverse=True)
    assert np.isnan(got[32:]).all() and got.size == 38


@given(inputs(CALM, 20, 3), st.lists(st.sampled_from([0, 1, 2.5, 4, 50]), min_size=3, max_size=3))
@settings(max_examples=150, deadline=None)
def test_limitk_keeps_the_first_cells_of_each_group(data, ks):
    block, groups = data
    answer, _ = select("limitk", block, ks[: block.grid.n])
    expected = {
        (row, j)
        for columns in grouped_columns(block, groups).values()
        for j, cells in enumerate(columns)
        for row, _ in cells[: int(ks[j])]
    }
    assert {(int(label(answer, i, "i")), j) for i, j in zip(*np.nonzero(answer.kind), strict=True)} == expected


@given(inputs(CALM, 20, 1), st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_limitk_of_an_instant_answers_in_the_order_of_a_heap(data, k):
    block, groups = data
    answer, _ = select("limitk", block, [k])
    expected = []
    for columns in grouped_columns(block, groups).values():
        heap = Heap()
        for row, value in columns[0][:k]:
            heap.push((value, row))
        expected += [row for _, row in heap]
    assert [int(label(answer, i, "i")) for i in range(len(answer.labels))] == expected


@given(inputs(CALM, 20, 2), st.lists(st.sampled_from([0.5, -0.5, 0.0, 1.0, -1.0, 0.1, -0.9]), min_size=2, max_size=2))
@settings(max_examples=100, deadline=None)
def test_a_ratio_and_its_complement_share_the_series(data, ratios):
    block, _ = data
    ratios = ratios[: block.grid.n]
    offsets = [h / 2**64 for h in label_hashes(block.labels, False).tolist()]
    answer, _ = select("limit_ratio", block, ratios)
    expected = {
        (i, j)
        for i, u in enumerate(offsets)
        for j, r in enumerate(ratios)
        if block.kind[i, j] and (u < r if r >= 0 else u >= 1 + r)
    }
    assert {(int(label(answer, i, "i")), j) for i, j in zip(*np.nonzero(answer.kind), strict=True)} == expected


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["__name__", "a", "é", "n" * 300]),
            st.sampled_from(["x", "y" * 254, "y" * 255, "z" * 70000]),
        )
    )
)
@settings(max_examples=40, deadline=None)
def test_label_hashes_are_those_of_both_builds_of_prometheus(sets):
    def counted(text):
        size = len(text)
        return (bytes([size]) if size < 255 else b"\xff" + size.to_bytes(3, "little")) + text

    table = label_table([list(pairs.items()) for pairs in sets])
    sorted_sets = [sorted((n.encode(), v.encode()) for n, v in pairs.items()) for pairs in sets]
    assert label_hashes(table, False).tolist() == [
        xxhash.xxh64_intdigest(b"".join(counted(n) + counted(v) for n, v in pairs)) for pairs in sorted_sets
    ]
    assert label_hashes(table, True).tolist() == [
        xxhash.xxh64_intdigest(b"".join(n + b"\xff" + v + b"\xff" for n, v in pairs)) for pairs in sorted_sets
    ]


@pytest.mark.parametrize("without", [False, True])
@pytest.mark.parametrize("name", ["v", "g", "i", "__name__"])
@given(
    data=inputs(st.one_of(st.sampled_from([1.0, 1.0, 0.5, -0.0, 0.0, NAN, INF, 1e21]), st.floats(-4, 4))),
    grouping=st.sampled_from([(), ("g",), ("g", "v"), ("i",)]),
)
@settings(max_examples=60, deadline=None)
def test_counted_values_are_labels_of_their_groups(name, without, data, grouping):
    block, _ = data
    answer, _ = select("count_values", block, name, grouping=grouping, without=without)
    expected: dict[tuple, dict[int, int]] = {}
    for i in range(len(block.labels)):
        for j in np.flatnonzero(block.kind[i]).tolist():
            pairs = dict(block.labels.pairs(i)) | {name: floats.plain(float(block.values[i, j]))}
            if without:
                kept = {n: v for n, v in pairs.items() if n not in grouping and n != "__name__"}
            else:
                kept = {n: v for n, v in pairs.items() if n in (*grouping, name)}
            counts = expected.setdefault(tuple(sorted(kept.items())), {})
            counts[j] = counts.get(j, 0) + 1
    got = {
        tuple(answer.labels.pairs(i)): {j: answer.values[i, j] for j in np.flatnonzero(answer.kind[i]).tolist()}
        for i in range(len(answer.labels))
    }
    assert got == expected
    assert not labels.has_duplicates(answer.labels)


def test_counting_values_grows_its_tables():
    values = np.arange(3000, dtype=np.float64).reshape(300, 10) // 2
    table = label_table([[("i", str(i))] for i in range(300)])
    answer, _ = select(
        "count_values", blocks.block(StepGrid(0, 1, 10), table, values, np.ones((300, 10), np.uint8)), "v", grouping=()
    )
    assert len(answer.labels) == 1500
    assert answer.values.sum() == 3000
    assert {answer.labels.pairs(i)[0][1] for i in range(1500)} == {str(i) for i in range(1500)}


def instant(values):
    table = label_table([[("i", str(i))] for i in range(len(values))])
    return blocks.block(StepGrid(0, 1, 1), table, np.array(values).reshape(-1, 1), np.ones((len(values), 1), np.uint8))


@pytest.mark.parametrize(
    ("op", "parameter", "text"),
    [
        ("topk", NAN, "Parameter value is NaN"),
        ("limitk", INF, "Scalar value +Inf overflows int64"),
        ("bottomk", 9223372036854774784.0, "Scalar value 9.223372036854775e+18 overflows int64"),
        ("limit_ratio", NAN, "Ratio value is NaN"),
    ],
)
def test_parameters_that_are_no_count_or_ratio_fail_the_query(op, parameter, text):
    with pytest.raises(QueryError) as failure:
        select(op, instant([1.0]), [parameter])
    assert str(failure.value) == text


def test_a_count_far_below_zero_fails_only_when_another_step_keeps_something():
    assert len(select("topk", instant([1.0]), [-1e300])[0].labels) == 0
    block = blocks.full_width(
        StepBlock(
            StepGrid(0, 1, 2), np.ones((1, 1)), np.ones((1, 1), np.uint8), label_table([[]]), np.zeros(1, np.bool_)
        )
    )
    with pytest.raises(QueryError, match=r"^Scalar value -1e\+300 underflows int64$"):
        select("topk", block, [-1e300, 1])


def test_a_label_of_count_values_needs_a_name():
    with pytest.raises(QueryError, match=r'^invalid label name ""$'):
        select("count_values", instant([1.0]), "")


def test_quantiles_and_ratios_outside_their_range_warn_at_the_parameter():
    quantile = "quantile value should be between 0 and 1, got "
    assert select("quantile", instant([1.0]), [2])[1] == [(quantile + "2", 10, False)]
    assert select("quantile", instant([1.0]), [-0.5])[1] == [(quantile + "-0.5", 10, False)]
    assert select("quantile", instant([1.0]), [NAN])[1] == [(quantile + "NaN", 10, False)]
    ratio = "ratio value should be between -1 and 1, got "
    assert select("limit_ratio", instant([1.0]), [1.1])[1] == [(ratio + "1.1, capping to 1", 10, False)]
    assert select("limit_ratio", instant([1.0]), [-2])[1] == [(ratio + "-2, capping to -1", 10, False)]


def test_ignored_histograms_are_told_at_the_place_that_each_operation_names():
    block = float_and_histogram()
    for op, at in (("topk", 30), ("bottomk", 30), ("quantile", 20)):
        answer, notes = select(op, block, [1], grouping=())
        assert notes == [(f"ignored histogram in {op} aggregation", at, True)]
        assert answer.values.tolist() == [[3.0]]
    assert len(select("limitk", block, [5], grouping=())[0].labels) == 2
    counted, notes = select("count_values", block, "v", grouping=())
    assert sorted(counted.labels.pairs(i) for i in range(2)) == [[("v", "3")], [("v", "{count:0, sum:0}")]]
    assert counted.values.tolist() == [[1.0], [1.0]] and notes == []
