"""What the index cache keeps, counts and lets go."""

from __future__ import annotations

import numpy as np
import pytest

from athanor.model.matchers import Matcher, MatchType
from athanor.model.metrics import Registry
from athanor.store.index_cache import PAGE_BYTES, SERIES, IndexCache, key_of
from athanor.storeapi.messages import thanos

from .conftest import FIRST_MS, LAST_MS

KEY = key_of((Matcher(MatchType.EQ, "__name__", "up"),))


def refs(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.uint32)


@pytest.fixture
def cache() -> IndexCache:
    return IndexCache(4 * PAGE_BYTES, Registry())


def counted(registry: Registry, name: str) -> dict[str, float]:
    family = next(f for f in registry.families() if f.name == f"thanos_store_index_cache_{name}")
    return {labels[0][1]: value for _, labels, value in family.samples}


def test_expanded_postings_are_of_one_block_and_one_set_of_matchers(cache):
    cache.put_expanded("A", KEY, refs(3))
    assert cache.get_expanded("A", KEY).tolist() == [0, 1, 2]
    assert cache.get_expanded("B", KEY) is None
    for other in (MatchType.NEQ, MatchType.RE, MatchType.NRE):
        assert cache.get_expanded("A", key_of((Matcher(other, "__name__", "up"),))) is None


def test_they_share_the_bytes_of_the_pages_and_the_least_used_go_first(cache):
    cache.put_expanded("A", KEY, refs(PAGE_BYTES // 4))
    cache.put("A", 0, memoryview(bytes(2 * PAGE_BYTES)))
    assert cache.get_expanded("A", KEY) is not None
    cache.put("B", 0, memoryview(bytes(PAGE_BYTES)))
    assert cache.held_bytes <= cache.max_bytes
    assert cache.get("A", range(1), SERIES) == [None]
    assert cache.get_expanded("A", KEY) is not None


def test_what_would_take_half_of_the_cache_is_not_kept(cache):
    cache.put_expanded("A", KEY, refs(PAGE_BYTES // 2))
    long = key_of((Matcher(MatchType.EQ, "__name__", "x" * PAGE_BYTES),))
    cache.put_expanded("A", long, refs(1))
    assert cache.held_bytes == 0


def test_a_block_that_left_takes_everything_with_it(cache):
    cache.put_expanded("A", KEY, refs(1))
    cache.put("A", 0, memoryview(b"page"))
    cache.forget("A")
    assert cache.held_bytes == 0


def test_a_request_that_comes_again_reads_no_postings(golden_store):
    store = golden_store.open()
    request = thanos.SeriesRequest(min_time=FIRST_MS, max_time=LAST_MS, aggregates=(1, 2), response_batch_size=1)
    request.matchers.add(type=2, name="__name__", value=".+")

    def answer() -> list[bytes]:
        code, message, frames = store.call("/thanos.Store/Series", request.SerializeToString())
        assert (code, message) == ("OK", "")
        return frames

    first = answer()
    assert first
    before = counted(store.registry, "requests_total")
    assert answer() == first
    after = counted(store.registry, "requests_total")
    hits = counted(store.registry, "hits_total")
    assert after["Postings"] == before["Postings"]
    assert after["ExpandedPostings"] == 2 * before["ExpandedPostings"] > 0
    assert hits["ExpandedPostings"] == before["ExpandedPostings"]
