"""Frames of series: ``SeriesResponse`` bytes to columns without copying chunk data, and columns to bytes.

Reading keeps the frame alive: the chunk table's arena *is* the frame. Writing closes a frame at ``batch_size`` series
or at 1 MiB of chunk data, whichever comes first. Layout of the bytes: see ``wire_kernels``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from athanor.model.arrays import U8, as_bytes
from athanor.model.errors import DataError
from athanor.model.tables import ChunkTable, LabelTable
from athanor.storeapi import messages, write_kernels
from athanor.storeapi import wire_kernels as kernels
from athanor.storeapi.hashes import fill_hashes

FRAME_BYTES = 1 << 20
"""Chunk data of one frame: fewer hand-overs between threads than with less, and still in a core's cache."""
MAX_BATCH_SERIES = 1 << 40

_PROBLEMS = {
    kernels.BAD_VARINT: "a number that is cut off or longer than 64 bits",
    kernels.BAD_LENGTH: "a length that runs past the end of its message",
    kernels.BAD_WIRE_TYPE: "a known field with a wrong wire type",
    kernels.BAD_TAG: "a broken field tag",
    kernels.BAD_ORDER: "sub-chunks of an aggregate chunk out of order",
    kernels.BAD_ENCODING: "a chunk encoding above 254",
    kernels.NOT_SERIES: "a warning or hints where only series are expected",
    kernels.TWO_RESULTS: "more than one result in one response",
}


@dataclass(frozen=True, slots=True)
class SeriesFrame:
    """Series with their chunks; both tables have the same rows."""

    labels: LabelTable
    chunks: ChunkTable

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_bytes(self) -> int:
        """Bytes that the frame keeps alive."""
        return table_bytes(self.labels, self.chunks)


@dataclass(frozen=True, slots=True)
class WarningFrame:
    """A warning from a store."""

    text: str


@dataclass(frozen=True, slots=True)
class HintsFrame:
    """Response hints: a serialised ``google.protobuf.Any``."""

    data: bytes


Frame = SeriesFrame | WarningFrame | HintsFrame

CHUNK_ROW_BYTES = 4 + 8 + 8 + 1 + 1 + 8 + 8 + 8


def table_bytes(labels: LabelTable, chunks: ChunkTable) -> int:
    """Memory that two tables hold, arenas included."""
    return labels.arena.nbytes + labels.offsets.nbytes + CHUNK_ROW_BYTES * len(chunks) + chunks.arena.nbytes


def empty_chunks(arena: U8 | None = None) -> ChunkTable:
    """A table without rows."""
    n64, u8 = np.empty(0, np.int64), np.empty(0, np.uint8)
    arena = u8 if arena is None else arena
    return ChunkTable(np.empty(0, np.int32), n64, n64, u8, u8, np.empty(0, np.uint64), n64, n64, arena)


