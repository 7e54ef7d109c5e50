from __future__ import annotations

from dataclasses import replace

import pytest

from athanor.bucket import ObjectNotFound
from athanor.bucket.s3 import S3Bucket
from athanor.bucket.s3_config import S3Config, SSEConfig
from athanor.model.errors import TransientError


@pytest.fixture
def bucket(s3_config: S3Config) -> S3Bucket:
    return S3Bucket(s3_config)


def names(bucket: S3Bucket, directory: str = "", *, recursive: bool = False) -> list[str]:
    return sorted(entry.name for entry in bucket.iter(directory, recursive=recursive))


def test_one_key_with_an_empty_segment_spoils_no_listing(bucket: S3Bucket):
    bucket.upload("d/a", b"1")
    bucket.upload("d//poison", b"2")
    bucket.upload("marker/", b"")
    assert names(bucket, recursive=True) == ["d//poison", "d/a", "marker/"]
    assert names(bucket, "d") == ["d//", "d/a"]
    assert bytes(bucket.get("d//poison")) == b"2"
    assert names(bucket, "marker") == []
    bucket.delete("d//poison")
    assert not bucket.exists("d//poison")


def test_the_first_version_of_listings_works(s3_config: S3Config):
    bucket = S3Bucket(replace(s3_config, list_objects_version="v1"))
    bucket.upload("d/a", b"1")
    bucket.upload("b", b"1")
    assert names(bucket) == ["b", "d/"]


def test_large_objects_go_in_parts(s3_config: S3Config):
    bucket = S3Bucket(s3_config)
    content = bytes(17 << 20)  # above the 16 MiB that apply below the configured part size
    bucket.upload("large", content)
    assert bucket.attributes("large").size_bytes == 17 << 20


def test_a_closed_port_may_pass():
    bucket = S3Bucket(
        S3Config(
            bucket="b1b",
            endpoint="127.0.0.1:1",
            region="r",
            access_key="a",
            secret_key="s",
            insecure=True,
            max_retries=1,
        )
    )
    with pytest.raises(TransientError):
        bucket.get("a")
    with pytest.raises(TransientError):
        list(bucket.iter())


def test_the_region_is_asked_for_where_it_is_not_configured(s3_config: S3Config):
    assert s3_config.region == ""
    assert S3Bucket(s3_config)._http.region == "us-east-1"


def test_a_kms_context_goes_without_the_fast_client(s3_config: S3Config):
    bucket = S3Bucket(replace(s3_config, sse_config=SSEConfig("SSE-KMS", "key", {"department": "a"})))
    with pytest.raises(ObjectNotFound):
        bucket.get("a")
    assert bucket._store is None
