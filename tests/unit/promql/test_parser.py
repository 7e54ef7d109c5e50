"""What the golden answers do not show: presets, limits, hostile queries, the small entry points."""

from __future__ import annotations

import time

import pytest

from athanor.model.matchers import Matcher, MatchType
from athanor.promql.ast import Aggregation, Binary, Call, NumberLiteral, VectorSelector, walk
from athanor.promql.ast_json import ast_json
from athanor.promql.errors import ParseError
from athanor.promql.features import Features
from athanor.promql.parser import MAX_PARTS, parse, parse_metric, parse_selector
from athanor.promql.printer import text

ALL = Features.all()


def test_the_tree_holds_what_was_written() -> None:
    tree = parse('sum by (job) (rate(x{a!="b"}[5m] offset 1h)) / 2', ALL)
    assert isinstance(tree, Binary)
    assert isinstance(tree.lhs, Aggregation)
    assert (tree.lhs.op, tree.lhs.grouping, tree.lhs.start, tree.lhs.end) == ("sum", ("job",), 0, 44)
    assert isinstance(tree.lhs.expr, Call)
    selector = next(node for node in walk(tree) if isinstance(node, VectorSelector))
    assert selector.matchers == (Matcher(MatchType.NEQ, "a", "b"), Matcher(MatchType.EQ, "__name__", "x"))
    assert selector.offset_ms == 3_600_000
    assert isinstance(tree.rhs, NumberLiteral)
    assert tree.matching is None


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("m </ 5", "1:4: parse error: unexpected <op:/>"),
        ('histogram_quantiles(m, "q", 0.5)', '1:1: parse error: unknown function with name "histogram_quantiles"'),
        ("x[5m+1m]", "1:3: parse error: experimental duration expression is not enabled"),
        ("rate(x[5m] anchored)", "1:6: parse error: anchored modifier is experimental and not enabled"),
        ("step()", "1:1: parse error: unknown node type: *parser.DurationExpr"),
        ("limitk(1, x)", "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature="
         "promql-experimental-functions"),
        ("sum(a @ 1 b)", '1:11: parse error: unexpected identifier "b" in aggregation'),
        ("first_over_time(x[5m])", '1:1: parse error: function "first_over_time" is not enabled'),
        ("xrate(x[5m])", '1:1: parse error: unknown function with name "xrate"'),
    ],
)  # fmt: skip
def test_the_preset_of_thanos_refuses_what_its_library_does_not_know(query: str, error: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(query, Features.thanos_0_43())
    assert str(caught.value) == error


def test_x_functions_are_known_when_switched_on() -> None:
    assert text(parse("sum(xrate(x[5m]))", Features(x_functions=True))) == "sum(xrate(x[5m]))"


def test_words_of_later_versions_are_plain_names_for_older_ones() -> None:
    assert text(parse("range + max_of + fill", Features.thanos_0_43())) == "range + max_of + fill"


@pytest.mark.parametrize(
    "query",
    [
        "(" * 100_000 + "a" + ")" * 100_000,
        "-" * 100_000 + "a",
        "abs(" * 100_000 + "a" + ")" * 100_000,
        "a[" + "(" * 100_000 + "5m" + ")" * 100_000 + "]",
        "1^" * 50_000 + "1",
        "a+" * 50_000 + "a",
    ],
    ids=["parens", "signs", "calls", "durations", "right", "left"],
)
def test_depth_is_no_recursion(query: str) -> None:
    tree = parse(query, ALL)
    assert text(tree)
    assert ast_json(tree).startswith("{")


def test_a_query_with_too_many_parts_is_refused_in_words() -> None:
    started = time.monotonic()
    with pytest.raises(ParseError, match=f"query has more than {MAX_PARTS} parts"):
        parse("a+" * (1 << 19) + "a", ALL)
    assert time.monotonic() - started < 20  # about 1.3 s on a free core


@pytest.mark.parametrize("query", ["1" * (1 << 20), '"' + "\\n" * (1 << 19), "(" * (1 << 20), "a" * (1 << 20) + " b"])
def test_a_mebibyte_of_text_is_refused_quickly(query: str) -> None:
    with pytest.raises(ParseError):
        parse(query, ALL)


def test_ten_thousand_matchers_are_accepted() -> None:
    tree = parse("a{" + ",".join(f'l{i}=~"v{i}.*"' for i in range(10_000)) + "}", ALL)
    assert isinstance(tree, VectorSelector)
    assert len(tree.matchers) == 10_001


def test_columns_count_bytes_from_the_last_newline() -> None:
    with pytest.raises(ParseError, match=r'^2:10: parse error: unexpected identifier "b"$'):
        parse('a +\n{x="é"} b', ALL)


def test_an_empty_text_has_no_position() -> None:
    with pytest.raises(ParseError, match=r"^unknown position: parse error: no expression found in input$"):
        parse("")


def test_a_selector_alone_may_match_everything() -> None:
    assert parse_selector('{a=""}') == (Matcher(MatchType.EQ, "a", ""),)
    assert parse_selector("up") == (Matcher(MatchType.EQ, "__name__", "up"),)
    with pytest.raises(ParseError, match=r'^1:3: parse error: unexpected "\["$'):
        parse_selector("up[5m]")
    with pytest.raises(ParseError, match=r"^1:3: parse error: unexpected end of input inside braces$"):
        parse_selector("{a")


@pytest.mark.parametrize(
    ("metric", "error"),
    [
        ("m{a}", 'unexpected "}" in label set, expected "="'),
        ("m{a=}", 'unexpected "}" in label set, expected string'),
        ('m{a="b" c="d"}', 'unexpected identifier "c" in label set, expected "," or "}"'),
        ("m{,}", 'unexpected "," in label set, expected identifier or "}"'),
    ],
)
def test_metric_descriptions_speak_of_label_sets(metric: str, error: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_metric(metric)
    assert caught.value.reason == error


def test_a_metric_description_is_a_set_of_labels() -> None:
    assert parse_metric('m{b="2", "x y"=\'1\', empty="",}') == {"__name__": "m", "b": "2", "x y": "1"}
    assert parse_metric('{"m", a="1"}') == {"__name__": "m", "a": "1"}