def _scan(data: U8, joined: bool, keep_empty: bool, where: str) -> SeriesFrame:
    """Scan with arrays of a guessed size, again where the guess was too small or a label set is not canonical."""
    n_series, n_rows, rewrite = data.size // 64 + 4, data.size // 48 + 8, 0
    spare = np.empty(0, np.int64)
    spans, order, scratch = spare, spare, spare
    while True:
        labels = np.empty(data.size * (3 if rewrite else 1), np.uint8)
        offsets = np.empty(n_series + 1, np.int64)
        series = np.empty(n_rows, np.int32)
        first_ms, last_ms, at, size = (np.empty(n_rows, np.int64) for _ in range(4))
        encoding, aggregate = np.empty(n_rows, np.uint8), np.empty(n_rows, np.uint8)
        hashes = np.empty(n_rows, np.uint64)
        status, position, n, m, used = kernels.scan_frame(
            data, int(joined), rewrite, int(keep_empty), spans, order, scratch, labels, offsets,
            series, first_ms, last_ms, encoding, aggregate, hashes, at, size,
        )  # fmt: skip
        if status == kernels.GROW:
            n_series, n_rows = int(n) + 1, int(m) + 1
        elif status == kernels.REWRITE:
            rewrite = 1
            spans, order, scratch = (np.empty(data.size * k // 2 + k, np.int64) for k in (4, 1, 1))
        elif status != kernels.OK:
            raise DataError(f"{where}: byte {position} of {data.size}: {_PROBLEMS[status]}")
        else:
            break
    table = LabelTable(labels[:used].copy(), offsets[: n + 1])
    chunks = ChunkTable(
        series[:m], first_ms[:m], last_ms[:m], encoding[:m], aggregate[:m], hashes[:m], at[:m], size[:m], data
    )
    return SeriesFrame(table, chunks)


def read_series_frame(buffer: bytes | memoryview, *, where: str = "series frame", keep_empty: bool = False) -> Frame:
    """One ``SeriesResponse``: series (single or batched), a warning, or hints.

    The chunk table's arena is ``buffer`` itself. An empty response is a frame without series. Chunks that carry times
    but no data (raw asked of a downsampled block) are left out; ``keep_empty`` keeps them as rows of encoding 0, for a
    proxy. Raises DataError with the byte position where the bytes break the format.
    """
    if buffer[:1] in (b"\x12", b"\x1a"):
        return _other_frame(bytes(buffer), where)
    return _scan(as_bytes(buffer), False, keep_empty, where)


def read_joined_frames(buffer: bytes, *, where: str = "series frames", keep_empty: bool = False) -> SeriesFrame:
    """Several responses that hold series only, joined end to end: peers that send one series in each message."""
    return _scan(as_bytes(buffer), True, keep_empty, where)


def _other_frame(buffer: bytes, where: str) -> Frame:
    response = messages.decode(messages.thanos.SeriesResponse, buffer, where)
    kind = response.WhichOneof("result")
    if kind == "warning":
        return WarningFrame(response.warning)
    if kind == "hints":
        return HintsFrame(messages.encode(response.hints))
    raise DataError(f"{where}: byte 0 of {len(buffer)}: {_PROBLEMS[kernels.TWO_RESULTS]}")


def warning_frame(text: str) -> bytes:
    """A response that carries a warning."""
    return messages.encode(messages.thanos.SeriesResponse(warning=text))


def hints_frame(hints: object) -> bytes:
    """A response that carries hints (a message of the package ``hints``)."""
    return messages.encode(messages.thanos.SeriesResponse(hints=messages.pack_hints(hints)))


def write_series_frames(
    labels: LabelTable, chunks: ChunkTable, batch_size: int, *, frame_bytes: int = FRAME_BYTES
) -> Iterator[bytes]:
    """``SeriesResponse`` messages with these series, in order.

    batch_size 0 or 1: one ``series`` message for each response; n: ``batch`` messages of at most n series and at most
    ``frame_bytes`` of chunk data; a bigger single series goes through whole. Hashes that the table does not know are
    computed. Rows of encoding 0 become chunks that carry only their times.
    """
    n = len(labels)
    offsets = np.ascontiguousarray(labels.offsets)
    misplaced = write_kernels.first_outside(chunks.at, chunks.size, chunks.arena.size)
    if misplaced >= 0:
        raise AssertionError(f"BUG: chunk row {misplaced} lies outside its arena of {chunks.arena.size} bytes")
    chunks = fill_hashes(chunks)
    starts, body, data_bytes = np.empty(n + 1, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    wrong = write_kernels.size_series(
        offsets, chunks.series, chunks.first_ms, chunks.last_ms, chunks.encoding, chunks.aggregate, chunks.hash,
        chunks.size, starts, body, data_bytes,
    )  # fmt: skip
    if wrong >= 0:
        raise AssertionError(f"BUG: chunk row {wrong} belongs to series {chunks.series[wrong]} of {n}, out of order")
    ends, sizes = np.empty(n, np.int64), np.empty(n, np.int64)
    n_frames = write_kernels.cut_frames(body, data_bytes, max(1, batch_size), frame_bytes, ends, sizes)
    first = 0
    for end, size in zip(ends[:n_frames].tolist(), sizes[:n_frames].tolist(), strict=True):
        out = np.empty(size, np.uint8)
        written = write_kernels.write_frame(
            first, end, int(batch_size > 1), labels.arena, offsets, starts, body, chunks.first_ms, chunks.last_ms,
            chunks.encoding, chunks.aggregate, chunks.hash, chunks.at, chunks.size, chunks.arena, out,
        )  # fmt: skip
        if written != size:
            raise AssertionError(f"BUG: a frame of {size} bytes was written with {written}")
        yield out.tobytes()
        first = end
