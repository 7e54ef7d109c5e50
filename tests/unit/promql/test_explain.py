"""Operators as Thanos' engine names them. Beyond what is recorded (tests/unit/query), names follow from its rules."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from athanor.promql.ast import VectorSelector, walk
from athanor.promql.errors import QueryError
from athanor.promql.explain import Explained, explain
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.preprocess import QueryWindow, preprocess

GOLDEN = Path(__file__).parents[2] / "golden/query"
OTHER_TREE = {
    'atan(timestamp(g{instance=~"0|2"} @ start()))': "the library inside Thanos has no timestamp() step-invariant",
}
RANGE = QueryWindow(1_700_000_000_000, 1_700_000_600_000, 60_000)
FEATURES = Features(experimental_functions=True, since_3_10=False, duration_expressions=False, x_functions=True)


def explained(query: str) -> Explained | None:
    return explain(preprocess(parse(query, FEATURES), RANGE))


def outline(operator: Explained | None) -> list[str]:
    """Names, indented by depth."""
    assert operator is not None
    lines, stack = [], [(operator, 0)]
    while stack:
        one, depth = stack.pop()
        lines.append("  " * depth + one.name)
        stack.extend((child, depth + 1) for child in reversed(one.children))
    return lines


def tree(operator: Explained) -> dict[str, Any]:
    children = [tree(child) for child in operator.children]
    return {"name": operator.name, **({"children": children} if children else {})}


def checksum_of(root: Explained) -> int:
    return zlib.crc32(json.dumps(tree(root), separators=(",", ":"), ensure_ascii=False).encode())


def recorded_queries() -> list[str]:
    cases = json.loads((GOLDEN / "explain.json").read_text())["cases"]
    return sorted({dict(c["request"]["params"])["query"] for c in cases if c["status"] == 200})


@pytest.mark.parametrize("query", recorded_queries())
def test_every_operator_says_which_part_of_the_query_it_gives(query):
    prepared = preprocess(parse(query, FEATURES), RANGE)
    known, stack = set(walk(prepared)), [explain(prepared)]
    while stack:
        operator = stack.pop()
        assert operator.node in known or operator.name.startswith("[numberLiteral]")
        assert operator.selector is None or isinstance(operator.selector, VectorSelector)
        stack.extend(operator.children)


def test_a_thousand_generated_queries_have_the_operators_that_thanos_gives_them():
    """Trees are recorded as checksums."""
    cases = json.loads(gzip.decompress((GOLDEN / "explained.json.gz").read_bytes()))["cases"]
    assert sum(checksum != 0 for *_, checksum in cases) > 1_000
    differ = set()
    for query, *window, checksum in cases:
        root = explain(preprocess(parse(query, FEATURES), QueryWindow(*window)))
        found = 0 if root is None else checksum_of(root)
        if found != checksum:
            differ.add(query)
    assert differ == set(OTHER_TREE)


def test_constants_are_folded_as_far_as_arithmetic_goes():
    assert outline(explained("-(1 + 2) * 2 ^ 2")) == ["[numberLiteral] -12"]
    assert outline(explained("1 > bool 2")) == [
        "[stepInvariant]", "  [duplicateLabelCheck]", "    [vectorScalarBinary] >", "      [numberLiteral] 1",
        "      [numberLiteral] 2",
    ]  # fmt: skip


def test_a_negative_number_inside_of_arguments_stands_in_parentheses():
    assert "  [function] clamp_min([x (-1.5)])" in outline(explained("clamp_min(x, -1.5)"))


def test_the_narrower_selector_of_a_metric_lists_the_conditions_of_the_wider_one_first():
    lines = outline(explained('x{z="1", a="2"} / x{z="1"}'))
    assert [line.strip() for line in lines if "vectorSelector" in line] == [
        '[vectorSelector] {[__name__="x" z="1" a="2"]} 0 mod 1',
        '[vectorSelector] {[__name__="x" z="1"]} 0 mod 1',
    ]


def test_labels_are_sorted_except_those_to_ignore():
    assert outline(explained("abs(x + on (z, a) y)"))[1:4] == [
        "  [function] abs([x + on (a, z) y])", "    [duplicateLabelCheck]",
        "      [vectorBinary] + - one-to-one, on: [a z], group: []",
    ]  # fmt: skip
    assert "  [function] abs([x + ignoring (z, a) y])" in outline(explained("abs(x + ignoring (z, a) y)"))
    assert "    [aggregate] sum by ([a z])" in outline(explained("sum by (z, a) (x)"))


def test_sorting_is_no_operator_except_where_a_timestamp_would_change():
    assert outline(explained("sort(x)")) == outline(explained("x"))
    assert "  [timestamp]" in outline(explained("timestamp(sort(x))"))
    assert "    [function] sort([x])" in [line[2:] for line in outline(explained("timestamp(sort(x))"))]


def test_numbers_of_a_range_function_are_operators_over_a_subquery_only():
    assert outline(explained("quantile_over_time(0.5, x[5m:1m])")) == [
        "[duplicateLabelCheck]", "  [subquery] quantile_over_time()", "    [numberLiteral] 0.5",
        "    [concurrent(buff=2)]", '      [vectorSelector] {[__name__="x"]} 0 mod 1',
    ]  # fmt: skip
    assert explained("quantile_over_time(scalar(x), x[5m])") is None


@pytest.mark.parametrize("query", ["info(x)", "sum(info(x))", "info(x) + 1", "abs(predict_linear(x[5m], scalar(x)))",
                                   "predict_linear(x[5m:1m] @ 5, 60)"])  # fmt: skip
def test_what_the_engine_of_thanos_does_not_have_is_not_explained(query):
    assert explained(query) is None


def test_the_extended_functions_are_range_functions():
    assert outline(explained("xrate(x[5m])")) == [
        "[duplicateLabelCheck]", "  [concurrent(buff=2)]", '    [matrixSelector] xrate({[__name__="x"]}[5m0s] 0 mod 1)',
    ]  # fmt: skip


def test_only_arguments_are_repeated_so_long_sums_are_explained():
    lines = outline(explained(" + ".join(f"m{i}" for i in range(2_000))))
    assert len(lines) == 2 * 1_999 + 2 * 2_000


@pytest.mark.alone
def test_names_that_repeat_their_arguments_may_not_grow_without_bound():
    """Each level of abs() holds the text of all levels below it."""
    began = time.monotonic()
    query = "abs(" * 900 + 'x{a="' + "v" * 100_000 + '"}' + ")" * 900
    with pytest.raises(QueryError, match="takes more than 4000000 characters; ask for a part of it"):
        explained(query)
    assert time.monotonic() - began < 2
