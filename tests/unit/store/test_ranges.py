"""A block of 200,000 series: what is read of it, on the filesystem and on S3."""

from __future__ import annotations

import threading
import time
import urllib.request

import numpy as np
import pytest

from athanor.block.meta import BlockMeta, Compaction, ThanosMeta
from athanor.block.writer import encode_samples, write_block
from athanor.bucket import FilesystemBucket
from athanor.bucket.s3 import S3Bucket
from athanor.bucket.s3_config import S3Config
from athanor.kernel.labels import sort_order, take
from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.rpc import Call
from athanor.model.tables import ChunkTable, Samples, label_table
from athanor.storeapi.messages import thanos

N_SERIES, ULID = 200_000, "01HF0000000000000000000001"
HOUR_MS = 3_600_000
FIRST_MS = 1_700_006_400_000


@pytest.fixture(scope="module")
def big_bucket(tmp_path_factory):
    """Series m000..m199 of 1,000 instances, each with one chunk of the same 100 samples."""
    root = tmp_path_factory.mktemp("bucket")
    labels = label_table(
        [
            (("__name__", f"m{i % 200:03d}"), ("instance", f"host-{i // 200:04d}:9100"), ("job", f"job-{i % 7}"))
            for i in range(N_SERIES)
        ]
    )
    labels = take(labels, sort_order(labels))
    ts_ms = FIRST_MS + 60_000 * np.arange(100, dtype=np.int64)
    one = encode_samples(Samples(ts_ms, np.arange(100) * 1.5, np.array([0, 100])))
    assert len(one) == 1
    chunks = ChunkTable(
        np.arange(N_SERIES, dtype=np.int32), np.repeat(one.first_ms, N_SERIES), np.repeat(one.last_ms, N_SERIES),
        np.repeat(one.encoding, N_SERIES), np.repeat(one.aggregate, N_SERIES), np.repeat(one.hash, N_SERIES),
        np.repeat(one.at, N_SERIES), np.repeat(one.size, N_SERIES), one.arena,
    )  # fmt: skip
    meta = BlockMeta(
        ULID, FIRST_MS, FIRST_MS + 2 * HOUR_MS, compaction=Compaction(1, (ULID,)),
        thanos=ThanosMeta(labels={"cluster": "eu1"}, segment_files=("000001",)),
    )  # fmt: skip
    write_block(root, labels, chunks, meta)
    return root


@pytest.fixture(scope="module")
def s3_bucket(big_bucket):
    moto = pytest.importorskip("moto.server", reason="moto[server,s3] is not installed: pip install 'athanor[test]'")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"{host}:{port}"
    created = urllib.request.Request(f"http://{endpoint}/big", method="PUT")
    urllib.request.urlopen(created, timeout=20).close()
    bucket = S3Bucket(
        S3Config(bucket="big", endpoint=endpoint, access_key="a", secret_key="s", insecure=True, region="us-east-1")
    )
    for path in sorted(big_bucket.rglob("*")):
        if path.is_file():
            bucket.upload(str(path.relative_to(big_bucket)), path)
    yield bucket
    server.stop()


@pytest.fixture(params=["filesystem", "s3"])
def bucket(request, big_bucket):
    if request.param == "filesystem":
        return FilesystemBucket(big_bucket)
    return request.getfixturevalue("s3_bucket")


def ask(store, *matchers, **fields):
    request = thanos.SeriesRequest(
        min_time=FIRST_MS, max_time=FIRST_MS + 2 * HOUR_MS, response_batch_size=1000,
        matchers=[thanos.LabelMatcher(type=kind, name=name, value=value) for kind, name, value in matchers], **fields,
    )  # fmt: skip
    code, message, frames = store.call("/thanos.Store/Series", request.SerializeToString())
    assert (code, message) == ("OK", "")
    return [series for f in frames for series in thanos.SeriesResponse.FromString(f).batch.series]


def since(counters, before):
    requests, n_bytes = before
    return counters.n_requests - requests, counters.n_bytes - n_bytes


