"""How the query's flags become settings of the engine."""

from __future__ import annotations

import pytest

from athanor.model.log import Logger
from athanor.promql.features import Features
from athanor.serve.config import build
from athanor.serve.config_query import QueryConfig
from athanor.serve.flags import evaluate, read_words
from athanor.serve.run_query import _features
from athanor.serve.table import load_table

TABLE = load_table()


def features_of(*flags: str) -> tuple[Features, list[str]]:
    lines: list[str] = []
    words = read_words(("query", *(f"--enable-feature={name}" for name in flags)), TABLE)
    config = build(QueryConfig, evaluate(words, TABLE))
    return _features(config, Logger(level="warn", emit=lines.append)), lines


def test_experimental_functions_are_off_until_they_are_asked_for():
    assert features_of()[0] == Features.thanos_0_43()
    assert features_of("promql-experimental-functions")[0].experimental_functions


def test_a_list_in_one_flag_enables_nothing_and_unknown_names_are_ignored():
    assert features_of("promql-experimental-functions,other", "other") == (Features.thanos_0_43(), [])


@pytest.mark.parametrize("name", ["promql-at-modifier", "promql-negative-offset", "query-pushdown"])
def test_features_of_the_past_are_told_in_a_warning(name: str):
    features, lines = features_of(name)
    assert features == Features.thanos_0_43()
    assert len(lines) == 1 and f"option={name}" in lines[0]
