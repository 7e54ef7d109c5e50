"""Matchers to posting groups."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.block.select import accepted_rows, plan_postings, posting_groups
from athanor.model.matchers import Matcher, MatchType

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/store/posting_groups.json").read_text())


@dataclass
class Table:
    """Values by name, with row 0 for all series."""

    values: dict[str, list[str]]

    def __post_init__(self):
        rows = [("", "")] + [(n, v) for n in sorted(self.values) for v in sorted(self.values[n])]
        encoded = [v.encode() for _, v in rows]
        self.rows = rows
        self.value_arena = np.frombuffer(b"".join(encoded) or b"\0", np.uint8)
        self.value_size = np.array([len(e) for e in encoded], np.int64)
        self.value_at = np.cumsum(self.value_size) - self.value_size

    def rows_of(self, name):
        found = [i for i, (n, _) in enumerate(self.rows) if i and n == name]
        return (found[0], found[-1] + 1) if found else (0, 0)

    def texts(self, rows):
        return [self.rows[i][1] for i in rows]


def matcher(found):
    return Matcher(MatchType[found["type"]], found["name"], found["value"])


def existing(table, group, field):
    known = set(table.values.get(group["name"], ()))
    return [key for key in group[field] if key in known]


@pytest.mark.parametrize("case", GOLDEN["matchers_to_posting_groups"], ids=lambda c: c["name"])
def test_groups_are_those_of_the_original(case):
    table = Table(case["label_values"])
    groups = posting_groups(table, [matcher(m) for m in case["matchers"]])
    assert [(g.name, g.add_all, table.texts(g.add), table.texts(g.remove)) for g in groups] == [
        (g["name"], g["add_all"], existing(table, g, "add_keys"), existing(table, g, "remove_keys"))
        for g in case["expected_groups"]
    ]


@pytest.mark.parametrize("case", GOLDEN["to_posting_group"], ids=lambda c: c["matcher"]["type"] + c["matcher"]["value"])
def test_one_matcher_becomes_the_group_of_the_original(case):
    table = Table({case["matcher"]["name"]: case["label_values"]})
    groups = posting_groups(table, [matcher(case["matcher"])])
    if not case["add_all"] and not case["add_keys"]:
        assert groups == []
    else:
        (group,) = groups
        assert (group.add_all, table.texts(group.add), table.texts(group.remove)) == (
            case["add_all"],
            case["add_keys"],
            case["remove_keys"],
        )


def test_all_series_are_read_only_where_nothing_else_is_added():
    table = Table({"a": ["1", "2"], "b": ["x"]})
    plan = plan_postings(table, [Matcher(MatchType.NEQ, "a", "1")])
    assert [g.tolist() for g in plan.groups] == [[0]] and plan.remove.tolist() == [1]
    plan = plan_postings(table, [Matcher(MatchType.NEQ, "a", "1"), Matcher(MatchType.EQ, "b", "x")])
    assert [g.tolist() for g in plan.groups] == [[3]] and plan.remove.tolist() == [1]


def test_no_matcher_matches_nothing():
    assert plan_postings(Table({"a": ["1"]}), []) is None


VALUES = st.lists(st.text("abcé|\n", max_size=6).filter(bool), max_size=12, unique=True)
PATTERNS = st.sampled_from(
    [
        "", ".*", ".+", "a", "a|b", "a|bc|", "a.*", "a.+", ".*a", ".+a", ".*a.*", ".+b.+", "a.*b", "a.+b.*c", "é.*",
        ".*é.+", "[ab]c?", "(a|b)+", "a(b|c).*", "ab.*[c]", "(?i)A.*", "aa.*aa", "[^a].*",
    ]
)  # fmt: skip


@given(VALUES, PATTERNS, st.sampled_from([MatchType.RE, MatchType.NRE]))
def test_a_regular_expression_is_decided_as_re2_decides_it(values, pattern, kind):
    table = Table({"n": values, "z": ["a", "b"]})
    asked = Matcher(kind, "n", pattern)
    rows = accepted_rows(table, *table.rows_of("n"), asked)
    assert table.texts(rows) == [v for v in sorted(values) if asked.matches(v)]


@given(VALUES, st.text("abcé", max_size=3), st.sampled_from([MatchType.EQ, MatchType.NEQ]))
def test_a_literal_is_found_among_the_values(values, literal, kind):
    table = Table({"n": values})
    asked = Matcher(kind, "n", literal)
    rows = accepted_rows(table, *table.rows_of("n"), asked)
    assert table.texts(rows) == [v for v in sorted(values) if asked.matches(v)]
