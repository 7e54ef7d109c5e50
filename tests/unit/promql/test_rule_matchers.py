"""Which conditions go over to the other side of an operator, and which must not."""

from __future__ import annotations

import pytest

from athanor.model.select import Selection
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.preprocess import QueryWindow, preprocess
from athanor.promql.reads import selector_reads
from athanor.promql.rules.matchers import with_conditions

WINDOW = QueryWindow(0, 600_000, 60_000)


def conditions(query: str, hidden: frozenset[str] = frozenset({"replica"})) -> list[str]:
    """What is added to each selector, in reading order."""
    tree = preprocess(parse(query, Features.all()), WINDOW)
    before = {r.selector: r.selection for r in selector_reads(tree, WINDOW, 300_000, 60_000)}
    after = with_conditions(tree, before, lambda selection: hidden)

    def added(old: Selection, new: Selection) -> str:
        assert new.matchers[: len(old.matchers)] == old.matchers
        return ",".join(f"{m.name}{m.type.value}{m.value}" for m in new.matchers[len(old.matchers) :])

    return [added(before[selector], after[selector]) for selector in before]


@pytest.mark.parametrize(
    ("query", "added"),
    [
        ('x{a="1"} + y', ["", "a=1"]),
        ('x + y{a=~"1|2",b="3"}', ["a=~1|2,b=3", ""]),
        ('x{a="1"} > ignoring () y offset 5m', ["", "a=1"]),
        ('rate(x{a="1"}[5m]) / y', ["", "a=1"]),
        ('sum by (a) (x{a="1",b="2"}) / on (a) count by (a) (y)', ["", "a=1"]),
        ('x{a="1"} * on (a) group_left () count by (a) (y)', ["", "a=1"]),
        ('x * on (a) group_left () sum by (a) (y{a="1"})', ["a=1", ""]),
        ('x{a="1"} and on (a) y', ["", "a=1"]),
        ('x and on (a) y{a="1"}', ["a=1", ""]),
        ('x{a="1"} unless on (a) y', ["", "a=1"]),
        ('(x{a="1"} * y) * z', ["", "a=1", "a=1"]),
        ('x{a="1"} * last_over_time(y[5m])', ["", "a=1"]),
        ('topk by (a) (1, x{a="1"}) and on (a) y', ["", "a=1"]),
        ('(x{a="1"} > 3) and on (a) y', ["", "a=1"]),
    ],
)
def test_a_condition_on_a_matched_label_holds_for_both_sides(query, added):
    assert conditions(query) == added


@pytest.mark.parametrize(
    "query",
    [
        'x{a="1"} or y',
        'x unless on (a) y{a="1"}',
        'x{a="1"} + on (b) y',  # a is not matched, and there may be several y for one b
        'x{a="1"} + on (a) y',  # several y for one a are an error, also where a is 2
        'x{a="1"} + ignoring (b) y',
        'x{a="1"} + {b="2"}',  # series of several names may be one match group
        'x{a="1"} + on (a) group_left () y',
        'x{a="1"} + ignoring (a) count without (a) (y)',
        'x{a="1"} + rate(y[5m])',  # a gauge among y is noted, whatever its labels
        'x{a="1"} + on (a) sum by (a) (y)',  # so are histograms among floats
        'x{a="1"} + fill (0) y',
        'x{replica="r"} + y',  # what was replica r alone is answered without that label
        'x + on (__name__) {__name__="y"}',
        'x{a!="1"} + y',  # most series fulfil it
        'x{a=~".+"} + y',
        'x{a=""} + y',
        'label_replace(x{a="1"}, "a", "2", "", "") + y',
        'scalar(x{a="1"}) + y',
        'sum by (b) (x{a="1"}) and y',
        'x{a="1"} + y smoothed',
        'count_values by (a) ("a", x{a="1"}) and on (a) y',
        'x * on (a) group_left (b) sum by (a, b) (y{b="1"})',
    ],
)
def test_elsewhere_every_selector_asks_for_what_is_written(query):
    assert not any(conditions(query))


def test_what_is_read_once_for_two_places_stays_so():
    assert not any(conditions('(x{a="1"} / y) + y'))
