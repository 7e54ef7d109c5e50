"""format_query and parse_query against answers recorded from Prometheus 3.14."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CASES = json.loads((Path(__file__).parents[2] / "golden/query/syntax.json").read_text())


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['path']} {case['query'][:30]}")
def test_queries_are_formatted_and_parsed_as_prometheus_does(case, method, querier):
    pairs = [("query", case["query"])]
    sent = {"form": pairs} if method == "POST" else {"params": pairs}
    status, _, body = querier.ask(method, f"/api/v1/{case['path']}", **sent)
    assert (status, json.loads(body)) == (case["code"], case["body"])
