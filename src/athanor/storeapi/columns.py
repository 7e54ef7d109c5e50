"""Frames of series as columns: what Athanor's components send each other, instead of a message for every chunk.

A caller that knows them says so in the call's metadata (``athanor-frames: columns``); nobody else is sent any. A frame
is one length-delimited field of SeriesResponse, number 15, which Thanos does not use. All numbers are little endian:

    int64[4]        n series, m chunk rows, bytes of labels, bytes of chunk data
    int64[m] x 2    first and last time of each chunk, ms
    uint32[n] x 2   bytes of each label set, chunk rows of each series
    uint32[m]       bytes of each chunk
    uint8[m] x 2    encoding, aggregate
    labels          canonical label sets, end to end
    chunk data      end to end

There are no hashes: whoever needs them (a merge of equal series) computes them. Reading costs a check instead of a
scan, writing one copy; of a query that mostly fetches this was a tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

import numpy as np

from athanor.model.arrays import I64, U8, as_bytes
from athanor.model.errors import DataError
from athanor.model.tables import ChunkTable, LabelTable
from athanor.storeapi import column_kernels, write_kernels
from athanor.storeapi.frames import FRAME_BYTES, SeriesFrame, write_series_frames
from athanor.storeapi.rows import chunk_starts, gather, take_chunks

METADATA = {"athanor-frames": "columns"}
TAG = b"\x7a"  # field 15, length-delimited
N_HEADER = 4
N_AGGREGATES = 6
_MAX_VARINT_BYTES = 10

FrameWriter = Callable[[LabelTable, ChunkTable, int], Iterator[bytes]]


def frame_writer(metadata: Mapping[str, str]) -> FrameWriter:
    """How to write frames for this caller."""
    wanted = all(metadata.get(name) == value for name, value in METADATA.items())
    return write_column_frames if wanted else write_series_frames


def write_column_frames(labels: LabelTable, chunks: ChunkTable, batch_size: int) -> Iterator[bytes]:
    """Frames with these series, in order, of about FRAME_BYTES of chunk data. batch_size does not matter here: it
    bounds frames of series that are told by number, and these are told by bytes."""
    n = len(labels)
    outside = write_kernels.first_outside(chunks.at, chunks.size, chunks.arena.size)
    if outside >= 0:
        raise AssertionError(f"BUG: chunk row {outside} lies outside its arena of {chunks.arena.size} bytes")
    starts = chunk_starts(chunks, n)
    total = np.zeros(len(chunks) + 1, np.int64)
    np.cumsum(chunks.size, out=total[1:])
    ends = total[starts]
    first = 0
    while first < n:
        end = int(np.searchsorted(ends, ends[first] + FRAME_BYTES, side="right")) - 1
        end = min(max(end, first + 1), n)
        yield _frame(labels, chunks, starts, first, end)
        first = end


def _frame(labels: LabelTable, chunks: ChunkTable, starts: I64, first: int, end: int) -> bytes:
    low, high = int(starts[first]), int(starts[end])
    offsets = labels.offsets[first : end + 1]
    data = _data(chunks, low, high)
    arena = labels.arena[offsets[0] : offsets[-1]]
    parts = (
        np.array([end - first, high - low, arena.size, data.size], "<i8"),
        chunks.first_ms[low:high].astype("<i8", copy=False),
        chunks.last_ms[low:high].astype("<i8", copy=False),
        np.diff(offsets).astype("<u4"),
        np.diff(starts[first : end + 1]).astype("<u4"),
        chunks.size[low:high].astype("<u4"),
        chunks.encoding[low:high],
        chunks.aggregate[low:high],
        arena,
        data,
    )
    size = sum(part.nbytes for part in parts)
    return b"".join((TAG, uvarint(size), *(np.ascontiguousarray(part).data for part in parts)))


def _data(chunks: ChunkTable, low: int, high: int) -> U8:
    """The chunks' data end to end; a view where it lies so already."""
    at, size = chunks.at[low:high], chunks.size[low:high]
    if not at.size:
        return np.empty(0, np.uint8)
    if (at[1:] == at[:-1] + size[:-1]).all():
        return chunks.arena[at[0] : at[-1] + size[-1]]
    rows = np.arange(low, high)
    table = take_chunks(chunks, rows, chunks.series[low:high])
    return gather(table, [chunks.arena], np.zeros(rows.size, np.int32)).arena


