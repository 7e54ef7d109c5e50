"""The metrics of the store gateway (thanos pkg/store/bucket.go)."""

from __future__ import annotations

from athanor.model.metrics import Counter, Registry

PREFIX = "thanos_bucket_store_"
DURATION_BUCKETS_S = (0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0)
LOAD_BUCKETS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 90.0, 120.0, 300.0)
HEADER_LOAD_BUCKETS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 90.0, 120.0, 300.0)
GATE_BUCKETS_S = (0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0, 240.0, 360.0, 720.0)
TENANT = ("tenant",)


class StoreMetrics:
    """Instruments under their original names, and one of our own: quarantined blocks."""

    def __init__(self, registry: Registry) -> None:
        def counter(name: str, help: str) -> Counter:
            return registry.counter(PREFIX + name, help)

        self.block_loads = counter("block_loads_total", "Total number of remote block loading attempts.")
        self.block_load_failures = counter(
            "block_load_failures_total", "Total number of failed remote block loading attempts."
        )
        self.block_drops = counter("block_drops_total", "Total number of local blocks that were dropped.")
        self.blocks_loaded = registry.gauge(PREFIX + "blocks_loaded", "Number of currently loaded blocks.")
        self.last_loaded = registry.gauge(
            PREFIX + "blocks_last_loaded_timestamp_seconds", "Timestamp when last block got loaded."
        )
        self.block_load_seconds = registry.histogram(
            PREFIX + "block_load_duration_seconds",
            "The total time taken to load the block in seconds.",
            LOAD_BUCKETS_S,
        )
        self.header_download_seconds = registry.histogram(
            PREFIX + "indexheader_download_duration_seconds",
            "Duration of the index-header download from objstore in seconds.",
            LOAD_BUCKETS_S,
        )
        self.header_load_seconds = registry.histogram(
            PREFIX + "indexheader_load_duration_seconds",
            "Duration of the index-header loading in seconds.",
            HEADER_LOAD_BUCKETS_S,
        )
        self.blocks_queried = registry.histogram_family(
            PREFIX + "series_blocks_queried",
            "Number of blocks in a bucket store that were touched to satisfy a query.",
            TENANT,
            tuple(2.0**k for k in range(1, 11)),
        )
        self.get_all_seconds = registry.histogram_family(
            PREFIX + "series_get_all_duration_seconds",
            "Time it takes until all per-block prepares and loads for a query are finished.",
            TENANT,
            DURATION_BUCKETS_S,
        )
        self.result_series = registry.histogram_family(
            PREFIX + "series_result_series",
            "Number of series observed in the final result of a query.",
            TENANT,
            tuple(100.0 * 2**k for k in range(15)),
        )
        self.queries_dropped = registry.counter_family(
            PREFIX + "queries_dropped_total",
            "Number of queries that were dropped due to the limit.",
            ("reason", *TENANT),
        )
        self.gate_max = registry.gauge(PREFIX + "series_gate_queries_max", "Maximum number of concurrent queries.")
        self.gate_in_flight = registry.gauge(
            PREFIX + "series_gate_queries_in_flight", "Number of queries that are currently in flight."
        )
        self.gate_total = counter("series_gate_queries_total", "Total number of queries.")
        self.gate_seconds = registry.histogram(
            PREFIX + "series_gate_queries_duration_seconds",
            "How many seconds it took for queries to wait at the gate.",
            GATE_BUCKETS_S,
        )
        self.quarantined = registry.gauge(
            "athanor_store_blocks_quarantined", "Blocks that are left out because their bytes are broken."
        )
