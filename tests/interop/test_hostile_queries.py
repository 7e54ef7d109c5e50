"""Queries that are made to hurt: each is answered soon, and with little memory, by a result or an error that helps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from bench.measure import cpu_s, reset_peak, rss_mb
from tests.interop.pair import END_S, FIRST_S, Pair, Reply, ask, ask_range

LONGEST_S = 2.0
MOST_MB = 200.0
SETTLE_S = 1.0
AT = str(FIRST_S + 7200)

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def idle_mb(pair: Pair) -> float:
    """Resident memory of a query that has answered one simple question."""
    assert ask(pair.port, "query", {"query": "sum(g)", "time": AT}).status == 200
    time.sleep(SETTLE_S)
    return rss_mb(pair.query.pid)


@pytest.fixture
def watched(pair: Pair, idle_mb: float) -> Iterator[Pair]:
    """The pair; afterwards the query's peak of memory is looked at."""
    reset_peak(pair.query.pid)
    yield pair
    peak_mb = rss_mb(pair.query.pid, "VmHWM")
    assert peak_mb - idle_mb < MOST_MB, f"{peak_mb:.0f} MB at the peak, {idle_mb:.0f} MB at rest"


def instant(pair: Pair, query: str) -> Reply:
    return in_time(pair, lambda: ask(pair.port, "query", {"query": query, "time": AT}))


def over_range(pair: Pair, query: str, first_s: int, end_s: int, step_s: int) -> Reply:
    return in_time(pair, lambda: ask_range(pair.port, query, first_s, end_s, step_s))


def in_time(pair: Pair, send: Callable[[], Reply]) -> Reply:
    """The answer; the time that others took from a busy machine does not count."""
    before_s = cpu_s(pair.query.pid) + cpu_s(pair.store.pid)
    reply = send()
    worked_s = cpu_s(pair.query.pid) + cpu_s(pair.store.pid) - before_s
    assert min(reply.elapsed_s, worked_s) < LONGEST_S, reply.body[:300]
    assert reply.status in (200, 400, 422), reply.body[:300]
    return reply


def test_a_thousand_parentheses_are_as_good_as_none(watched: Pair):
    reply = instant(watched, "(" * 1000 + "sum(g)" + ")" * 1000)
    assert reply.status == 200, reply.error[:300]
    assert len(reply.document["data"]["result"]) == 1


def test_a_thousand_minus_signs_cancel_out(watched: Pair):
    reply = instant(watched, "-" * 1000 + "vector(1)")
    assert reply.document["data"]["result"][0]["value"][1] == "1"


def test_a_thousand_nested_aggregations_are_answered(watched: Pair):
    assert instant(watched, "sum(" * 1000 + "g" + ")" * 1000).status == 200


def test_a_thousand_nested_functions_are_answered(watched: Pair):
    assert instant(watched, "abs(" * 1000 + "g" + ")" * 1000).status == 200


def test_a_hundred_thousand_parentheses_are_answered(watched: Pair):
    assert instant(watched, "(" * 100_000 + "1" + ")" * 100_000).status in (200, 422)


def test_ten_thousand_matchers_are_answered(watched: Pair):
    matchers = ",".join(f'label_{i}=""' for i in range(10_000))
    reply = instant(watched, f"sum(g{{{matchers}}})")
    assert reply.status == 200, reply.error[:300]
    assert len(reply.document["data"]["result"]) == 1


def test_ten_thousand_matchers_of_regular_expressions_are_answered(watched: Pair):
    matchers = ",".join(f'job=~"(a|b|g|i|w).{{0,{i % 100 + 20}}}"' for i in range(10_000))
    assert instant(watched, f"sum(g{{{matchers}}})").status in (200, 422)


def test_nested_repetition_takes_linear_time(watched: Pair):
    assert instant(watched, 'g{instance=~"(a+)+$"}').document["data"]["result"] == []
    long = "a" * 50_000 + "b"
    reply = instant(watched, f'label_replace(label_replace(sum(g), "a", "{long}", "", ""), "b", "x", "a", "(a+)+$")')
    assert reply.status == 200
    assert "b" not in reply.document["data"]["result"][0]["metric"]