def test_ten_series_take_few_requests_and_bytes(bucket, golden_store, big_bucket):
    store = golden_store.open(bucket)
    index_bytes = (big_bucket / ULID / "index").stat().st_size
    header_bytes = (golden_store.tmp_path / "data" / ULID / "index-header").stat().st_size
    meta_bytes = (big_bucket / ULID / "meta.json").stat().st_size
    read_for_header = store.counters.n_bytes - meta_bytes
    assert header_bytes < index_bytes / 5
    assert read_for_header <= header_bytes + 64, "only head, contents, symbols and postings table are read"
    before = store.counters.n_requests, store.counters.n_bytes
    found = ask(store, (0, "__name__", "m042"), (2, "instance", "host-000[0-9]:9100"))
    assert len(found) == 10 and all(len(series.chunks) == 1 for series in found)
    requests, n_bytes = since(store.counters, before)
    assert requests <= 12
    assert n_bytes < 1 << 20


def test_ten_series_far_from_each_other_take_few_requests_and_bytes(bucket, golden_store):
    store = golden_store.open(bucket)
    before = store.counters.n_requests, store.counters.n_bytes
    found = ask(store, (2, "__name__", "m00[0-9]"), (0, "instance", "host-0500:9100"))
    assert len(found) == 10
    requests, n_bytes = since(store.counters, before)
    assert requests <= 12
    assert n_bytes < 2 << 20


def test_a_second_query_reads_only_chunks(bucket, golden_store):
    store = golden_store.open(bucket)
    wanted = (0, "__name__", "m042"), (0, "instance", "host-0007:9100")
    first = ask(store, *wanted)
    before = store.counters.n_requests, store.counters.n_bytes
    assert ask(store, *wanted) == first
    assert since(store.counters, before)[0] == 1


def test_the_index_cache_stays_within_its_bytes(big_bucket, golden_store):
    store = golden_store.open(FilesystemBucket(big_bucket), cache_bytes=1 << 20)
    assert len(ask(store, (2, "__name__", "m0.*"), skip_chunks=True)) == 100_000
    held = next(f for f in store.registry.families() if f.name == "thanos_store_index_cache_total_size_bytes")
    assert held.samples[0][2] <= 1 << 20


def test_many_series_come_in_label_order_in_full_batches(big_bucket, golden_store):
    store = golden_store.open(FilesystemBucket(big_bucket))
    found = ask(store, (0, "job", "job-3"))
    keys = [[(label.name, label.value) for label in series.labels] for series in found]
    assert keys == sorted(keys) and len(keys) == sum(i % 7 == 3 for i in range(N_SERIES))
    assert store.budget.held_bytes == 0
    assert store.budget.peak_bytes < 24 << 20, "series are streamed, not collected"


class SlowBucket(FilesystemBucket):
    """Every read takes a while, as one over a network."""

    def get_ranges(self, name, ranges):
        time.sleep(0.02)
        return super().get_ranges(name, ranges)


def test_a_call_that_nobody_waits_for_stops_soon(big_bucket, golden_store):
    store = golden_store.open(SlowBucket(big_bucket))
    cancel, ended = CancelToken(), threading.Event()
    request = thanos.SeriesRequest(
        min_time=FIRST_MS, max_time=FIRST_MS + 2 * HOUR_MS, response_batch_size=100,
        matchers=[thanos.LabelMatcher(type=2, name="__name__", value=".+")],
    )  # fmt: skip
    seen = []

    def consume():
        frames = store.methods["/thanos.Store/Series"](request.SerializeToString(), Call(cancel))
        try:
            for frame in frames:
                seen.append(len(frame))
        except Cancelled:
            ended.set()

    thread = threading.Thread(target=consume)
    thread.start()
    while not seen:
        time.sleep(0.005)
    cancel.cancel()
    assert ended.wait(0.2)
    thread.join()
    assert store.budget.held_bytes == 0
    assert store.gateway.n_running == 0
    assert sum(seen) < 10 << 20


def test_a_consumer_that_stops_reading_releases_everything(big_bucket, golden_store):
    store = golden_store.open(FilesystemBucket(big_bucket))
    request = thanos.SeriesRequest(
        min_time=FIRST_MS, max_time=FIRST_MS + 2 * HOUR_MS, response_batch_size=100,
        matchers=[thanos.LabelMatcher(type=2, name="__name__", value=".+")],
    )  # fmt: skip
    frames = store.methods["/thanos.Store/Series"](request.SerializeToString(), Call(CancelToken()))
    next(frames)
    assert store.budget.held_bytes > 0
    frames.close()
    assert store.budget.held_bytes == 0
    assert store.gateway.n_running == 0
