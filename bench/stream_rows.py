"""Work for the kernels of chunks, frames and streams that other rows do not call; run by bench/kernels.py."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from athanor.block.postings import read_lists
from athanor.block.reader import LocalBlock
from athanor.block.segments import SegmentWriter
from athanor.chunk.histogram import decode_histogram_chunks
from athanor.chunk.xor import decode_chunks
from athanor.kernel import checksum_kernels
from athanor.model.arrays import I64, as_bytes
from athanor.model.budget import Budget
from athanor.model.tables import ChunkTable
from athanor.model.workspace import Workspace
from athanor.sidecar import remote_read_kernels
from athanor.store import chunk_kernels
from athanor.store.partition import partition
from athanor.storeapi import merge_kernels
from athanor.storeapi.columns import read_column_frame, uvarint, write_column_frames
from athanor.storeapi.frames import SeriesFrame, write_series_frames
from athanor.storeapi.merge import merge_streams
from athanor.storeapi.rows import gather
from athanor.storeapi.shards import Shard, shard_hashes
from kernel_rows import Row
from storeapi import Frames, series_tables

# An XOR2 chunk of Prometheus: 120 samples, every 15 s the same value.
XOR2_CHUNK = bytes.fromhex("00780080c0b884fa623ff00000000000009875000000000000000000000000000000")
# A histogram chunk of Prometheus: two samples, two buckets (golden data of the format).
HISTOGRAM_CHUNK = bytes.fromhex("0002007446478fa27140040000000000008be0ea626d626c62")


def _field(number: int, data: bytes) -> bytes:
    return uvarint(number << 3 | 2) + uvarint(len(data)) + data


def _crc(data: bytes) -> bytes:
    return int(checksum_kernels.crc32c(as_bytes(data), 0, len(data))).to_bytes(4, "big")


def _remote_read_stream(n: int) -> bytes:
    """Frames of a streamed remote read: one series with one chunk of 400 bytes each (prompb.ChunkedReadResponse)."""
    out = []
    for i in range(n):
        label = _field(1, b"__name__") + _field(2, b"metric_%06d" % i)
        chunk = b"\x08\x01\x10\x02\x18\x01" + _field(4, bytes(400))
        payload = _field(1, _field(1, label) + _field(2, chunk))
        out.append(uvarint(len(payload)) + _crc(payload) + payload)
    return b"".join(out)


def _records(datas: list[bytes], encoding: int) -> tuple[bytes, I64]:
    """Chunk records one after the other, and where each begins."""
    records = [uvarint(len(d)) + bytes([encoding]) + d + _crc(bytes([encoding]) + d) for d in datas]
    ends = np.cumsum([len(r) for r in records])
    return b"".join(records), ends - [len(r) for r in records]


def chunk_rows() -> Iterator[Row]:
    n = 5_000
    data, at = _records([bytes(300)] * n, 1)
    arena, end = as_bytes(data), np.append(at[1:], len(data))
    out = [np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.uint8), np.empty(n, np.int64)]
    yield Row("chunk records of ranges, checksums", "chunks", n,
              lambda: chunk_kernels.locate_chunks(arena, at, end, *out))  # fmt: skip
    aggregate = b"".join(uvarint(100) + b"\x01" + bytes(100) for _ in range(5))
    whole = as_bytes(aggregate * n)
    starts, sizes = np.arange(n) * len(aggregate), np.full(n, len(aggregate))
    series, times, kinds = np.arange(n, dtype=np.int32), np.zeros(n, np.int64), np.full(n, 0xFF, np.uint8)
    places = [np.empty(5 * n, np.int64) for _ in range(5)]
    rest = np.empty(5 * n, np.int32), np.empty(5 * n, np.uint8), np.empty(5 * n, np.uint8)
    yield Row("sub-chunks of aggregate chunks", "chunks", n, lambda: chunk_kernels.expand_aggregates(
        whole, series, times, times, starts, sizes, kinds, 0b111110,
        places[0], rest[0], places[1], places[2], rest[1], rest[2], places[3], places[4]))  # fmt: skip
    native = as_bytes(HISTOGRAM_CHUNK * n)
    table = ChunkTable(
        series, times, times, np.full(n, 2, np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.uint64),
        np.arange(n) * len(HISTOGRAM_CHUNK), np.full(n, len(HISTOGRAM_CHUNK)), native,
    )  # fmt: skip
    rows = np.arange(n)
    yield Row("histogram chunks decoded", "histograms", 2 * n, lambda: decode_histogram_chunks(table, rows))
    newer = as_bytes(XOR2_CHUNK * n)
    floats = ChunkTable(
        series, times, times, np.full(n, 4, np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.uint64),
        np.arange(n) * len(XOR2_CHUNK), np.full(n, len(XOR2_CHUNK)), newer,
    )  # fmt: skip
    workspace = Workspace()
    yield Row("XOR2 decode: constants", "samples", 120 * n, lambda: decode_chunks(floats, rows, workspace))
    data_bytes = np.zeros(16 << 20, np.uint8)
    yield Row("CRC-32C by tables", "bytes", data_bytes.size,
              lambda: checksum_kernels.crc32c_by_tables(data_bytes, 0, data_bytes.size))  # fmt: skip
    offsets = np.sort(np.random.default_rng(31).integers(0, 1 << 30, 200_000))
    yield Row("ranges put together", "ranges", offsets.size, lambda: partition(offsets, offsets + 16_000))


def frame_rows() -> Iterator[Row]:
    labels, chunks = series_tables(1_000, 12)
    tables = SeriesFrame(labels, chunks)
    yield Row("frames written", "chunks", len(chunks), lambda: list(write_series_frames(labels, chunks, 100)))
    yield Row(
        "frames of columns written", "chunks", len(chunks), lambda: list(write_column_frames(labels, chunks, 100))
    )
    in_columns = list(write_column_frames(labels, chunks, 100))
    yield Row("frames of columns read", "chunks", len(chunks),
              lambda: [read_column_frame(data, where="bench") for data in in_columns])  # fmt: skip
    source = (np.arange(len(chunks)) % 3).astype(np.int32)
    yield Row("chunk data gathered", "chunks", len(chunks), lambda: gather(chunks, [chunks.arena] * 3, source))
    columns = chunks.series, chunks.first_ms, chunks.last_ms, chunks.encoding, chunks.aggregate
    yield Row("overlaps looked for", "chunks", len(chunks), lambda: merge_kernels.first_overlap(*columns))
    yield Row("label order looked at", "sets", len(labels),
              lambda: merge_kernels.first_descent(labels.arena, labels.offsets))  # fmt: skip
    other = SeriesFrame(*series_tables(1_000, 12, 7))

    def merge() -> None:
        with Budget(1 << 30) as budget:
            budget.take("frames", tables.n_bytes + other.n_bytes)
            for batch in merge_streams([Frames([tables]), Frames([other])], budget):
                budget.give(batch.held_bytes)

    yield Row("two streams merged", "chunks", 2 * len(chunks), merge)
    shard = Shard(0, 16, True, ("__name__", "label1"))
    yield Row("shard hashes", "sets", len(labels), lambda: shard_hashes(labels, shard))
    stream = as_bytes(_remote_read_stream(2_000))
    out = np.empty(2 * stream.size, np.uint8)
    yield Row("remote read rewritten as frames", "chunks", 2_000,
              lambda: remote_read_kernels.rewrite_frames(stream, out))  # fmt: skip


def block_rows(block: LocalBlock) -> Iterator[Row]:
    lists = [np.arange(1, 20_001, dtype=np.int64)] * 10
    data = b"".join(len(one).to_bytes(4, "big") + one.astype(">u4").tobytes() for one in lists)
    size = 4 + 4 * lists[0].size
    at = np.arange(10) * size
    yield Row("postings decoded", "references", 10 * lists[0].size,
              lambda: read_lists(as_bytes(data), at, at + size, "x"))  # fmt: skip
    _, chunks = series_tables(1_000, 12)
    owners = chunks.series.astype(np.int64)

    def write() -> None:
        with tempfile.TemporaryDirectory() as directory, SegmentWriter(Path(directory)) as writer:
            writer.write(owners, chunks.arena, chunks.at, chunks.size, chunks.encoding)

    yield Row("segment written", "chunks", len(chunks), write)


def rows(block: LocalBlock) -> Iterator[Row]:
    """All rows, each made when it is asked for."""
    yield from chunk_rows()
    yield from frame_rows()
    yield from block_rows(block)