def uvarint(value: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_column_frame(buffer: bytes | memoryview, *, where: str, keep_empty: bool = False) -> SeriesFrame:
    """A frame as ``write_column_frames`` makes it; the chunk table's arena is the buffer itself.

    Raises DataError with the byte position where the bytes break the format.
    """
    data = as_bytes(buffer)
    begin = _payload(data, where)

    def broken(position: int, problem: str) -> DataError:
        return DataError(f"{where}: byte {position} of {data.size}: {problem}")

    if data.size - begin < 8 * N_HEADER:
        raise broken(begin, "a frame of columns without its header")
    n, m, label_bytes, data_bytes = (int(x) for x in data[begin : begin + 8 * N_HEADER].view("<i8"))
    widths = (8 * m, 8 * m, 4 * n, 4 * n, 4 * m, m, m, label_bytes, data_bytes)
    if min(n, m, label_bytes, data_bytes) < 0 or begin + 8 * N_HEADER + sum(widths) != data.size:
        raise broken(begin, f"columns of {n} series and {m} chunks do not fill the frame")
    places = list(accumulate(widths, initial=begin + 8 * N_HEADER))

    def column(k: int, kind: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        return np.frombuffer(buffer, kind, widths[k] // np.dtype(kind).itemsize, places[k])

    first_ms, last_ms = (column(k, "<i8").astype(np.int64) for k in (0, 1))
    offsets, starts = (_ends(column(k, "<u4")) for k in (2, 3))
    size = column(4, "<u4").astype(np.int64)
    encoding, aggregate = (column(k, "u1").astype(np.uint8) for k in (5, 6))
    ends = _ends(size)
    for place, what, told, there in (
        (places[2], "label sets", offsets[-1], label_bytes),
        (places[3], "chunk rows", starts[-1], m),
        (places[4], "chunks", ends[-1], data_bytes),
    ):
        if told != there:
            raise broken(place, f"sizes of {what} add up to {told} instead of {there}")
    if m and int(aggregate.max()) >= N_AGGREGATES:
        raise broken(places[6], f"aggregate {int(aggregate.max())} is unknown, expected 0 to {N_AGGREGATES - 1}")
    arena = data[places[7] : places[8]].copy()
    wrong = column_kernels.first_not_canonical(arena, offsets)
    if wrong >= 0:
        raise broken(places[7] + int(offsets[wrong]), f"label set {wrong} of {n} is not in canonical form")
    series = np.repeat(np.arange(n, dtype=np.int32), np.diff(starts))
    chunks = ChunkTable(
        series, first_ms, last_ms, encoding, aggregate, np.zeros(m, np.uint64), ends[:-1] + places[8], size, data
    )
    if not keep_empty and m and not encoding.all():
        rows = np.flatnonzero(encoding)
        chunks = take_chunks(chunks, rows, series[rows])
    return SeriesFrame(LabelTable(arena, offsets), chunks)


def _payload(data: U8, where: str) -> int:
    """Where the one field's value begins; it must be the whole message."""
    head = data[: 1 + _MAX_VARINT_BYTES].tobytes()
    size = 0
    for k, byte in enumerate(head[1:]):
        size |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            if head[:1] == TAG and k + 2 + size == data.size:
                return k + 2
            break
    raise DataError(f"{where}: byte 0 of {data.size}: a frame of columns that is not one whole field")


def _ends(sizes: np.ndarray[tuple[int], np.dtype[np.generic]]) -> I64:
    """int64[n+1]: where each part begins, and the end of the last."""
    ends = np.zeros(sizes.size + 1, np.int64)
    np.cumsum(sizes, out=ends[1:], dtype=np.int64)
    return ends
