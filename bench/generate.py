"""Generated blocks with a fixed seed: the data that every benchmark reads.

    python bench/generate.py DIRECTORY [--series 1000] [--hours 24] [--label cluster=bench] [--wide]

Default: 500 counters ``c`` with random integer increments and 500 gauges ``g`` that walk with 3 decimals, 24 h at 15 s,
in blocks of 2 h. ``--wide``: one block of 2 h with 100,000 series of 10 label pairs each. Each block is a directory in
DIRECTORY, complete for a bucket: files and sizes stand in the object ``thanos`` of its meta.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from athanor.block.meta import META_FILE, BlockFile, BlockMeta, Compaction, ThanosMeta
from athanor.block.ulid import new_ulid
from athanor.block.writer import CHUNKS_DIRECTORY, INDEX_FILE, encode_samples, write_block
from athanor.kernel.labels import sort_order, take
from athanor.model.arrays import F64, I64
from athanor.model.tables import ChunkTable, LabelTable, Samples, label_table

FIRST_MS = 1_700_006_400_000  # 2023-11-15T00:00:00Z, a multiple of 4 h
STEP_MS = 15_000
BLOCK_MS = 2 * 3_600_000
SEED = 20_231_115
JOBS = ("api", "batch", "gateway", "ingest", "web")
CODES = ("200", "201", "204", "301", "302", "400", "404", "429", "500", "503")
N_CPUS = 10
TILE_SERIES = 10_000  # encoded together; 480 samples each are 77 MB

Pairs = list[tuple[str, str]]


def query_series(n_series: int) -> list[Pairs]:
    """Half counters, half gauges. A tenth of the counters has code="500"; job, instance, cpu group both kinds."""
    sets = []
    for i in range(n_series):
        place = i // 2
        shared = [("instance", f"host-{place // 50:04d}:9100"), ("job", JOBS[place % 5])]
        tenth = place // 5 % 10
        if i % 2 == 0:
            own = [("__name__", "c"), ("code", CODES[tenth]), ("cpu", str((place + place // 5) % N_CPUS))]
        else:
            own = [("__name__", "g"), ("cpu", str(tenth)), ("mode", "user")]
        sets.append(own + shared)
    return sets


def wide_series(n_series: int) -> list[Pairs]:
    """Counters of a large cluster, 10 label pairs each."""
    return [
        [
            ("__name__", f"container_requests_{i % 20:02d}_total"),
            ("cluster_zone", f"zone-{i % 3}"),
            ("code", CODES[i // 20 % 10]),
            ("container", f"app-{i // 200 % 25:02d}"),
            ("endpoint", "https-metrics"),
            ("instance", f"10.{i // 5000 % 256}.{i // 200 % 25}.7:10250"),
            ("job", "kubelet"),
            ("namespace", f"team-{i // 5000 % 40:02d}"),
            ("node", f"node-{i // 5000:05d}"),
            ("pod", f"app-{i // 200 % 25:02d}-{i // 200:07x}"),
        ]
        for i in range(n_series)
    ]


def sorted_labels(sets: Sequence[Pairs]) -> tuple[LabelTable, I64]:
    """The table in label order, and for each row the set that it was."""
    table = label_table(sets)
    order = sort_order(table)
    return take(table, order), order


class Walks:
    """Counters and gauges that go on from block to block: each call gives the next n samples of every series."""

    def __init__(self, is_gauge: np.ndarray, offset_ms: I64, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._is_gauge = is_gauge
        self._offset_ms = offset_ms
        k = is_gauge.size
        self._peak = 1 + self._rng.integers(0, 200, k)
        self._last = np.where(is_gauge, self._rng.uniform(20, 80, k), self._rng.integers(0, 1_000_000, k))

    def next(self, first_ms: int, n: int) -> Samples:
        k = self._is_gauge.size
        values: F64 = np.empty((k, n), np.float64)
        for row in range(k):  # one draw a series: no second array of the same size
            if self._is_gauge[row]:
                walk = self._last[row] + np.cumsum(self._rng.normal(0, 0.5, n))
                values[row] = np.round(100 - np.abs(walk % 200 - 100), 3)  # reflected at 0 and 100
                self._last[row] = walk[-1]
            else:
                values[row] = self._last[row] + np.cumsum(self._rng.integers(0, self._peak[row], n, endpoint=True))
                self._last[row] = values[row, -1]
        ts_ms = first_ms + self._offset_ms[:, None] + STEP_MS * np.arange(n, dtype=np.int64)
        return Samples(ts_ms.ravel(), values.ravel(), np.arange(k + 1, dtype=np.int64) * n)


def tables_joined(tables: Sequence[ChunkTable], first_series: Sequence[int]) -> ChunkTable:
    """Chunks of consecutive ranges of series as one table."""
    bases = np.cumsum([0, *(t.arena.size for t in tables)])
    joined: Callable[[str], np.ndarray] = lambda name: np.concatenate([getattr(t, name) for t in tables])  # noqa: E731
    return ChunkTable(
        np.concatenate([t.series + np.int32(s) for t, s in zip(tables, first_series, strict=True)]),
        joined("first_ms"),
        joined("last_ms"),
        joined("encoding"),
        joined("aggregate"),
        joined("hash"),
        np.concatenate([t.at + base for t, base in zip(tables, bases, strict=False)]),
        joined("size"),
        joined("arena"),
    )


def write_blocks(
    directory: Path, sets: Sequence[Pairs], n_blocks: int, external: Mapping[str, str], seed: int = SEED
) -> Iterator[BlockMeta]:
    """Write the blocks of these series, oldest first."""
    labels, order = sorted_labels(sets)
    is_gauge = np.array([dict(sets[i])["__name__"] == "g" for i in order.tolist()])
    # A target is scraped at its own moment of the interval, always the same.
    offset_ms = np.array([hash_ms(dict(sets[i])["instance"]) for i in order.tolist()], np.int64)
    tiles = [slice(first, first + TILE_SERIES) for first in range(0, len(labels), TILE_SERIES)]
    walks = [Walks(is_gauge[tile], offset_ms[tile], seed + i) for i, tile in enumerate(tiles)]
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(n_blocks):
        first_ms = FIRST_MS + number * BLOCK_MS
        tables = [encode_samples(walk.next(first_ms, BLOCK_MS // STEP_MS)) for walk in walks]
        chunks = tables_joined(tables, [tile.start for tile in tiles])
        bits = int.from_bytes(np.random.default_rng([seed, number]).bytes(10), "big")
        ulid = new_ulid(first_ms + BLOCK_MS, bits)
        meta = BlockMeta(ulid, first_ms, first_ms + BLOCK_MS, compaction=Compaction(sources=(ulid,)))
        yield finished(directory / ulid, write_block(directory, labels, chunks, meta), external)


def hash_ms(instance: str) -> int:
    return sum(byte * 7919**i for i, byte in enumerate(instance.encode())) % STEP_MS


def finished(block: Path, meta: BlockMeta, external: Mapping[str, str]) -> BlockMeta:
    """Add the object ``thanos`` as a sidecar does before it uploads."""
    segments = sorted(path.name for path in (block / CHUNKS_DIRECTORY).iterdir())
    names = [*(f"{CHUNKS_DIRECTORY}/{name}" for name in segments), INDEX_FILE]
    files = (*(BlockFile(name, (block / name).stat().st_size) for name in names), BlockFile(META_FILE))
    meta = replace(
        meta, thanos=ThanosMeta(labels=dict(external), source="sidecar", segment_files=tuple(segments), files=files)
    )
    (block / META_FILE).write_bytes(meta.to_json())
    return meta


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--series", type=int, help="default: 1000, with --wide 100000")
    parser.add_argument("--hours", type=int, help="a multiple of 2; default: 24, with --wide 2")
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="external label")
    parser.add_argument("--wide", action="store_true", help="counters with 10 label pairs each")
    options = parser.parse_args()
    external = dict(label.split("=", 1) for label in options.label)
    sets = wide_series(options.series or 100_000) if options.wide else query_series(options.series or 1000)
    hours = options.hours or (2 if options.wide else 24)
    start = time.monotonic()
    for meta in write_blocks(options.directory, sets, hours // 2, external, SEED + options.wide):
        size = sum(file.size_bytes for file in meta.thanos.files) if meta.thanos else 0
        print(
            f"{meta.ulid}  from {meta.first_ms} ms  {meta.stats.n_series} series  {meta.stats.n_chunks} chunks  "
            f"{meta.stats.n_samples} samples  {size / 1e6:.1f} MB  {time.monotonic() - start:.1f} s"
        )


if __name__ == "__main__":
    main()
