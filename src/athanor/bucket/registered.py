"""The counters of a bucket as metrics of a process: ``thanos_objstore_bucket_*`` (objstore objstore.go)."""

from __future__ import annotations

from athanor.bucket.metered import OPERATIONS, OPERATIONS_WITH_BYTES, UPLOAD
from athanor.model.metrics import Registry

SIZE_BUCKETS_BYTES = tuple(32_768.0 * 2**k for k in range(16))
DURATION_BUCKETS_S = (0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0)


class RegisteredBucketMetrics:
    """Every operation is there from the start, at 0. One bucket in a process; its name is set when it is known."""

    def __init__(self, registry: Registry, bucket_name: str) -> None:
        both = ("bucket", "operation")
        requests = registry.counter_family(
            "thanos_objstore_bucket_operations_total",
            "Total number of all attempted operations against a bucket.",
            both,
        )
        failures = registry.counter_family(
            "thanos_objstore_bucket_operation_failures_total",
            "Total number of operations against a bucket that failed, but were not expected to fail in certain way "
            "from caller perspective. Those errors have to be investigated.",
            both,
        )
        fetched = registry.counter_family(
            "thanos_objstore_bucket_operation_fetched_bytes_total",
            "Total number of bytes fetched from bucket, per operation.",
            both,
        )
        sizes = registry.histogram_family(
            "thanos_objstore_bucket_operation_transferred_bytes",
            "Number of bytes transferred from/to bucket per operation.",
            both,
            SIZE_BUCKETS_BYTES,
        )
        durations = registry.histogram_family(
            "thanos_objstore_bucket_operation_duration_seconds",
            "Duration of successful operations against the bucket per operation - iter operations include time spent "
            "on each callback.",
            both,
            DURATION_BUCKETS_S,
        )
        upload_times = registry.gauge_family(
            "thanos_objstore_bucket_last_successful_upload_time",
            "Second timestamp of the last successful upload to the bucket.",
            ("bucket",),
        )
        self._requests = {operation: requests.of(bucket_name, operation) for operation in OPERATIONS}
        self._failures = {operation: failures.of(bucket_name, operation) for operation in OPERATIONS}
        self._durations = {operation: durations.of(bucket_name, operation) for operation in OPERATIONS}
        self._fetched = {operation: fetched.of(bucket_name, operation) for operation in OPERATIONS_WITH_BYTES}
        self._sizes = {operation: sizes.of(bucket_name, operation) for operation in OPERATIONS_WITH_BYTES}
        self._upload_time = upload_times.of(bucket_name)

    def started(self, operation: str, n_requests: int) -> None:
        self._requests[operation].inc(n_requests)

    def failed(self, operation: str) -> None:
        self._failures[operation].inc()

    def fetched(self, operation: str, n_bytes: int) -> None:
        self._fetched[operation].inc(n_bytes)
        self._sizes[operation].observe(n_bytes)

    def uploaded(self, n_bytes: int, at_s: float) -> None:
        self._sizes[UPLOAD].observe(n_bytes)
        self._upload_time.set(at_s)

    def took(self, operation: str, elapsed_s: float) -> None:
        self._durations[operation].observe(elapsed_s)
