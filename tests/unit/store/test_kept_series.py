"""A few series of a block are kept with the places of their chunks: later requests answer as a store without them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from athanor.bucket import FilesystemBucket
from athanor.model.metrics import Registry
from athanor.model.tables import label_table
from athanor.store.index_cache import KEPT_SERIES_MAX_BYTES, SERIES, IndexCache
from athanor.store.index_reader import IndexReader
from athanor.store.labelled import KeptSeries, LabelledSeries
from athanor.storeapi.messages import thanos

from .conftest import FIRST_MS, GOLDEN, LAST_MS
from .test_index_cache import counted


def some_request(rng: random.Random, first_ms: int, last_ms: int) -> thanos.SeriesRequest:
    span = sorted(rng.randrange(first_ms - 60_000, last_ms + 60_000) for _ in range(2))
    if rng.random() < 0.3:
        span = [first_ms, last_ms]
    request = thanos.SeriesRequest(
        min_time=span[0], max_time=span[1], response_batch_size=rng.choice((1, 3, 100)),
        aggregates=rng.choice(((1, 2), (5,), (3,))), max_resolution_window=rng.choice((0, 0, 300_000, 3_600_000)),
        skip_chunks=rng.random() < 0.2, limit=rng.choice((0, 0, 0, 2)),
        without_replica_labels=rng.choice(((), (), ("replica",), ("instance",), ("replica", "instance"), ("absent",))),
    )  # fmt: skip
    names = rng.choice((".+", ".*o.*", ".*t.*", "up|weird", "lat.*", "sampled"))
    request.matchers.add(type=2, name="__name__", value=names)
    if rng.random() < 0.2:
        request.shard_info.total_shards, request.shard_info.shard_index = 2, rng.randrange(2)
        request.shard_info.by = False
    return request


@pytest.mark.parametrize("seed", range(4))
def test_requests_are_answered_as_without_them(golden_store, seed):
    rng = random.Random(seed)
    keeps, forgets = golden_store.open(), golden_store.open(cache_bytes=0)
    blocks = keeps.blocks.served.blocks
    first_ms, last_ms = min(b.min_ms for b in blocks), max(b.end_ms for b in blocks)
    n_answers = 0
    for _ in range(150):
        data = some_request(rng, first_ms, last_ms).SerializeToString()
        wanted = forgets.call("/thanos.Store/Series", data)
        assert keeps.call("/thanos.Store/Series", data) == wanted
        n_answers += bool(wanted[2])
    assert n_answers > 50
    assert counted(keeps.registry, "hits_total")[SERIES] > 100
    assert keeps.budget.held_bytes == 0


def test_the_second_request_decodes_no_entry(golden_store, monkeypatch):
    store = golden_store.open()
    request = thanos.SeriesRequest(min_time=FIRST_MS, max_time=LAST_MS, aggregates=(1, 2))
    request.matchers.add(type=2, name="__name__", value="up|long.*")
    first = store.call("/thanos.Store/Series", request.SerializeToString())

    def refuse(*arguments):
        raise AssertionError("entries are read again")

    monkeypatch.setattr(IndexReader, "series", refuse)
    assert store.call("/thanos.Store/Series", request.SerializeToString()) == first
    assert first[2]
    request.without_replica_labels.append("replica")
    with pytest.raises(AssertionError, match="read again"):
        store.call("/thanos.Store/Series", request.SerializeToString())


class Watched(FilesystemBucket):
    """Tells what is read."""

    def __init__(self, directory) -> None:
        super().__init__(directory)
        self.read: list[tuple[str, int, int]] = []

    def get_range(self, name, at, length):
        self.read.append((name, at, length))
        return super().get_range(name, at, length)

    def get_ranges(self, name, ranges):
        self.read += [(name, at, length) for at, length in ranges]
        return super().get_ranges(name, ranges)


def test_the_second_request_reads_no_index_but_every_chunk_again(golden_store):
    bucket = Watched(GOLDEN / "bucket")
    store = golden_store.open(bucket)
    request = thanos.SeriesRequest(min_time=FIRST_MS, max_time=LAST_MS, aggregates=(1, 2))
    request.matchers.add(type=2, name="__name__", value=".+")
    answers, reads = [], []
    for _ in range(2):
        bucket.read = []
        answers.append(store.call("/thanos.Store/Series", request.SerializeToString()))
        reads.append(sorted(bucket.read))
    assert answers[0] == answers[1] and answers[0][2]
    chunks = [one for one in reads[0] if "/chunks/" in one[0]]
    assert chunks and len(chunks) < len(reads[0])
    assert reads[1] == chunks


def kept(n_chunks: int) -> KeptSeries:
    columns = (np.arange(n_chunks, dtype=np.int64) for _ in range(3))
    series = LabelledSeries(label_table([[("a", "b")]]), np.array([0, n_chunks]), *columns)
    return KeptSeries(series, keeps_order=True)


def test_they_share_the_bytes_of_the_cache_and_leave_with_their_block():
    cache = IndexCache(1 << 20, Registry())
    key = ((), b"1234")
    cache.put_series("A", key, kept(10))
    assert cache.get_series("A", key) is not None
    assert cache.get_series("A", (("replica",), b"1234")) is None
    assert cache.get_series("B", key) is None
    assert cache.held_bytes > 240
    cache.put_series("A", ((), b"5678"), kept(KEPT_SERIES_MAX_BYTES // 24 + 1))
    assert cache.get_series("A", ((), b"5678")) is None
    cache.put_series("A", (("x" * KEPT_SERIES_MAX_BYTES,), b"1234"), kept(1))
    assert cache.get_series("A", (("x" * KEPT_SERIES_MAX_BYTES,), b"1234")) is None
    before = cache.held_bytes
    cache.put_series("A", (("x" * 8_000,), b"1234"), kept(1))
    assert cache.held_bytes - before > 8_000
    for i in range(2_000):
        cache.put_series("A", ((), str(i).encode()), kept(40))
    assert cache.held_bytes <= 1 << 20
    assert cache.get_series("A", key) is None
    cache.forget("A")
    assert cache.held_bytes == 0
