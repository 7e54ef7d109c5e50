"""Functions over instant vectors: numbers from Go's standard library, words from Prometheus."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from athanor.model.matchers import Matcher, MatchType
from athanor.model.tables import StepBlock, StepGrid, label_table
from athanor.promql import blocks
from athanor.promql.classic_histograms import inflated_count
from athanor.promql.errors import QueryError
from athanor.promql.float_text import open_metrics, parse_float
from athanor.promql.function_kernels import DATE_FIELDS, ELEMENTWISE
from athanor.promql.functions import FUNCTIONS, ROWWISE, FunctionCall, absent, absent_labels, scalar_of
from athanor.promql.notes import Notes

GO: dict[str, Any] = json.loads((Path(__file__).resolve().parents[2] / "golden/promql/go_functions.json").read_text())
NAN, INF = math.nan, math.inf
Pairs = dict[str, str]


def from_bits(text: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(text))[0]
    return value


def vector(rows: list[tuple[Pairs, list[float | None]]], first_ms: int = 0, step_ms: int = 60_000) -> StepBlock:
    n = len(rows[0][1])
    kind = np.array([[value is not None for value in values] for _, values in rows], np.uint8)
    cells = np.array([[123.0 if value is None else value for value in values] for _, values in rows])
    return blocks.block(StepGrid(first_ms, step_ms, n), label_table([list(p.items()) for p, _ in rows]), cells, kind)


def call(
    name: str,
    source: StepBlock | None = None,
    scalars: tuple[float | list[float], ...] = (),
    strings: tuple[str, ...] = (),
    notes: Notes | None = None,
    delayed: bool = False,
    grid: StepGrid | None = None,
    **more: Any,
) -> StepBlock:
    grid = grid or (source.grid if source is not None else StepGrid(0, 60_000, 1))
    spread = tuple(np.broadcast_to(np.asarray(s, np.float64), (grid.n,)).copy() for s in scalars)
    vectors = () if source is None else (source,)
    return FUNCTIONS[name](
        FunctionCall(
            name, grid, vectors, spread, strings, notes or Notes(), at=0,
            arg_at=more.pop("arg_at", tuple(range(10, 20))), is_range=grid.n > 1, delayed=delayed, **more,
        )
    )  # fmt: skip


def rows_of(result: StepBlock) -> list[tuple[Pairs, list[float | None]]]:
    cells = np.where(result.kind == 1, result.values, NAN).tolist()
    present = (result.kind == 1).tolist()
    return [
        (dict(result.labels.pairs(i)), [v if p else None for v, p in zip(cells[i], present[i], strict=True)])
        for i in range(len(result.labels))
    ]


def close(ours: float, theirs: float) -> bool:
    if math.isnan(theirs):
        return math.isnan(ours)
    if ours == theirs:
        return math.copysign(1, ours) == math.copysign(1, theirs) or theirs != 0
    return math.isclose(ours, theirs, rel_tol=1e-12)


EXACT = frozenset({"abs", "ceil", "floor", "sqrt", "sgn", "deg", "rad"})


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_mathematics_is_that_of_go(name: str) -> None:
    inputs = [from_bits(text) for text in GO["math"]["input"]]
    [(_, ours)] = rows_of(call(name, vector([({"__name__": "m"}, [*inputs])])))
    for value, mine, theirs in zip(inputs, ours, map(from_bits, GO["math"][name]), strict=True):
        assert mine is not None
        if name in ("sin", "cos", "tan") and abs(value) > 1e200:
            continue  # Go reduces such arguments with fewer digits of pi than libm
        if name in ("ln", "log10") and value == 5e-324:
            continue  # Go's assembly takes the logarithm of another number here
        assert close(mine, theirs), (name, value, mine, theirs)
        assert name not in EXACT or mine == theirs or math.isnan(theirs)


def test_log2_of_powers_of_two_is_exact() -> None:
    [(_, ours)] = rows_of(call("log2", vector([({}, [2.0**k for k in range(-1074, 1024)])])))
    assert ours == [float(k) for k in range(-1074, 1024)]


def test_clamp_orders_nan_infinities_and_zeros_as_go_does() -> None:
    inputs = [from_bits(text) for text in GO["clamp_input"]]
    for case in GO["clamp"]:
        low, high = from_bits(case["low"]), from_bits(case["high"])
        [(_, ours)] = rows_of(call("clamp", vector([({}, [*inputs])]), (low, high)))
        for value, mine, theirs in zip(inputs, ours, map(from_bits, case["out"]), strict=True):
            assert mine is not None
            assert close(mine, theirs), (low, high, value, mine, theirs)


def test_clamp_with_crossed_bounds_is_empty_at_that_step_only() -> None:
    result = call("clamp", vector([({"__name__": "m", "a": "b"}, [1.0, 5.0])]), ([0, 4], [2, 3]))
    assert rows_of(result) == [({"a": "b"}, [1.0, None])]


def test_clamp_min_and_clamp_max_take_their_bound_per_step() -> None:
    source = vector([({}, [1.0, 5.0, NAN])])
    assert rows_of(call("clamp_min", source, ([2, 6, 0],)))[0][1][:2] == [2.0, 6.0]
    assert rows_of(call("clamp_max", source, ([0, 6, 0],)))[0][1][:2] == [0.0, 5.0]
    assert math.isnan(rows_of(call("clamp_max", source, (0,)))[0][1][2] or 0.0)


def test_round_goes_to_the_nearest_multiple_ties_up() -> None:
    inputs = [from_bits(text) for text in GO["math"]["input"]]
    for case in GO["round"]:
        [(_, ours)] = rows_of(call("round", vector([({}, [*inputs])]), (from_bits(case["to"]),)))
        for mine, theirs in zip(ours, map(from_bits, case["out"]), strict=True):
            assert mine is not None
            assert close(mine, theirs)
    assert rows_of(call("round", vector([({}, [2.5, -2.5])])))[0][1] == [3.0, -2.0]


@pytest.mark.parametrize("number", range(len(DATE_FIELDS)))
def test_calendar_fields_are_those_of_go_even_for_impossible_times(number: int) -> None:
    times = [from_bits(row[0]) for row in GO["dates"]]
    [(_, ours)] = rows_of(call(DATE_FIELDS[number], vector([({}, [*times])])))
    assert ours == [float(row[1 + number]) for row in GO["dates"]]


def test_calendar_functions_without_argument_tell_the_step_time() -> None:
    # 1970-01-01 23:59:59.999, 2000-02-29 00:00
    assert rows_of(call("hour", grid=StepGrid(86_399_999, 1, 1))) == [({}, [23.0])]
    assert rows_of(call("day_of_month", grid=StepGrid(951_782_400_000, 86_400_000, 2))) == [({}, [29.0, 1.0])]
    assert rows_of(call("minute", grid=StepGrid(-999, 1, 1))) == [({}, [0.0])]  # truncated towards zero


def test_names_are_removed_or_marked() -> None:
    source = vector([({"__name__": "m", "__type__": "gauge", "__unit__": "s", "a": "1"}, [1.0])])
    assert rows_of(call("abs", source))[0][0] == {"a": "1"}
    marked = call("abs", source, delayed=True)
    assert dict(marked.labels.pairs(0))["__name__"] == "m"
    assert marked.drop_name.tolist() == [True]


def test_histogram_cells_are_skipped_by_functions_of_floats() -> None:
    source = vector([({}, [1.0, 2.0])])
    mixed = StepBlock(source.grid, source.values, np.array([[1, 2]], np.uint8), source.labels, source.drop_name)
    for name in sorted(ROWWISE - {"timestamp", "clamp", "clamp_min", "clamp_max"}):
        assert call(name, mixed).kind.tolist() == [[1, 0]], name
    assert call("timestamp", mixed).kind.tolist() == [[1, 1]]


def test_functions_of_histograms_answer_nothing_for_floats() -> None:
    for name in ("histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "start_timestamp"):
        assert len(call(name, vector([({}, [1.0])])).labels) == 0


def test_timestamp_of_an_expression_is_the_step_time() -> None:
    source = vector([({"__name__": "m"}, [1.0, None])], first_ms=1_500, step_ms=250)
    assert rows_of(call("timestamp", source)) == [({}, [1.5, None])]


def test_scalar_is_the_only_float_of_a_step() -> None:
    source = vector([({"a": "1"}, [1.0, None, 2.0]), ({"a": "2"}, [None, None, 3.0])])
    got = scalar_of(source).tolist()
    assert got[0] == 1.0
    assert math.isnan(got[1]) and math.isnan(got[2])
    assert rows_of(call("vector", scalars=(7.0,))) == [({}, [7.0])]


def test_absent_has_a_value_where_the_vector_has_none() -> None:
    matchers = [
        Matcher(MatchType.EQ, "__name__", "m"), Matcher(MatchType.EQ, "job", "x"), Matcher(MatchType.RE, "a", "b"),
        Matcher(MatchType.EQ, "twice", "x"), Matcher(MatchType.EQ, "twice", "x"), Matcher(MatchType.EQ, "empty", ""),
    ]  # fmt: skip
    source = vector([({"a": "1"}, [1.0, None, None]), ({"a": "2"}, [None, NAN, None])])
    assert rows_of(absent(source, absent_labels(matchers))) == [({"job": "x"}, [None, None, 1.0])]


# ---- label_replace, label_join


@pytest.mark.parametrize("case", GO["expand"], ids=lambda c: f"{c['regex']} {c['template']}")
def test_templates_expand_as_in_go(case: dict[str, Any]) -> None:
    source = vector([({"src": case["value"], "dst": "old"}, [1.0])])
    strings = ("dst", case["template"], "src", case["regex"])
    if case.get("error"):
        with pytest.raises(QueryError) as caught:
            call("label_replace", source, strings=strings)
        assert str(caught.value) == f"invalid regular expression in label_replace(): {case['regex']}"
        return
    expected = "old" if case["result"] is None else case["result"]
    assert rows_of(call("label_replace", source, strings=strings))[0][0].get("dst", "") == expected


def test_label_replace_sees_a_missing_label_as_empty_and_deletes_what_becomes_empty() -> None:
    source = vector([({"a": "1"}, [1.0]), ({"a": "2", "b": "x"}, [1.0])])
    assert [p for p, _ in rows_of(call("label_replace", source, strings=("a", "", "b", "")))] == [
        {}, {"a": "2", "b": "x"},
    ]  # fmt: skip


def test_label_functions_refuse_bad_names() -> None:
    source = vector([({"a": "1"}, [1.0])])
    for strings, words in (
        (("", "", "a", ".*"), "invalid destination label name in label_replace(): "),
        (("x", "", "a", "("), "invalid regular expression in label_replace(): ("),
    ):
        with pytest.raises(QueryError) as caught:
            call("label_replace", source, strings=strings)
        assert str(caught.value) == words
    for strings, words in (
        (("", "-", ""), "invalid source label name in label_join(): "),
        (("", "-", "a"), "invalid destination label name in label_join(): "),
    ):
        with pytest.raises(QueryError) as caught:
            call("label_join", source, strings=strings)
        assert str(caught.value) == words


def test_label_join_joins_missing_labels_as_empty() -> None:
    source = vector([({"a": "1", "c": "3"}, [1.0]), ({"b": "2"}, [1.0]), ({"d": "4", "x": "old"}, [1.0])])
    joined = [p.get("x") for p, _ in rows_of(call("label_join", source, strings=("x", "-", "a", "b", "c")))]
    assert joined == ["1--3", "-2-", "--"]
    assert "x" not in rows_of(call("label_join", source, strings=("x", "-")))[2][0]


def test_a_name_that_was_written_loses_its_mark() -> None:
    source = call("abs", vector([({"__name__": "m", "a": "1"}, [1.0]), ({"__name__": "m"}, [1.0])]), delayed=True)
    assert call("label_replace", source, strings=("__name__", "n", "a", "1")).drop_name.tolist() == [False, True]
    assert call("label_join", source, strings=("__name__", "", "a")).drop_name.tolist() == [False, False]
    assert call("label_join", source, strings=("b", "", "a")).drop_name.tolist() == [True, True]


def test_labels_without_bound_are_refused_before_they_are_made() -> None:
    source = vector([({"a": "x" * 1000, "i": str(i)}, [1.0]) for i in range(100)])
    with pytest.raises(QueryError, match="more than 1000000 bytes of labels"):
        call("label_replace", source, strings=("b", "$1" * 100, "a", "(.*)"), label_limit_bytes=1_000_000)
    with pytest.raises(QueryError, match="more than 1000000 bytes of labels"):
        call("label_join", source, strings=("b", "x" * 10_000, "a", "i"), label_limit_bytes=1_000_000)


# ---- order


def test_sort_puts_nan_last_both_ways() -> None:
    source = vector([({"i": str(i)}, [v]) for i, v in enumerate([2.0, NAN, -INF, None, INF, 1.0])])
    assert [p["i"] for p, _ in rows_of(call("sort", source))] == ["2", "5", "0", "4", "1"]
    assert [p["i"] for p, _ in rows_of(call("sort_desc", source))] == ["4", "0", "5", "2", "1"]


def test_sort_by_label_counts_digits_as_numbers() -> None:
    hosts = ["a10", "a2", "b1", "a", "a2b", "a99999999999999999999", "a9"]
    source = vector([({"h": host, "z": "1"}, [1.0]) for host in hosts])
    ordered = ["a", "a2", "a2b", "a9", "a10", "a99999999999999999999", "b1"]
    assert [p["h"] for p, _ in rows_of(call("sort_by_label", source, strings=("h",)))] == ordered
    assert [p["h"] for p, _ in rows_of(call("sort_by_label_desc", source, strings=("z", "h")))] == ordered[::-1]


def test_sorting_over_several_steps_warns_and_changes_nothing() -> None:
    source, notes = vector([({"a": "2"}, [2.0, 1.0]), ({"a": "1"}, [1.0, 2.0])]), Notes()
    for name, strings in (("sort", ()), ("sort_by_label_desc", ("a",))):
        assert rows_of(call(name, source, strings=strings, notes=notes)) == rows_of(source)
    assert notes.texts(b"sort(x)", infos=False) == [
        "PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)"
    ]


# ---- classic histograms


def buckets(counts: dict[str, list[float | None]], **more: str) -> list[tuple[Pairs, list[float | None]]]:
    return [({"__name__": "h_bucket", **more, "le": le}, values) for le, values in counts.items()]


def test_histogram_quantile_interpolates_inside_the_bucket() -> None:
    source = vector(buckets({"0.1": [1.0], "0.2": [3.0], "1": [4.0], "+Inf": [5.0]}, job="a"))
    for q, expected in ((0.0, 0.0), (0.2, 0.1), (0.5, 0.175), (0.6, 0.2), (0.8, 1.0), (1.0, 1.0)):
        [(pairs, [got])] = rows_of(call("histogram_quantile", source, (q,), arg_at=(1, 2)))
        assert pairs == {"job": "a"}
        assert got == pytest.approx(expected, rel=1e-12)


def test_a_histogram_without_infinite_bucket_or_observations_has_no_quantile() -> None:
    for counts in ({"1": [5.0]}, {"+Inf": [5.0]}, {"1": [0.0], "+Inf": [0.0]}, {"1": [3.0], "2": [5.0]}):
        [(_, [got])] = rows_of(call("histogram_quantile", vector(buckets(counts)), (0.5,), arg_at=(1, 2)))
        assert got is not None
        assert math.isnan(got)


def test_quantiles_out_of_range_are_infinite_and_warn_at_their_place() -> None:
    notes, source = Notes(), vector(buckets({"1": [1.0] * 3, "+Inf": [2.0] * 3}))
    [(_, got)] = rows_of(call("histogram_quantile", source, ([-1, 2, NAN],), notes=notes, arg_at=(3, 8)))
    assert got[:2] == [-INF, INF]
    assert [(n.text, n.at) for n in notes] == [
        (f"quantile value should be between 0 and 1, got {text}", 3) for text in ("-1", "2", "NaN")
    ]


def test_equal_bounds_are_added_and_absent_buckets_left_out() -> None:
    rows = buckets({"1": [1.0, None], "1.0": [1.0, 2.0], "2": [None, 4.0], "+Inf": [4.0, 4.0]})
    [(_, got)] = rows_of(call("histogram_quantile", vector(rows), (0.5,), arg_at=(1, 2)))
    assert got == [1.0, 1.0]  # 2 of 4 observations up to 1 in both


def test_bounds_that_are_no_numbers_warn_and_are_ignored() -> None:
    rows = [*buckets({"1": [1.0], "x": [9.0], "+Inf": [2.0], "gone": [None]}), ({"__name__": "h_bucket"}, [1.0])]
    for delayed, suffix in ((False, ""), (True, ' for metric name "h_bucket"')):
        notes = Notes()
        [(_, [got])] = rows_of(
            call("histogram_quantile", vector(rows), (0.25,), notes=notes, delayed=delayed, arg_at=(1, 20))
        )
        assert got == 0.5
        assert [(n.text, n.at) for n in notes] == [
            (f'bucket label "le" is missing or has a malformed value of {value}{suffix}', 20) for value in ('"x"', '""')
        ]


def test_counts_that_fall_are_raised_and_noted_with_prometheus_inflated_count() -> None:
    counts: list[float | None]
    for n, samples in ((1, 1), (2, 4), (3, 10), (5, 46)):
        notes, query = Notes(), b"histogram_quantile(0.5, h_bucket)"
        counts = [10.0] * n
        rows = buckets({"1": counts, "2": [8.0] * n, "+Inf": [20.0] * n})
        source = vector(rows, first_ms=200_000)
        [(_, got)] = rows_of(call("histogram_quantile", source, (0.75,), notes=notes, arg_at=(19, 24)))
        assert got == [2.0] * n
        last = f"1970-01-01T00:{(200 + 60 * (n - 1)) // 60:02d}:{(200 + 60 * (n - 1)) % 60:02d}Z"
        assert notes.texts(query, infos=True) == [
            "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
            "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), "
            f"from buckets 2 to 2, with a max diff of 2, over {samples} samples "
            f"from 1970-01-01T00:03:20Z to {last} (1:25)"
        ]


def test_older_prometheus_says_less() -> None:
    notes = Notes()
    source = vector(buckets({"1": [10.0, 10.0], "2": [8.0, 8.0], "+Inf": [20.0, 20.0]}))
    call("histogram_quantile", source, (0.75,), notes=notes, arg_at=(19, 24), since_3_10=False)
    call("sort", source, notes=notes, since_3_10=False)
    [note] = notes
    assert note.text.endswith("/querying/functions/#histogram_quantile)")


def test_the_inflated_count_doubles_at_every_later_step_and_wraps() -> None:
    assert inflated_count([0, 2, 2, 2, 2, 2]) == 92
    assert inflated_count([1, 0, 0]) == 4
    assert inflated_count([1] * 65) == -2


def test_tiny_falls_are_repaired_silently() -> None:
    notes = Notes()
    rows = buckets({"1": [1.0], "2": [1.0 - 1e-13], "+Inf": [2.0]})
    call("histogram_quantile", vector(rows), (0.5,), notes=notes, arg_at=(1, 2))
    assert list(notes) == []


def test_histogram_fraction_of_a_classic_histogram() -> None:
    source = vector(buckets({"1": [1.0], "2": [3.0], "+Inf": [4.0]}))
    for lower, upper, expected in (
        (0, 1, 0.25), (0, 1.5, 0.5), (1, 2, 0.5), (-INF, INF, 1.0), (2, INF, 0.25), (1, 1, 0.0), (5, 6, 0.0),
        (-1, 2, 0.75),
    ):  # fmt: skip
        [(_, [got])] = rows_of(call("histogram_fraction", source, (lower, upper), arg_at=(1, 2, 3)))
        assert got == pytest.approx(expected, rel=1e-12), (lower, upper)


def test_histogram_quantiles_tell_each_other_apart_by_a_label() -> None:
    source = vector(buckets({"1": [1.0, 1.0], "2": [3.0, 3.0], "+Inf": [3.0, 3.0]}, job="a"))
    result = call("histogram_quantiles", source, (0.5, [1, 0]), ("q",), arg_at=(0, 1, 2, 3))
    assert rows_of(result) == [
        ({"job": "a", "q": "0.5"}, [1.25, 1.25]),
        ({"job": "a", "q": "1.0"}, [2.0, None]),
        ({"job": "a", "q": "0.0"}, [None, 0.0]),
    ]


def test_floats_are_read_as_go_reads_them() -> None:
    for text, bits in GO["parse_float"]:
        got = parse_float(text)
        if bits is None:
            assert got is None, text
        else:
            expected = from_bits(bits)
            assert got == expected or (math.isnan(expected) and math.isnan(got or 0.0)), text


def test_open_metrics_floats_always_look_like_floats() -> None:
    values = (1.0, 0.0, -1.0, 0.5, 0.99, 1e6, 1e-5, NAN, INF, -INF, 100.0)
    assert [open_metrics(v) for v in values] == [
        "1.0", "0.0", "-1.0", "0.5", "0.99", "1e+06", "1e-05", "NaN", "+Inf", "-Inf", "100.0",
    ]  # fmt: skip


def test_every_function_takes_a_vector_without_series() -> None:
    empty = blocks.empty_block(StepGrid(0, 1000, 3))
    scalars: dict[str, tuple[float, ...]] = {
        "clamp": (0, 1), "clamp_min": (0,), "clamp_max": (0,), "vector": (0,), "histogram_quantile": (0.5,),
        "histogram_quantiles": (0.5,), "histogram_fraction": (0, 1),
    }  # fmt: skip
    places = {"histogram_quantile": (1, 2), "histogram_quantiles": (1, 2, 3)}
    for name in FUNCTIONS:
        strings = {"label_replace": ("a", "b", "c", "d"), "label_join": ("a", "b", "c")}.get(name, ("a",))
        result = call(name, empty, scalars.get(name, ()), strings, arg_at=places.get(name, (1, 2, 3)))
        assert len(result.labels) == (1 if name in ("absent", "vector") else 0), name
