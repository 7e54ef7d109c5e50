"""Preparation of a tree for its window; expected trees and times are worked out by hand from the rules."""

from __future__ import annotations

import pytest

from athanor.promql.ast import (
    Aggregation,
    Node,
    NumberLiteral,
    StepInvariant,
    VectorSelector,
    children,
    walk,
)
from athanor.promql.errors import QueryError
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.preprocess import QueryWindow, preprocess, require_range_type
from athanor.promql.printer import text
from athanor.promql.reads import selector_reads, time_span

ALL = Features.all()
WINDOW = QueryWindow(1_000_000, 2_000_000, 15_000)
LOOKBACK_MS, DEFAULT_STEP_MS = 300_000, 60_000


def prepared(query: str, window: QueryWindow = WINDOW) -> Node:
    return preprocess(parse(query, ALL), window)


def marked(node: Node) -> str:
    """The normal form with <> around step-invariant parts."""
    out: list[str] = [text(part.expr) for part in walk(node) if isinstance(part, StepInvariant)]
    return ", ".join(out)


@pytest.mark.parametrize(
    ("query", "wrapped"),
    [
        ("x", ""),
        ("1", ""),
        ("x @ 5", "x @ 5.000"),
        ("x @ 5 + y", "x @ 5.000"),
        ("1 + 2", "1 + 2"),
        ("sum(x @ 5)", "sum(x @ 5.000)"),
        ("rate(x[5m] @ 5) + x", "rate(x[5m] @ 5.000)"),
        ("-(x @ 5)", "-(x @ 5.000)"),
        ("time()", ""),
        ("hour(vector(1))", "vector(1)"),
        ("predict_linear(x[5m] @ 5, 1)", ""),
        ("timestamp(x @ 5)", "timestamp(x @ 5.000)"),
        ("timestamp(((x @ 5)))", "timestamp(x @ 5.000)"),
        ("timestamp(abs(x @ 5))", "abs(x @ 5.000)"),
        ("max_over_time((x @ 5)[1h:])", "(x @ 5.000)"),
        ("max_over_time(x[1h:] @ 5)", "max_over_time(x[1h:] @ 5.000)"),
        ("quantile(scalar(q), x @ 10)", "quantile(scalar(q), x @ 10.000)"),
    ],
)
def test_the_outermost_parts_that_never_change_are_wrapped(query: str, wrapped: str) -> None:
    assert marked(prepared(query)) == wrapped


def test_at_start_and_end_become_times_but_not_in_parameters() -> None:
    tree = prepared("topk(scalar(k @ end()), m @ start())")
    times = {node.name: node.timestamp_ms for node in walk(tree) if isinstance(node, VectorSelector)}
    assert times == {"k": None, "m": 1_000_000}


def test_parentheses_around_arguments_are_dropped() -> None:
    assert text(prepared('label_replace(((x)), ("a"), "b", "c", "d")')) == 'label_replace(x, "a", "b", "c", "d")'
    assert text(prepared("sum((x))")) == "sum(x)"
    assert text(prepared("topk((2), (x))")) == "topk(2, x)"


@pytest.mark.parametrize(
    ("query", "window", "value"),
    [
        ("start()", WINDOW, 1000.0),
        ("end()", WINDOW, 2000.0),
        ("range()", WINDOW, 1000.0),
        ("step()", WINDOW, 15.0),
        ("step()", QueryWindow(5_000, 5_000, 15_000), 0.0),
    ],
)
def test_functions_of_the_window_become_numbers(query: str, window: QueryWindow, value: float) -> None:
    tree = prepared(query, window)
    assert isinstance(tree, NumberLiteral)
    assert tree.value == value


@pytest.mark.parametrize(
    ("query", "offset_ms"),
    [
        ("x offset (step() * 2)", 30_000),
        ("x offset -range()", -1_000_000),
        ("x offset max_of(5m, step())", 300_000),
        ("x offset (7m % 2m)", 60_000),
        ("x offset (2 ^ 3)", 8_000),
        ("x offset (1.0019 + 0)", 1_001),
    ],
)
def test_duration_expressions_have_their_value_in_whole_milliseconds(query: str, offset_ms: int) -> None:
    tree = prepared(query)
    assert isinstance(tree, VectorSelector)
    assert tree.offset_ms == offset_ms


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("x[5m-6m]", "2:7: duration must be greater than 0"),
        ("x[5m % (step()-15)]", "2:17: modulo by zero"),
        ("x offset (5m / (step()-15))", "10:25: division by zero"),
        ("x offset (9e8 ^ 99)", "10:18: duration is NaN or infinite"),
        ("x offset (9e9 * 9)", "10:17: duration is out of range"),
    ],
)
def test_durations_without_a_usable_value_fail_the_query(query: str, error: str) -> None:
    with pytest.raises(QueryError) as caught:
        prepared(query)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("query", "skipped"),
    [
        ("histogram_count(x)", True),
        ("histogram_sum(rate(x[5m]))", True),
        ("x", False),
        ("histogram_quantile(0.9, x)", False),
        ("histogram_quantile(0.9, histogram_avg(x))", False),
        ("max_over_time(histogram_count(x)[1h:])", False),
        ("histogram_count(x </ 5)", False),
        ("histogram_count(x) </ 5", False),
    ],
)
def test_selectors_below_statistics_need_no_buckets(query: str, skipped: bool) -> None:
    selectors = [node for node in walk(prepared(query)) if isinstance(node, VectorSelector)]
    assert [selector.skip_buckets for selector in selectors] == [skipped]


