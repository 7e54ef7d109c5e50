"""Configuration of ``athanor store``: one field for each flag that works."""

# ruff: noqa: RUF009 (flag() returns a dataclass field)
from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from athanor.model.errors import OperatorError
from athanor.serve.config import ServerConfig, content, flag, milliseconds
from athanor.serve.durations import NS_PER_MS
from athanor.serve.timestamps import TimeOrDuration

STRATEGIES = ("concurrent", "recursive")
SAMPLES_PER_CHUNK = 120  # what the samples limit divides by (Thanos pkg/store/bucket.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig(ServerConfig):
    """What the store role runs with."""

    data_dir: Path = flag("data-dir", Path)
    objstore_config: str = content("objstore.config", required=True)
    sync_interval_ms: int = flag("sync-block-duration", milliseconds)
    discovery_strategy: str = flag("block-discovery-strategy")
    """concurrent or recursive: how the bucket is listed; the same blocks are found."""
    sync_concurrency: int = flag("block-sync-concurrency")
    meta_fetch_concurrency: int = flag("block-meta-fetch-concurrency")
    min_time: TimeOrDuration = flag("min-time")
    max_time: TimeOrDuration = flag("max-time")
    consistency_delay_ms: int = flag("consistency-delay", milliseconds)
    ignore_deletion_marks_delay_ms: int = flag("ignore-deletion-marks-delay", milliseconds)

    index_cache_bytes: int = flag("index-cache-size")
    chunk_pool_bytes: int = flag("chunk-pool-size")
    """The most that the chunks of all requests may hold at once."""
    series_max_concurrency: int = flag("store.grpc.series-max-concurrency")
    """Series calls served at once, others wait; 0 means no limit."""
    max_series: int = flag("store.limits.request-series", same_as=("store.grpc.touched-series-limit",))
    """Series that one Series call may touch; 0 means no limit."""
    max_samples: int = flag("store.limits.request-samples", same_as=("store.grpc.series-sample-limit",))
    """Samples that one Series call may load; applied as ``max_chunks``; 0 means no limit."""
    max_downloaded_bytes: int = flag("store.grpc.downloaded-bytes-limit")
    """Bytes that one Series call may fetch from the bucket; 0 means no limit."""

    @property
    def max_chunks(self) -> int:
        """The samples limit as the chunk limit that it stands for; 0 means no limit."""
        return self.max_samples // SAMPLES_PER_CHUNK

    def __post_init__(self) -> None:
        low, high = self.min_time, self.max_time
        now_ms = time.time_ns() // NS_PER_MS
        if low.at_ms(now_ms) > high.at_ms(now_ms):
            raise OperatorError(
                f"invalid argument: --min-time '{low.go_struct()}' can't be greater than "
                f"--max-time '{high.go_struct()}'"
            )
        if self.series_max_concurrency < 0:
            raise OperatorError(f"max concurrency value cannot be lower than 0 (got {self.series_max_concurrency})")
        if self.discovery_strategy not in STRATEGIES:
            raise OperatorError(f"unknown sync strategy {self.discovery_strategy}")
