"""The Series request of a selector: what Thanos' querier sends, and no hint besides (pkg/query/querier.go)."""

from __future__ import annotations

import pytest

from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.preprocess import QueryWindow, preprocess
from athanor.promql.reads import selector_reads
from athanor.query.storage import QuerierOptions, series_request
from athanor.storeapi import messages
from athanor.storeapi.messages import decode, encode, thanos

COUNT, SUM, MIN, MAX, COUNTER = 1, 2, 3, 4, 5
OPTIONS = QuerierOptions(replica_labels=("replica",), max_source_resolution_ms=3_600_000)


def requests(query: str, options: QuerierOptions = OPTIONS) -> list[object]:
    """As a store decodes them, in reading order."""
    window = QueryWindow(600_000, 1_200_000, 60_000)
    tree = preprocess(parse(query, Features.all()), window)
    reads = selector_reads(tree, window, 300_000, 60_000)
    return [
        decode(thanos.SeriesRequest, encode(series_request(read.selection, options)), "a request") for read in reads
    ]


def test_a_request_has_the_fields_that_thanos_fills_in():
    (request,) = requests('sum by (job) (rate(x{a="1"}[5m] offset 1m))')
    # the window is open on the left: 600 s - 60 s - 300 s, and one millisecond
    assert (request.min_time, request.max_time) == (240_001, 1_140_000)
    assert [(m.type, m.name, m.value) for m in request.matchers] == [(0, "a", "1"), (0, "__name__", "x")]
    assert list(request.aggregates) == [COUNTER]
    assert request.max_resolution_window == 150_000
    assert request.partial_response_strategy == messages.WARN
    assert list(request.without_replica_labels) == ["replica"]
    assert (request.skip_chunks, request.limit, request.step, request.range) == (False, 0, 0, 0)
    assert not request.HasField("shard_info")


@pytest.mark.parametrize("query", ["x", "max by (job) (x)", "sum without (i) (rate(x[5m]))", "max_over_time(x[5m])"])
def test_the_only_hint_names_the_label_of_a_hash(query):
    for request in requests(query):
        hints = request.query_hints
        assert encode(hints).hex() == "42125f5f63665f7365726965735f686173685f5f"
        assert hints.series_hash_label_name == "__cf_series_hash__"


@pytest.mark.parametrize(
    ("query", "aggregates", "resolution_ms"),
    [
        ("x", [COUNT, SUM], 3_600_000),
        ("sum(x)", [COUNT, SUM], 3_600_000),
        ("min(x)", [MIN], 3_600_000),
        ("max_over_time(x[2h])", [MAX], 3_600_000),
        ("count(x)", [COUNT], 3_600_000),
        ("sum_over_time(x[10m])", [SUM], 3_600_000),
        ("irate(x[10m])", [COUNTER], 300_000),
        ("resets(x[10m])", [COUNTER], 3_600_000),
        ("delta(x[10m])", [COUNT, SUM], 300_000),
        ("max(x + 1)", [COUNT, SUM], 3_600_000),
    ],
)
def test_function_and_range_decide_aggregates_and_resolution(query, aggregates, resolution_ms):
    (request,) = requests(query)
    assert (list(request.aggregates), request.max_resolution_window) == (aggregates, resolution_ms)


def test_without_deduplication_the_replica_labels_stay():
    (request,) = requests("x", QuerierOptions(deduplicate=False, replica_labels=("replica",)))
    assert list(request.without_replica_labels) == []
