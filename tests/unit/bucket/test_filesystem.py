from __future__ import annotations

from pathlib import Path

import pytest

from athanor.bucket import FilesystemBucket
from athanor.model.errors import OperatorError


def names(bucket: FilesystemBucket, directory: str = "") -> list[str]:
    return [entry.name for entry in bucket.iter(directory)]


@pytest.fixture
def bucket(tmp_path: Path) -> FilesystemBucket:
    return FilesystemBucket(tmp_path / "bucket")


def test_the_name_is_the_absolute_directory(bucket: FilesystemBucket, tmp_path: Path):
    assert bucket.name == f"fs: {tmp_path}/bucket"


def test_deleting_a_directory_removes_the_tree_and_its_empty_parents(bucket: FilesystemBucket):
    bucket.upload("a/b/c/one", b"1")
    bucket.upload("a/b/c/two", b"2")
    bucket.delete("a/b/c")
    assert not (bucket.root / "a").exists()
    assert bucket.root.exists()


def test_empty_directories_are_not_listed(bucket: FilesystemBucket):
    (bucket.root / "empty").mkdir(parents=True)
    assert names(bucket) == []


def test_an_upload_that_is_under_way_is_not_listed(bucket: FilesystemBucket):
    bucket.upload("d/a", b"1")
    (bucket.root / "d" / ".athanor-upload-0123").write_bytes(b"half")
    assert names(bucket, "d") == ["d/a"]


def test_a_name_cannot_leave_the_directory(bucket: FilesystemBucket):
    with pytest.raises(OperatorError, match="leaves the directory"):
        bucket.get("../secret")


def test_a_missing_directory_is_an_empty_bucket():
    assert names(FilesystemBucket("/nonexistent-directory")) == []
