"""Shipping against what a real sidecar left in its bucket and its directory (with --hash-func=SHA256)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from athanor.block.meta import BlockMeta, BlockStats, Compaction, ThanosMeta
from athanor.bucket import BucketCounters, MemoryBucket, MeteredBucket
from athanor.model.errors import DataError, TransientError
from athanor.model.log import silent
from athanor.model.metrics import Registry
from athanor.ship import Shipper, ShipperMetrics, ShipperOptions, SyncError

GOLDEN = Path(__file__).parents[2] / "golden/ship"
FIRST, SECOND = "01M85PJ3KHR8M7MY2BREAE10XS", "01M85PJ3MD8JA0P6BF4R5NH6BR"
LABELS = {"cluster": "eu1", "replica": "a"}
HOUR_MS = 3_600_000


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The TSDB directory that the recorded sidecar shipped from."""
    directory = tmp_path / "data"
    shutil.copytree(GOLDEN / "blocks", directory)
    for ulid in (FIRST, SECOND):
        shutil.copy(GOLDEN / f"{ulid}.local.meta.json", directory / ulid / "meta.json")
    (directory / "wal").mkdir()
    (directory / "01M85PJ3MD8JA0P6BF4R5NH6BR.tmp-for-creation").mkdir()
    return directory


def shipper_of(bucket, data_dir: Path, **options) -> Shipper:
    metrics = ShipperMetrics(Registry())
    return Shipper(bucket, data_dir, lambda: LABELS, "sidecar", ShipperOptions(**options), metrics, silent())


def edit_meta(directory: Path, **changes) -> None:
    path = directory / "meta.json"
    meta = BlockMeta.from_json(path.read_bytes(), "test")
    path.unlink()
    path.write_bytes(replace(meta, **changes).to_json())


def as_level_2(data_dir: Path, ulid: str) -> None:
    edit_meta(data_dir / ulid, compaction=Compaction(2, (ulid,)))


class RecordingBucket(MemoryBucket):
    """Remembers the order of uploads; fails those whose name holds ``fails_on``."""

    def __init__(self, fails_on: str = "\0") -> None:
        super().__init__()
        self.order: list[str] = []
        self.fails_on = fails_on

    def upload(self, name, source) -> None:
        if self.fails_on in name:
            raise TransientError(f"no luck with {name}")
        self.order.append(name)
        super().upload(name, source)


def test_the_bucket_holds_what_the_recorded_sidecar_shipped(data_dir: Path):
    bucket = MemoryBucket()
    assert shipper_of(bucket, data_dir, with_hashes=True).sync() == 2
    for ulid in (FIRST, SECOND):
        shipped = json.loads(bytes(bucket.get(f"{ulid}/meta.json")))
        recorded = json.loads((GOLDEN / f"{ulid}.uploaded.meta.json").read_bytes())
        assert shipped["thanos"].pop("upload_time") > "2026"
        recorded["thanos"].pop("upload_time")
        assert shipped == recorded
        assert bytes(bucket.get(f"{ulid}/index")) == (data_dir / ulid / "index").read_bytes()
        assert bytes(bucket.get(f"{ulid}/chunks/000001")) == (data_dir / ulid / "chunks/000001").read_bytes()


def test_the_shipper_file_and_the_local_meta_are_those_of_the_recorded_sidecar(data_dir: Path):
    shipper_of(MemoryBucket(), data_dir).sync()
    assert (data_dir / "thanos.shipper.json").read_bytes() == (GOLDEN / "thanos.shipper.json").read_bytes()
    local = (data_dir / FIRST / "meta.json").read_bytes()
    assert local == (GOLDEN / f"{FIRST}.local.meta.json").read_bytes()
    assert list((data_dir / "thanos/upload").iterdir()) == []


def test_meta_json_is_uploaded_last(data_dir: Path):
    bucket = RecordingBucket()
    shipper_of(bucket, data_dir).sync()
    assert bucket.order[:3] == [f"{FIRST}/chunks/000001", f"{FIRST}/index", f"{FIRST}/meta.json"]


def test_the_second_sync_asks_the_bucket_nothing(data_dir: Path):
    counters = BucketCounters()
    shipper = shipper_of(MeteredBucket(MemoryBucket(), counters), data_dir)
    shipper.sync()
    before = counters.n_requests
    assert shipper.sync() == 0
    assert counters.n_requests == before


def test_a_block_that_the_bucket_has_is_recorded_and_not_uploaded(data_dir: Path):
    bucket = RecordingBucket()
    bucket.upload(f"{FIRST}/meta.json", b"{}")
    assert shipper_of(bucket, data_dir).sync() == 1
    assert not bucket.exists(f"{FIRST}/index")
    assert json.loads((data_dir / "thanos.shipper.json").read_bytes())["uploaded"] == [FIRST, SECOND]


def test_a_block_that_left_the_disk_leaves_the_file(data_dir: Path):
    shipper = shipper_of(MemoryBucket(), data_dir)
    shipper.sync()
    shutil.rmtree(data_dir / FIRST)
    shipper.sync()
    assert json.loads((data_dir / "thanos.shipper.json").read_bytes())["uploaded"] == [SECOND]


def test_without_blocks_the_file_says_null(tmp_path: Path):
    shipper_of(MemoryBucket(), tmp_path).sync()
    assert (tmp_path / "thanos.shipper.json").read_bytes() == b'{\n\t"version": 1,\n\t"uploaded": null\n}\n'


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version":2}', b'{"version":1,"uploaded":5}'])
def test_a_broken_shipper_file_only_costs_requests(data_dir: Path, content: bytes):
    (data_dir / "thanos.shipper.json").write_bytes(content)
    assert shipper_of(MemoryBucket(), data_dir).sync() == 2


