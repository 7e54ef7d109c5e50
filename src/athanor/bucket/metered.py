"""Counters of requests, bytes, failures and times around any bucket.

What is counted is what a storage provider would bill: each range of ``get_ranges`` is one request. An absent object
that ``get`` or ``attributes`` met is no failure.
differs: the original counts it as one unless the caller marked the error as expected, which its callers do for
``meta.json`` and the markers, the only objects that may be absent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from athanor.bucket.contract import Bucket, ListedObject, ObjectAttributes, ObjectNotFound

T = TypeVar("T")

ITER, GET, GET_RANGE, EXISTS, UPLOAD, DELETE, ATTRIBUTES = (
    "iter",
    "get",
    "get_range",
    "exists",
    "upload",
    "delete",
    "attributes",
)
OPERATIONS = (ITER, GET, GET_RANGE, EXISTS, UPLOAD, DELETE, ATTRIBUTES)
OPERATIONS_WITH_BYTES = (GET, GET_RANGE, UPLOAD)


class BucketMetrics(Protocol):
    """Where the numbers go: thanos_objstore_bucket_* in a process, BucketCounters in tests and bounds."""

    def started(self, operation: str, n_requests: int) -> None:
        """Requests begin: ``operations_total``."""
        ...

    def failed(self, operation: str) -> None:
        """A call failed: ``operation_failures_total``."""
        ...

    def fetched(self, operation: str, n_bytes: int) -> None:
        """Bytes of one request arrived: ``operation_fetched_bytes_total``, ``operation_transferred_bytes``."""
        ...

    def uploaded(self, n_bytes: int, at_s: float) -> None:
        """An object was written: ``operation_transferred_bytes``, ``last_successful_upload_time``."""
        ...

    def took(self, operation: str, elapsed_s: float) -> None:
        """A call ended well: ``operation_duration_seconds``."""
        ...


class BucketCounters:
    """The counters as plain numbers."""

    def __init__(self) -> None:
        self.requests: dict[str, int] = dict.fromkeys(OPERATIONS, 0)
        self.failures: dict[str, int] = dict.fromkeys(OPERATIONS, 0)
        self.fetched_bytes: dict[str, int] = {GET: 0, GET_RANGE: 0}
        self.uploaded_bytes = 0
        self._lock = threading.Lock()

    @property
    def n_requests(self) -> int:
        return sum(self.requests.values())

    @property
    def n_bytes(self) -> int:
        return sum(self.fetched_bytes.values())

    def started(self, operation: str, n_requests: int) -> None:
        with self._lock:
            self.requests[operation] += n_requests

    def failed(self, operation: str) -> None:
        with self._lock:
            self.failures[operation] += 1

    def fetched(self, operation: str, n_bytes: int) -> None:
        with self._lock:
            self.fetched_bytes[operation] += n_bytes

    def uploaded(self, n_bytes: int, at_s: float) -> None:
        with self._lock:
            self.uploaded_bytes += n_bytes

    def took(self, operation: str, elapsed_s: float) -> None:
        """Times have no place among the counters."""


class MeteredBucket:
    """A bucket whose every request is counted."""

    def __init__(self, inner: Bucket, metrics: BucketMetrics) -> None:
        self._inner = inner
        self._metrics = metrics

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def is_remote(self) -> bool:
        return self._inner.is_remote

    def get(self, name: str) -> memoryview:
        content = self._counted(GET, lambda: self._inner.get(name), absent_is_expected=True)
        self._metrics.fetched(GET, len(content))
        return content

    def get_range(self, name: str, at: int, length: int) -> memoryview:
        content = self._counted(GET_RANGE, lambda: self._inner.get_range(name, at, length))
        self._metrics.fetched(GET_RANGE, len(content))
        return content

    def get_ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        if not ranges:
            return []
        contents = self._counted(GET_RANGE, lambda: self._inner.get_ranges(name, ranges), n_requests=len(ranges))
        for content in contents:
            self._metrics.fetched(GET_RANGE, len(content))
        return contents

    def exists(self, name: str) -> bool:
        return self._counted(EXISTS, lambda: self._inner.exists(name))

    def attributes(self, name: str) -> ObjectAttributes:
        return self._counted(ATTRIBUTES, lambda: self._inner.attributes(name), absent_is_expected=True)

    def iter(self, directory: str = "", *, recursive: bool = False) -> Iterator[ListedObject]:
        self._metrics.started(ITER, 1)
        started_s = time.monotonic()
        try:
            yield from self._inner.iter(directory, recursive=recursive)
        except Exception:
            self._metrics.failed(ITER)
            raise
        finally:  # compat: always observed, and the time includes what the caller does between entries
            self._metrics.took(ITER, time.monotonic() - started_s)

    def upload(self, name: str, source: bytes | memoryview | Path) -> None:
        self._counted(UPLOAD, lambda: self._inner.upload(name, source))
        self._metrics.uploaded(source.stat().st_size if isinstance(source, Path) else len(source), time.time())

    def delete(self, name: str) -> None:
        self._counted(DELETE, lambda: self._inner.delete(name))

    def close(self) -> None:
        self._inner.close()

    def _counted(
        self, operation: str, call: Callable[[], T], *, n_requests: int = 1, absent_is_expected: bool = False
    ) -> T:
        self._metrics.started(operation, n_requests)
        started_s = time.monotonic()
        try:
            answer = call()
        except ObjectNotFound:
            if not absent_is_expected:
                self._metrics.failed(operation)
            raise
        except Exception:
            self._metrics.failed(operation)
            raise
        self._metrics.took(operation, time.monotonic() - started_s)
        return answer