@pytest.mark.parametrize(
    ("expression", "repeat"),
    [
        ("x{1000}{1000}", "{1000}{1000}"),
        ("(x{1000}){1000}", "{1000}"),
        ("((x{100}){100}){100}", "{100}"),
        ("x{1001}", "{1001}"),
    ],
)
def test_a_regular_expression_that_would_explode_is_refused(watched: Pair, expression: str, repeat: str):
    for query in (f'g{{job=~"{expression}"}}', f'label_replace(g, "a", "b", "job", "{expression}")'):
        reply = instant(watched, query)
        assert reply.status in (400, 422)
        assert repeat in reply.error


def test_a_mebibyte_of_text_is_answered(watched: Pair):
    text = "+".join(["1"] * (1 << 19))
    reply = instant(watched, text)
    assert reply.status in (200, 400), reply.error[:300]


def test_a_mebibyte_in_one_string_is_answered(watched: Pair):
    reply = instant(watched, f'g{{job="{"x" * (1 << 20)}"}}')
    assert reply.document["data"]["result"] == []


def test_a_mebibyte_of_noise_names_a_place(watched: Pair):
    reply = instant(watched, "}{" * (1 << 19))
    assert reply.status == 400
    assert "1:1" in reply.error


def test_a_century_of_milliseconds_is_refused(watched: Pair):
    reply = instant(watched, "max_over_time(g[100y:1ms])")
    assert reply.status == 422
    assert "subquery" in reply.error


def test_a_century_of_samples_is_answered(watched: Pair):
    assert instant(watched, "count(count_over_time(g[100y]))").document["data"]["result"][0]["value"][1] == "500"


def test_topk_of_more_than_there_can_be_is_refused_or_all(watched: Pair):
    reply = instant(watched, "topk(1e18, g)")
    assert len(reply.document["data"]["result"]) == 500
    assert "overflows int64" in instant(watched, "topk(1e19, g)").error


def test_labels_of_a_gibibyte_are_refused(watched: Pair):
    value = "x" * 1000
    query = f'label_replace(g, "a", "{value}", "", "")'
    for name in "bcdefghijk":
        query = f'label_replace({query}, "{name}", "$1$1$1", "a", "(.*)")'
        query = f'label_replace({query}, "a", "$1$1", "{name}", "(.*)")'
    reply = instant(watched, query)
    assert reply.status == 422
    assert "bytes" in reply.error


def test_joined_labels_of_a_gibibyte_are_refused(watched: Pair):
    value = "x" * 100_000
    query = f'label_replace(g, "a", "{value}", "", "")'
    names = ", ".join(['"a"'] * 50)
    query = f'label_join({query}, "b", "", {names})'
    reply = instant(watched, query)
    assert reply.status == 422
    assert "bytes" in reply.error


@pytest.mark.parametrize(
    ("query", "place"),
    [("sum(", "1:5"), ("g{job=}", "1:7"), ("sum by (job g)", "1:13"), ("g\n + \n )", "3:3"), ("g[5m", "1:5")],
)
def test_text_that_is_no_promql_gives_the_position(watched: Pair, query: str, place: str):
    reply = instant(watched, query)
    assert reply.status == 400
    assert f"{place}: parse error:" in reply.error


def test_11001_steps_are_refused(watched: Pair):
    reply = over_range(watched, "sum(g)", FIRST_S, FIRST_S + 11_001, 1)
    assert reply.status == 400
    assert "exceeded maximum resolution of 11,000 points per timeseries" in reply.error


def test_a_quantile_over_11000_steps_is_answered(watched: Pair):
    reply = over_range(watched, "quantile by (cpu) (0.9, g)", FIRST_S + 3600, FIRST_S + 3600 + 77_000, 7)
    assert reply.status == 200
    assert [len(series["values"]) for series in reply.document["data"]["result"]] == [11_001] * 10


def test_a_subquery_in_a_subquery_in_a_subquery_is_answered(watched: Pair):
    query = "max_over_time(sum(max_over_time(sum(rate(c[5m]))[1h:1s]))[1h:1s])"
    assert over_range(watched, query, END_S - 3600, END_S, 60).status in (200, 422)


def test_count_values_of_everything_is_answered(watched: Pair):
    query = 'count_values("v", g)'
    assert over_range(watched, query, FIRST_S + 3600, END_S, 30).status in (200, 422)


def test_a_product_of_all_with_all_is_refused(watched: Pair):
    reply = instant(watched, "g * on() g")
    assert reply.status == 422
    assert "matching" in reply.error
