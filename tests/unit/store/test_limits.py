"""What one call may touch, and how it says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

CASES = json.loads((Path(__file__).parents[2] / "golden/store/limits.json").read_text())
LIMITS = {"store_series_1": {"max_series": 1}, "store_samples_120": {"max_chunks": 1}}


def without_luck(message):
    """Which block a message names and the number that it got depend on which block was read first."""
    return re.sub(r"got \d+", "got N", re.sub(r"[0-9A-Z]{26}", "<ULID>", message))


@pytest.mark.parametrize(("server", "name"), [(server, name) for server in LIMITS for name in sorted(CASES[server])])
def test_a_limit_ends_the_call_as_in_the_original(golden_store, server, name):
    store, case = golden_store.open(**LIMITS[server]), CASES[server][name]
    code, message, frames = store.call(case["method"], bytes.fromhex(case["request"]))
    assert (code, without_luck(message)) == (case["code"], without_luck(case["message"]))
    if case["method"].endswith("Series"):
        assert [frame.hex() for frame in frames] == case["frames"]
    assert store.budget.held_bytes == 0


@pytest.mark.parametrize("name", ["eq", "skip_chunks", "ln_matcher", "lv_name_matcher"])
def test_a_limit_on_bytes_counts_what_comes_from_the_bucket(golden_store, name):
    store, case = golden_store.open(max_bytes=100), CASES["store_bytes_100"][name]
    code, message, _ = store.call(case["method"], bytes.fromhex(case["request"]))
    assert code == "RESOURCE_EXHAUSTED"
    assert re.search(r"exceeded bytes limit while fetching (postings|series): limit 100 violated \(got \d+\)$", message)


def test_a_dropped_query_is_counted_once_for_its_limit(golden_store):
    store, case = golden_store.open(max_series=1), CASES["store_series_1"]["eq"]
    store.call(case["method"], bytes.fromhex(case["request"]))
    dropped = next(f for f in store.registry.families() if f.name == "thanos_bucket_store_queries_dropped_total")
    assert dropped.samples == (("", (("reason", "series"), ("tenant", "default-tenant")), 1.0),)
