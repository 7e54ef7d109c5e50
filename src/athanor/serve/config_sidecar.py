"""Configuration of ``athanor sidecar``: one field for each flag that works."""

# ruff: noqa: RUF009 (flag() returns a dataclass field)
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from athanor.serve.config import ServerConfig, content, flag, milliseconds
from athanor.serve.timestamps import TimeOrDuration


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarConfig(ServerConfig):
    """What the sidecar role runs with."""

    prometheus_url: str = flag("prometheus.url")
    prometheus_ready_timeout_ms: int = flag("prometheus.ready_timeout", milliseconds)
    """How long Prometheus may take to start; afterwards the sidecar gives up."""
    get_config_interval_ms: int = flag("prometheus.get_config_interval", milliseconds)
    """How often the external labels are read again, and how often Prometheus is tried while it is away."""
    get_config_timeout_ms: int = flag("prometheus.get_config_timeout", milliseconds)
    tsdb_path: Path = flag("tsdb.path", Path)
    min_time: TimeOrDuration = flag("min-time")
    """Data before it is neither announced nor served."""

    objstore_config: str = content("objstore.config")
    """Empty: nothing is uploaded."""
    upload_compacted: bool = flag("shipper.upload-compacted")
    ignore_unequal_block_size: bool = flag("shipper.ignore-unequal-block-size")
    """Ship although Prometheus compacts its blocks."""
    allow_out_of_order_uploads: bool = flag("shipper.allow-out-of-order-uploads")
    skip_corrupted_blocks: bool = flag("shipper.skip-corrupted-blocks")
    hash_func: str = flag("hash-func")
    """"" or SHA256: whether ``meta.json`` carries hashes of the files."""
    shipper_meta_file_name: str = flag("shipper.meta-file-name")
    upload_concurrency: int = flag("shipper.upload-concurrency")

    max_series: int = flag("store.limits.request-series")
    """Series that one Series call may return; 0 means no limit."""
    max_samples: int = flag("store.limits.request-samples")
    """Samples that one Series call may return; 0 means no limit."""