def test_an_empty_block_is_skipped_and_not_recorded(data_dir: Path):
    edit_meta(data_dir / FIRST, stats=BlockStats(n_chunks=1))
    assert shipper_of(MemoryBucket(), data_dir).sync() == 1
    assert json.loads((data_dir / "thanos.shipper.json").read_bytes())["uploaded"] == [SECOND]


def test_a_compacted_block_is_shipped_only_when_asked_for(data_dir: Path):
    as_level_2(data_dir, FIRST)
    assert shipper_of(MemoryBucket(), data_dir).sync() == 1
    assert shipper_of(MemoryBucket(), data_dir, upload_compacted=True).sync() == 1


def test_a_compacted_block_that_overlaps_the_bucket_ends_the_sync(data_dir: Path):
    as_level_2(data_dir, SECOND)
    bucket = MemoryBucket()
    other = "01J00000000000000000000000"
    there = BlockMeta(other, 1700013600000, 1700013600000 + HOUR_MS, thanos=ThanosMeta(LABELS))
    bucket.upload(f"{other}/meta.json", there.to_json())
    shipper = shipper_of(bucket, data_dir, upload_compacted=True)
    with pytest.raises(SyncError) as raised:
        shipper.sync()
    assert str(raised.value) == (
        "Found overlap or error during sync, cannot upload compacted block, details: "
        f"shipping compacted block {SECOND} is blocked; overlap spotted: "
        "[mint: 1700013600000, maxt: 1700017200000, range: 1h0m0s, blocks: 2]: "
        f"<ulid: {SECOND}, mint: 1700013600000, maxt: 1700020760001, range: 1h59m20s>, "
        f"<ulid: {other}, mint: 1700013600000, maxt: 1700017200000, range: 1h0m0s>"
    )
    assert not (data_dir / "thanos.shipper.json").exists()
    assert shipper_of(bucket, data_dir, upload_compacted=True, allow_out_of_order_uploads=True).sync() == 1


def test_blocks_of_other_labels_do_not_overlap(data_dir: Path):
    as_level_2(data_dir, SECOND)
    bucket = MemoryBucket()
    other = BlockMeta("01J00000000000000000000000", 0, 2**62, thanos=ThanosMeta({**LABELS, "replica": "b"}))
    bucket.upload(f"{other.ulid}/meta.json", other.to_json())
    assert shipper_of(bucket, data_dir, upload_compacted=True).sync() == 2


def test_a_failed_upload_ends_the_sync_and_writes_no_file(data_dir: Path):
    bucket = RecordingBucket(f"{FIRST}/index")
    with pytest.raises(SyncError, match=f"upload {FIRST}: no luck"):
        shipper_of(bucket, data_dir).sync()
    assert not (data_dir / "thanos.shipper.json").exists()
    assert not bucket.exists(f"{FIRST}/meta.json")
    assert list((data_dir / "thanos/upload").iterdir()) == []


def test_out_of_order_uploads_go_on_after_a_failure(data_dir: Path):
    bucket = RecordingBucket(f"{FIRST}/index")
    with pytest.raises(SyncError, match="failed to sync 1/0 blocks"):
        shipper_of(bucket, data_dir, allow_out_of_order_uploads=True).sync()
    assert bucket.exists(f"{SECOND}/meta.json")
    assert json.loads((data_dir / "thanos.shipper.json").read_bytes())["uploaded"] == [SECOND]


def cut_index(block: Path) -> None:
    (block / "index").unlink()


def gap_in_segments(block: Path) -> None:
    (block / "chunks/000001").rename(block / "chunks/000002")


def broken_meta(block: Path) -> None:
    (block / "meta.json").write_bytes(b"{")


@pytest.mark.parametrize("damage", [cut_index, gap_in_segments, broken_meta])
def test_an_incomplete_block_is_never_shipped(data_dir: Path, damage):
    damage(data_dir / FIRST)
    with pytest.raises(DataError, match=FIRST):
        shipper_of(MemoryBucket(), data_dir).sync()
    bucket = MemoryBucket()
    with pytest.raises(SyncError, match="failed to sync 0/1 blocks"):
        shipper_of(bucket, data_dir, skip_corrupted_blocks=True).sync()
    assert not bucket.exists(f"{FIRST}/meta.json")
    assert bucket.exists(f"{SECOND}/meta.json")


def test_without_external_labels_nothing_is_shipped(data_dir: Path):
    metrics = ShipperMetrics(Registry())
    shipper = Shipper(MemoryBucket(), data_dir, dict, "sidecar", ShipperOptions(), metrics, silent())
    with pytest.raises(SyncError, match="empty external labels are not allowed"):
        shipper.sync()


def test_what_happened_is_counted(data_dir: Path):
    metrics = ShipperMetrics(Registry())
    options = ShipperOptions(upload_compacted=True)
    Shipper(MemoryBucket(), data_dir, lambda: LABELS, "sidecar", options, metrics, silent()).sync()
    assert (metrics.syncs.value, metrics.uploads.value, metrics.compacted_done.value) == (1, 2, 1)
    assert (metrics.sync_failures.value, metrics.upload_failures.value, metrics.corrupted.value) == (0, 0, 0)
