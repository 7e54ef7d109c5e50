"""Writing of a block: chunks, index, meta.json, tombstones, in this order; the directory appears whole or never."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from athanor.block.index_writer import write_index
from athanor.block.meta import META_FILE, BlockMeta, BlockStats
from athanor.block.segments import MAX_SEGMENT_BYTES, SegmentWriter
from athanor.block.tombstones import TOMBSTONES_FILE, encode_tombstones
from athanor.chunk.xor import Cut, encode_series
from athanor.model.arrays import I32, I64, U8
from athanor.model.errors import DataError, NotAvailableError
from athanor.model.tables import ENCODING_XOR, ChunkTable, LabelTable, Samples

INDEX_FILE = "index"
CHUNKS_DIRECTORY = "chunks"
UNFINISHED = ".tmp-for-creation"
FLOAT_ENCODINGS = (1, 4)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a version of Prometheus lays a block out: sections of label indices, counts of floats and histograms."""

    label_indices: bool = False
    count_kinds: bool = True
    max_segment_bytes: int = MAX_SEGMENT_BYTES


CURRENT = Layout()
BEFORE_3_6 = Layout(label_indices=True, count_kinds=False)


def encode_samples(samples: Samples, cut: Cut | None = None) -> ChunkTable:
    """The float samples of every series as XOR chunks, cut as Prometheus' head cuts them."""
    if samples.kind is not None:
        raise AssertionError("BUG: encode_samples takes float samples only")
    encoded = encode_series(samples.ts_ms, samples.values, samples.offsets, cut or Cut())
    last = encoded.first_sample + encoded.n_samples - 1
    m = len(encoded)
    return ChunkTable(
        series=encoded.series.astype(np.int32),
        first_ms=samples.ts_ms[encoded.first_sample],
        last_ms=samples.ts_ms[last],
        encoding=np.full(m, ENCODING_XOR, np.uint8),
        aggregate=np.zeros(m, np.uint8),
        hash=np.zeros(m, np.uint64),
        at=encoded.at,
        size=encoded.size,
        arena=encoded.arena,
    )


def write_block(
    parent: Path, labels: LabelTable, chunks: ChunkTable, meta: BlockMeta, layout: Layout = CURRENT
) -> BlockMeta:
    """Write ``parent/<meta.ulid>`` and return its meta, with the counts of what was written.

    labels: strictly ascending; chunks: by series, then time; arena bytes are copied as they are, of any encoding.
    meta: ulid, range, compaction and thanos as wanted; ``thanos.segment_files`` and ``files`` are left to the shipper.
    """
    _check(labels, chunks, parent / meta.ulid)
    unfinished = parent / (meta.ulid + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / CHUNKS_DIRECTORY).mkdir(parents=True)
    with SegmentWriter(unfinished / CHUNKS_DIRECTORY, layout.max_segment_bytes) as segments:
        refs = segments.write(chunks.series.astype(np.int64), chunks.arena, chunks.at, chunks.size, chunks.encoding)
    chunk_at = np.searchsorted(chunks.series, np.arange(len(labels) + 1)).astype(np.int64)
    write_index(
        unfinished / INDEX_FILE, labels, chunk_at, chunks.first_ms, chunks.last_ms, refs,
        label_indices=layout.label_indices,
    )  # fmt: skip
    meta = replace(meta, stats=_stats(len(labels), chunks, layout.count_kinds))
    _write_durably(unfinished / META_FILE, meta.to_json())
    _write_durably(unfinished / TOMBSTONES_FILE, encode_tombstones({}))
    _sync_directory(unfinished)
    shutil.rmtree(parent / meta.ulid, ignore_errors=True)
    unfinished.rename(parent / meta.ulid)
    _sync_directory(parent)
    return meta


def _check(labels: LabelTable, chunks: ChunkTable, place: Path) -> None:
    series = chunks.series
    if series.size and (int(series[0]) < 0 or int(series[-1]) >= len(labels) or bool((np.diff(series) < 0).any())):
        raise DataError(f"{place}: chunks do not follow the order of their {len(labels)} series")
    following = np.diff(series) == 0
    overlap = np.flatnonzero(following & (chunks.first_ms[1:] <= chunks.last_ms[:-1]))
    if overlap.size:
        i = int(overlap[0])
        raise DataError(
            f"{place}: chunks {i} and {i + 1} of series {int(series[i])} overlap: "
            f"{int(chunks.last_ms[i])} and {int(chunks.first_ms[i + 1])} ms; merge them first"
        )


def count_samples(encoding: U8, at: I64, arena: U8) -> I32:
    """Samples of chunks, from their headers: two bytes, of which encodings 5 and 6 count in 14 bits."""
    if encoding.size and (int(encoding.min()) < 1 or int(encoding.max()) > 6):
        raise NotAvailableError("writing downsampled chunks")
    counts = (arena[at].astype(np.int32) << 8) | arena[at + 1]
    return np.where((encoding == 5) | (encoding == 6), counts & 0x3FFF, counts).astype(np.int32)


def _stats(n_series: int, chunks: ChunkTable, count_kinds: bool) -> BlockStats:
    counts = count_samples(chunks.encoding, chunks.at, chunks.arena)
    n_samples = int(counts.sum())
    n_floats = int(counts[np.isin(chunks.encoding, FLOAT_ENCODINGS)].sum())
    return BlockStats(
        n_samples=n_samples,
        n_float_samples=n_floats if count_kinds else 0,
        n_histogram_samples=n_samples - n_floats if count_kinds else 0,
        n_series=n_series,
        n_chunks=len(chunks),
    )


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
