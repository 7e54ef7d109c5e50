"""Which labels a query looks at, told to storage."""

from __future__ import annotations

import pytest

from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.preprocess import QueryWindow, preprocess
from athanor.promql.reads import selector_reads
from athanor.promql.rules.projection import with_projections

NAMES = {"__name__", "__type__", "__unit__"}


def projections(query: str) -> list[set[str] | None]:
    """Of each selector, in reading order, what is needed besides the labels of its name."""
    tree = preprocess(parse(query, Features.all()), QueryWindow(0, 600_000, 60_000))
    reads = selector_reads(tree, QueryWindow(0, 600_000, 60_000), 300_000, 60_000)
    found = with_projections(tree, {read.selector: read.selection for read in reads})
    wanted = [found[read.selector].hints.projection for read in reads]
    return [None if one is None else set(one) - NAMES for one in wanted]


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        ("sum by (job) (rate(x[5m]))", [{"job"}]),
        ("count(x)", [set()]),
        ("sum by (job, le) (-(x > 2) * 3)", [{"job", "le"}]),
        ("quantile by (a) (0.9, max_over_time(x[10m:1m]))", [{"a"}]),
        ("count_values by (a) ('v', x)", [{"a"}]),
        ("histogram_quantile(0.9, sum by (le) (rate(x[5m])))", [{"le"}]),
        ("sum by (a) (count by (a, b) (x))", [{"a", "b"}]),
        ("sum by (a) (x) / sum by (b) (y)", [{"a"}, {"b"}]),
        ("sum by (job) (x @ start() offset 5m)", [{"job"}]),
        # The query shows, matches or orders by other labels.
        ("x", [None]),
        ("rate(x[5m])", [None]),
        ("sum without (i) (x)", [None]),
        ("topk by (job) (1, x)", [None]),
        ("sum by (job) (topk(1, x))", [None]),
        ("limitk by (job) (1, x)", [None]),
        ("sum by (job) (x * on (i) y)", [None, None]),
        ("sum by (job) (label_replace(x, 'job', '$1', 'i', '(.*)'))", [None]),
        ("sum by (job) (histogram_quantile(0.9, x))", [None]),
        ("sum by (job) (absent(x))", [None]),
        # Series of several names become equal once these are gone, which is an error.
        ("sum by (job) (rate({__name__=~'x|y'}[5m]))", [None]),
        # Read once for both.
        ("sum by (a) (rate(x[5m])) / max by (b) (rate(x[5m]))", [None, None]),
    ],
)
def test_what_a_query_needs(query: str, needed: list[set[str] | None]) -> None:
    assert projections(query) == needed
