"""A week of the shop's history as blocks in a bucket, seen by two replicas that scraped at different moments."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from athanor.block.meta import META_FILE, BlockMeta, Compaction, ThanosMeta
from athanor.block.ulid import new_ulid
from athanor.block.writer import encode_samples, write_block
from athanor.model.tables import Samples, label_table
from athanor.ship.upload import list_files
from demo.shop import INSTANCES, Labels, instance_series

STEP_MS = 30_000
BLOCK_MS = 24 * 3_600_000
OFFSET_MS = {"a": 0, "b": 11_000}
"""When in its interval a replica scrapes."""
OUTAGE_MS = 40 * 60_000
"""Once a day one replica is down for this long; its sister has the data."""


def write_history(bucket: Path, end_ms: int, n_days: int, cluster: str) -> Iterator[BlockMeta]:
    """Blocks of a day each, of both replicas, oldest first; the last one ends at ``end_ms`` (excluded)."""
    bucket.mkdir(parents=True, exist_ok=True)
    first_ms = end_ms // BLOCK_MS * BLOCK_MS - n_days * BLOCK_MS
    for start_ms in range(first_ms, end_ms, BLOCK_MS):
        for replica in OFFSET_MS:
            yield _write_day(bucket, start_ms, min(start_ms + BLOCK_MS, end_ms), cluster, replica)


def _write_day(bucket: Path, first_ms: int, end_ms: int, cluster: str, replica: str) -> BlockMeta:
    times_ms = np.arange(first_ms + OFFSET_MS[replica], end_ms, STEP_MS, dtype=np.int64)
    down_from_ms = first_ms + (8 if replica == "a" else 16) * 3_600_000
    times_ms = times_ms[(times_ms < down_from_ms) | (times_ms >= down_from_ms + OUTAGE_MS)]
    rows: list[tuple[Labels, np.ndarray]] = []
    for instance in INSTANCES:
        more = (("instance", instance), ("job", "shop"))
        rows += [
            (tuple(sorted((*series.labels, *more))), series.values)
            for series in instance_series(instance, times_ms / 1000)
        ]
        rows.append(((("__name__", "up"), *more), np.ones(times_ms.size)))
    rows.sort(key=lambda row: row[0])
    samples = Samples(
        np.tile(times_ms, len(rows)),
        np.concatenate([values for _, values in rows]),
        np.arange(len(rows) + 1, dtype=np.int64) * times_ms.size,
    )
    ulid = new_ulid(end_ms, random.getrandbits(80))
    labels = {"cluster": cluster, "replica": replica}
    meta = BlockMeta(
        ulid, first_ms, end_ms, compaction=Compaction(3, (ulid,)), thanos=ThanosMeta(labels, source="demo")
    )
    meta = write_block(bucket, label_table([pairs for pairs, _ in rows]), encode_samples(samples), meta)
    assert meta.thanos is not None
    directory = bucket / ulid
    files = tuple(list_files(directory, with_hashes=False))
    segments = tuple(sorted(path.name for path in (directory / "chunks").iterdir()))
    meta = replace(meta, thanos=replace(meta.thanos, files=files, segment_files=segments))
    (directory / META_FILE).write_bytes(meta.to_json())
    return meta
