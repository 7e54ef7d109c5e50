"""Recorded answers of Prometheus 3.14's parser: error texts with places, both printed forms, trees, places of nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from athanor.promql.ast import walk
from athanor.promql.ast_json import ast_json
from athanor.promql.errors import ParseError
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.pretty import pretty
from athanor.promql.printer import text

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "promql" / "parser_3_14.jsonl"
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
NONE = Features(duration_expressions=False)


def features_of(record: dict[str, Any]) -> Features:
    return NONE if record.get("features") == "none" else Features.all()


def test_every_refused_query_is_refused_with_the_same_words_at_the_same_place() -> None:
    refused = [record for record in RECORDS if "error" in record]
    assert len(refused) > 1000
    for record in refused:
        with pytest.raises(ParseError) as caught:
            parse(record["query"], features_of(record))
        assert str(caught.value) == record["error"], record["query"]


def test_every_accepted_query_prints_the_same_normal_form() -> None:
    accepted = [record for record in RECORDS if "text" in record]
    assert len(accepted) > 200
    for record in accepted:
        assert text(parse(record["query"], features_of(record))) == record["text"], record["query"]


def test_every_node_has_the_same_place() -> None:
    for record in RECORDS:
        if "places" in record:
            tree = parse(record["query"], features_of(record))
            assert [[node.start, node.end] for node in walk(tree)] == record["places"], record["query"]


def test_trees_as_json_are_the_same() -> None:
    trees = [record for record in RECORDS if "tree" in record]
    assert len(trees) > 80
    for record in trees:
        assert json.loads(ast_json(parse(record["query"], Features.all()))) == record["tree"], record["query"]


def test_long_queries_are_broken_into_the_same_lines() -> None:
    long = [record for record in RECORDS if "pretty" in record]
    assert len(long) > 5
    for record in long:
        assert pretty(parse(record["query"], Features.all())) == record["pretty"]
