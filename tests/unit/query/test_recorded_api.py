"""What a real Thanos 0.43 answered over the recorded blocks, asked of ours: status, body, Cache-Control."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden/query"
STATS = re.compile(r',"stats":\{.*\}(?=,"analysis")|"stats":\{.*\},(?="analysis")')
TWO_SERIES = re.compile(r"side of the operation: \[(.*?)\];")
"""The original names two series in random order, ours sorts them."""
OUR_OWN = {
    "range_step_subms": "the original divides by zero; ours says what is wrong",
    "timeout_tiny": "may succeed or not, by the speed of the machine",
    "timeout_negative": "the original answers 422 or 503 at random; ours always 422",
    "errors-timeout_exceeded": "the original answers 422 or 503 at random; ours always 422",
    "time_now_vector_GET": "the time of the request",
    "time_now_vector_POST": "the time of the request",
    "stores": "the time of the check",
    "runtimeinfo": "facts of the process",
    "buildinfo": "facts of the process",
}
OF_THE_SERVER = (301, 307, 404, 405)
"""Answers of the router: tests of the HTTP server cover them."""


def cases(name: str):
    for case in json.loads((GOLDEN / f"{name}.json").read_text())["cases"]:
        request = case["request"]
        is_api = request["path"].startswith("/api/") and request["method"] != "OPTIONS"
        if is_api and case["name"] not in OUR_OWN and case["status"] not in OF_THE_SERVER:
            yield pytest.param(case, id=f"{name}-{case['name']}")


def asked(querier, case):
    request = case["request"]
    path, _, query = request["path"].partition("?")
    return querier.ask(
        request["method"],
        path,
        query or request.get("params", ()),
        form=request.get("form"),
        headers=request.get("headers"),
        body=request.get("raw_body", "").encode(),
    )


def sorted_names(body):
    return TWO_SERIES.sub(lambda match: "; ".join(sorted(match[1].strip("{}").split("}, {"))), body)


@pytest.mark.parametrize("case", [*cases("query"), *cases("metadata"), *cases("replay"), *cases("explain")])
def test_the_answer_is_the_recorded_one(querier, case):
    status, headers, body = asked(querier, case)
    shown = STATS.sub("", body)
    if "body" in case:
        assert sorted_names(shown) == sorted_names(STATS.sub("", case["body"]))
    else:
        assert (hashlib.sha256(body.encode()).hexdigest(), len(body.encode())) == (
            case["body_sha256"], case["body_length"],
        )  # fmt: skip
    assert status == case["status"]
    assert (headers.get("Cache-Control") == "no-store") == case["no_store"]
    assert querier.memory.held_bytes == 0


def test_the_stores_are_the_recorded_ones_but_for_the_time_of_the_check(querier):
    case = next(c for c in json.loads((GOLDEN / "metadata.json").read_text())["cases"] if c["name"] == "stores")
    body = asked(querier, case)[2]
    without_time = re.compile(r'"lastCheck":"[^"]*"')
    assert without_time.sub("", body) == without_time.sub("", case["body"])
    assert '"lastCheck":"1970-01-01T00:00:01.5Z"' in body