def test_range_queries_take_scalars_and_instant_vectors_only() -> None:
    require_range_type(parse("x + 1"))
    for query, name in (("x[5m]", "range vector"), ('"a"', "string")):
        with pytest.raises(QueryError) as caught:
            require_range_type(parse(query))
        expected = f'invalid expression type "{name}" for range query, must be Scalar or instant Vector'
        assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("query", "first_ms", "last_ms"),
    [
        ("x", 1_000_000 - 299_999, 2_000_000),
        ("x offset 10s", 1_000_000 - 299_999 - 10_000, 1_990_000),
        ("x smoothed", 1_000_000 - 299_999, 2_300_000),
        ("rate(x[1m])", 1_000_000 - 59_999, 2_000_000),
        ("rate(x[1m] anchored)", 1_000_000 - 359_999, 2_000_000),
        ("rate(x[1m] smoothed)", 1_000_000 - 359_999, 2_300_000),
        ("x @ 500", 500_000 - 299_999, 500_000),
        ("rate(x[1m] @ 500 offset 5s)", 500_000 - 59_999 - 5_000, 495_000),
        ("max_over_time(x[10m:1m] offset 1m)", 1_000_000 - 60_000 - 600_000 - 299_999, 1_940_000),
        ("max_over_time(x[10m:1m] @ 500)", 500_000 - 600_000 - 299_999, 500_000),
        ("max_over_time(max_over_time(x[10m:] @ 500)[1h:] offset 9m)", 500_000 - 600_000 - 299_999, 500_000),
        ("max_over_time((x @ 7)[10m:1m])", 7_000 - 299_999, 7_000),
    ],
)
def test_storage_is_asked_for_what_the_steps_look_at(query: str, first_ms: int, last_ms: int) -> None:
    (read,) = selector_reads(prepared(query), WINDOW, LOOKBACK_MS, DEFAULT_STEP_MS)
    assert (read.selection.first_ms, read.selection.last_ms) == (first_ms, last_ms)


@pytest.mark.parametrize(
    ("query", "func", "step_ms", "range_ms", "grouping", "by"),
    [
        ("x", "", 15_000, 0, (), False),
        ("sum by (a) (x)", "sum", 15_000, 0, ("a",), True),
        ("sum without (a) (x)", "sum", 15_000, 0, ("a",), False),
        ("sum by (a) (rate(x[1m]))", "rate", 15_000, 60_000, (), False),
        ("sum(x + 1)", "", 15_000, 0, (), False),
        ("sum by (a) (-x)", "sum", 15_000, 0, (), False),
        ("max_over_time(x[1h:])", "max_over_time", 60_000, 0, (), False),
        ("max_over_time(rate(x[1m])[1h:30s])", "rate", 30_000, 60_000, (), False),
    ],
)
def test_hints_name_the_nearest_function_and_the_direct_grouping(
    query: str, func: str, step_ms: int, range_ms: int, grouping: tuple[str, ...], by: bool
) -> None:
    (read,) = selector_reads(prepared(query), WINDOW, LOOKBACK_MS, DEFAULT_STEP_MS)
    hints = read.selection.hints
    assert (hints.func, hints.step_ms, hints.range_ms) == (func, step_ms, range_ms)
    assert (hints.grouping, hints.by) == (grouping, by)


def test_the_span_covers_all_selectors_and_is_zero_without_any() -> None:
    reads = selector_reads(prepared("x @ 500 + y"), WINDOW, LOOKBACK_MS, DEFAULT_STEP_MS)
    assert time_span(reads) == (500_000 - 299_999, 2_000_000)
    assert time_span(()) == (0, 0)
    # Thanos chooses among replicas by the samples between these, whichever selector it reads.
    assert [read.selection.around_ms for read in reads] == [time_span(reads)] * 2


def test_nothing_is_changed_in_place() -> None:
    tree = parse("sum((x @ end())) + rate(y[step()])", ALL)
    before = text(tree)
    preprocess(tree, WINDOW)
    assert text(tree) == before
    aggregation = children(tree)[0]
    assert isinstance(aggregation, Aggregation)


def test_depth_is_no_recursion() -> None:
    tree = prepared("(" * 50_000 + "x @ end()" + ")" * 50_000)
    assert isinstance(tree, StepInvariant)
    assert len(selector_reads(tree, WINDOW, LOOKBACK_MS, DEFAULT_STEP_MS)) == 1
