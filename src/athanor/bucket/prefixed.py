"""A bucket below a prefix of another one (objstore prefixed_bucket.go)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from athanor.bucket.contract import Bucket, ListedObject, ObjectAttributes


class PrefixedBucket:
    """Every name gets ``<prefix>/`` in front; the bucket keeps the name of the inner one."""

    def __init__(self, inner: Bucket, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix.strip("/") + "/"

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def is_remote(self) -> bool:
        return self._inner.is_remote

    def get(self, name: str) -> memoryview:
        return self._inner.get(self._full(name))

    def get_range(self, name: str, at: int, length: int) -> memoryview:
        return self._inner.get_range(self._full(name), at, length)

    def get_ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        return self._inner.get_ranges(self._full(name), ranges)

    def exists(self, name: str) -> bool:
        return self._inner.exists(self._full(name))

    def attributes(self, name: str) -> ObjectAttributes:
        return self._inner.attributes(self._full(name))

    def iter(self, directory: str = "", *, recursive: bool = False) -> Iterator[ListedObject]:
        for entry in self._inner.iter(self._prefix + directory.lstrip("/"), recursive=recursive):
            yield replace(entry, name=entry.name.removeprefix(self._prefix))

    def upload(self, name: str, source: bytes | memoryview | Path) -> None:
        self._inner.upload(self._full(name), source)

    def delete(self, name: str) -> None:
        self._inner.delete(self._full(name))

    def close(self) -> None:
        self._inner.close()

    def _full(self, name: str) -> str:
        return self._prefix + name if name else name


def with_prefix(inner: Bucket, prefix: str) -> Bucket:
    """The bucket itself when nothing but slashes is configured."""
    return PrefixedBucket(inner, prefix) if prefix.replace("/", "") else inner
