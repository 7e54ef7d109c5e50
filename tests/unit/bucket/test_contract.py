"""The rules that every provider keeps: one class, inherited for each provider with its fixture ``bucket``."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from athanor.bucket import (
    Bucket,
    BucketCounters,
    FilesystemBucket,
    MemoryBucket,
    MeteredBucket,
    ObjectNotFound,
    PrefixedBucket,
)
from athanor.bucket.s3 import S3Bucket
from athanor.bucket.s3_config import S3Config, SSEConfig

CONTENT = bytes(range(256)) * 40  # 10,240 bytes


def names(bucket: Bucket, directory: str = "", *, recursive: bool = False) -> list[str]:
    return sorted(entry.name for entry in bucket.iter(directory, recursive=recursive))


class BucketContract:
    def test_an_object_reads_back_as_it_was_written(self, bucket: Bucket):
        bucket.upload("a/one", CONTENT)
        assert bytes(bucket.get("a/one")) == CONTENT

    def test_an_empty_object_is_an_object(self, bucket: Bucket):
        bucket.upload("empty", b"")
        assert bucket.exists("empty")
        assert bytes(bucket.get("empty")) == b""
        assert bucket.attributes("empty").size_bytes == 0

    def test_a_file_is_uploaded_by_its_path(self, bucket: Bucket, tmp_path: Path):
        (tmp_path / "chunk").write_bytes(CONTENT)
        bucket.upload("x/chunks/000001", tmp_path / "chunk")
        assert bytes(bucket.get("x/chunks/000001")) == CONTENT

    def test_an_upload_replaces_the_object(self, bucket: Bucket):
        bucket.upload("a", b"first, and longer")
        bucket.upload("a", b"second")
        assert bytes(bucket.get("a")) == b"second"

    def test_a_buffer_is_an_array_without_a_copy_and_cannot_be_written(self, bucket: Bucket):
        bucket.upload("a", CONTENT)
        array = np.frombuffer(bucket.get("a"), np.uint8)
        assert array.size == len(CONTENT)
        assert not array.flags.writeable
        assert not array.flags.owndata

    @pytest.mark.parametrize(("at", "length"), [(0, 1), (0, 10_240), (255, 2), (10_239, 1)])
    def test_a_range_is_that_part_of_the_object(self, bucket: Bucket, at: int, length: int):
        bucket.upload("a", CONTENT)
        assert bytes(bucket.get_range("a", at, length)) == CONTENT[at : at + length]

    def test_a_range_is_cut_at_the_end_of_the_object(self, bucket: Bucket):
        bucket.upload("a", CONTENT)
        assert bytes(bucket.get_range("a", 10_230, 100)) == CONTENT[10_230:]

    def test_a_range_beyond_the_end_is_empty(self, bucket: Bucket):
        bucket.upload("a", CONTENT)
        assert bytes(bucket.get_range("a", 20_000, 4)) == b""
        assert [bytes(b) for b in bucket.get_ranges("a", [(1, 2), (20_000, 4)])] == [b"\x01\x02", b""]

    def test_many_ranges_come_in_the_order_they_were_asked_for(self, bucket: Bucket):
        bucket.upload("a", CONTENT)
        ranges = [(9_000, 16), (0, 16), (16, 16), (5_000, 1)]
        assert [bytes(b) for b in bucket.get_ranges("a", ranges)] == [CONTENT[at : at + n] for at, n in ranges]

    def test_no_ranges_are_no_buffers(self, bucket: Bucket):
        bucket.upload("a", b"1")
        assert bucket.get_ranges("a", []) == []

    def test_reading_an_absent_object_names_it(self, bucket: Bucket):
        for read in (
            lambda: bucket.get("no/such"),
            lambda: bucket.get_range("no/such", 0, 1),
            lambda: bucket.get_ranges("no/such", [(0, 1)]),
            lambda: bucket.attributes("no/such"),
        ):
            with pytest.raises(ObjectNotFound, match="no/such"):
                read()
        assert not bucket.exists("no/such")

    def test_a_directory_is_no_object(self, bucket: Bucket):
        bucket.upload("dir/a", b"1")
        assert not bucket.exists("dir")
        with pytest.raises(ObjectNotFound):
            bucket.get("dir")

    def test_attributes_tell_size_and_time(self, bucket: Bucket):
        bucket.upload("a", CONTENT)
        attributes = bucket.attributes("a")
        assert attributes.size_bytes == 10_240
        assert abs(attributes.last_modified_ms - time.time() * 1000) < 5_000

    def test_a_listing_shows_direct_children_with_directories_once(self, bucket: Bucket):
        for name in ("top", "d/a", "d/b", "d/e/deep", "d2/x"):
            bucket.upload(name, b"1")
        assert names(bucket) == ["d/", "d2/", "top"]
        assert names(bucket, "d") == names(bucket, "d/") == ["d/a", "d/b", "d/e/"]

    def test_a_recursive_listing_shows_all_objects_and_no_directories(self, bucket: Bucket):
        for name in ("top", "d/a", "d/e/deep"):
            bucket.upload(name, b"1")
        assert names(bucket, recursive=True) == ["d/a", "d/e/deep", "top"]
        assert names(bucket, "d", recursive=True) == ["d/a", "d/e/deep"]

    def test_a_listing_tells_sizes_and_times_of_objects_only(self, bucket: Bucket):
        bucket.upload("d/a", b"12345")
        (directory,) = bucket.iter()
        (entry,) = bucket.iter("d")
        assert (directory.name, directory.size_bytes, directory.is_directory) == ("d/", None, True)
        assert (entry.name, entry.size_bytes, entry.is_directory) == ("d/a", 5, False)
        assert entry.last_modified_ms is not None
        assert abs(entry.last_modified_ms - time.time() * 1000) < 5_000

    def test_listing_what_does_not_exist_shows_nothing(self, bucket: Bucket):
        assert names(bucket, "no/such") == []

    def test_a_deleted_object_is_gone_at_once(self, bucket: Bucket):
        bucket.upload("d/a", b"1")
        bucket.delete("d/a")
        assert not bucket.exists("d/a")
        assert names(bucket) == []

    def test_deleting_an_absent_object_is_no_error(self, bucket: Bucket):
        bucket.delete("no/such")

    @pytest.mark.parametrize("name", ["with space", "ü#?%&+=", "a,b;c", "plus+plus", "per%41cent"])
    def test_odd_characters_are_kept(self, bucket: Bucket, name: str):
        bucket.upload(f"odd/{name}", b"1")
        assert bytes(bucket.get(f"odd/{name}")) == b"1"
        assert names(bucket, "odd") == [f"odd/{name}"]

    def test_requests_and_bytes_are_counted_per_operation(self, bucket: Bucket):
        counters = BucketCounters()
        metered = MeteredBucket(bucket, counters)
        metered.upload("a", CONTENT)
        metered.get("a")
        metered.get_range("a", 0, 100)
        metered.get_ranges("a", [(0, 10), (1_000, 20), (10_239, 5)])
        metered.exists("a")
        metered.attributes("a")
        list(metered.iter())
        metered.delete("a")
        assert counters.requests == {
            "upload": 1, "get": 1, "get_range": 4, "exists": 1, "attributes": 1, "iter": 1, "delete": 1
        }  # fmt: skip
        assert counters.fetched_bytes == {"get": 10_240, "get_range": 131}  # 100 + 10 + 20 + 1
        assert counters.uploaded_bytes == 10_240
        assert sum(counters.failures.values()) == 0

    def test_an_absent_object_is_a_failure_only_for_ranges(self, bucket: Bucket):
        counters = BucketCounters()
        metered = MeteredBucket(bucket, counters)
        for read in (
            lambda: metered.get("no"),
            lambda: metered.attributes("no"),
            lambda: metered.get_range("no", 0, 1),
        ):
            with pytest.raises(ObjectNotFound):
                read()
        assert {op: n for op, n in counters.failures.items() if n} == {"get_range": 1}

    def test_below_a_prefix_names_are_relative_to_it(self, bucket: Bucket):
        inner = PrefixedBucket(bucket, "/tenants/one/")
        inner.upload("d/a", b"1")
        bucket.upload("tenants/two/a", b"2")
        assert bytes(bucket.get("tenants/one/d/a")) == b"1"
        assert names(inner) == ["d/"]
        assert names(inner, "d") == names(inner, recursive=True) == ["d/a"]
        assert inner.name == bucket.name
        assert bytes(inner.get_range("d/a", 0, 1)) == b"1"
        inner.delete("d/a")
        assert not bucket.exists("tenants/one/d/a")


class TestMemory(BucketContract):
    @pytest.fixture
    def bucket(self) -> Bucket:
        return MemoryBucket()


class TestFilesystem(BucketContract):
    @pytest.fixture
    def bucket(self, tmp_path: Path) -> Bucket:
        return FilesystemBucket(tmp_path / "bucket")


class TestS3(BucketContract):
    @pytest.fixture
    def bucket(self, s3_config: S3Config) -> Bucket:
        return S3Bucket(s3_config)


class TestS3OverPlainHTTP(BucketContract):
    """The way that configurations beyond the fast client take."""

    @pytest.fixture
    def bucket(self, s3_config: S3Config) -> Bucket:
        return S3Bucket(replace(s3_config, sse_config=SSEConfig("SSE-KMS", "key", {"department": "a"})))
