"""Chunks of one block: references to sub-chunks, read in ranges into one arena."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from athanor.bucket import Bucket
from athanor.model.arrays import I32, I64, U8, as_bytes
from athanor.model.errors import DataError
from athanor.model.tables import COUNT, COUNTER, ENCODING_FLOAT_HISTOGRAM_ST, ChunkTable
from athanor.store import chunk_kernels as kernels
from athanor.store.partition import MAX_WASTE_BYTES, Parts, frugal_partition, partition
from athanor.store.request_limits import CallLimits

ESTIMATED_CHUNK_BYTES = 16_000  # (Thanos' estimated-max-chunk-size)
MIN_CHUNK_OFFSET = 8  # behind the segment's header
AGGREGATE_NAMES = ("raw", "count", "sum", "min", "max", "counter")


class MissingAggregate(DataError):
    """A downsampled chunk lacks an aggregate that was asked for."""


class ChunkReader:
    """Reads for one block; holds no state of a request. segments: (object name, size), in the order of references."""

    def __init__(self, bucket: Bucket, block: str, segments: Sequence[tuple[str, int]], measured_bytes: int) -> None:
        self._bucket = bucket
        self._block = block
        self._segments = segments
        self._estimate = min(measured_bytes, ESTIMATED_CHUNK_BYTES) or ESTIMATED_CHUNK_BYTES

    def read(
        self, series: I32, first_ms: I64, last_ms: I64, refs: I64, aggregates: frozenset[int], limits: CallLimits
    ) -> ChunkTable:
        """The chunks in the order given, those of downsampled blocks as the wanted sub-chunks; hashes unknown."""
        arena, at, end, offset = self._fetch(refs, limits)
        n = refs.size
        data_at, size, needed = (np.empty(n, np.int64) for _ in range(3))
        encoding = np.empty(n, np.uint8)
        status, bad = kernels.locate_chunks(arena, at, end, data_at, size, encoding, needed)
        while not status and needed.any():
            arena, at, end = self._refetched(arena, at, end, refs, offset, needed, limits)
            status, bad = kernels.locate_chunks(arena, at, end, data_at, size, encoding, needed)
        if status:
            reason = "checksum mismatch" if status == kernels.BAD_CHECKSUM else "broken length"
            raise DataError(f"{self._place(refs[bad])}: {reason}; restore or delete the block")
        if n and int(encoding.max()) == kernels.AGGREGATE_ENCODING:
            return self._expanded(arena, series, first_ms, last_ms, data_at, size, encoding, refs, aggregates)
        if n and not 1 <= int(encoding.min()) <= int(encoding.max()) <= ENCODING_FLOAT_HISTOGRAM_ST:
            bad = int(np.argmax((encoding < 1) | (encoding > ENCODING_FLOAT_HISTOGRAM_ST)))
            raise DataError(f"{self._place(refs[bad])}: unsupported chunk encoding {encoding[bad]}")
        plain = np.zeros(n, np.uint8)
        return ChunkTable(series, first_ms, last_ms, encoding, plain, np.zeros(n, np.uint64), data_at, size, arena)

    def _expanded(
        self, arena: U8, series: I32, first_ms: I64, last_ms: I64, at: I64, size: I64, encoding: U8, refs: I64,
        aggregates: frozenset[int],
    ) -> ChunkTable:  # fmt: skip
        room = refs.size * kernels.N_AGGREGATES
        wanted = sum(1 << k for k in aggregates if COUNT <= k <= COUNTER)
        source, out_first, out_last, out_at, out_size = (np.empty(room, np.int64) for _ in range(5))
        out_series = np.empty(room, np.int32)
        out_encoding, out_aggregate = np.empty(room, np.uint8), np.empty(room, np.uint8)
        n, status, bad = kernels.expand_aggregates(
            arena, series, first_ms, last_ms, at, size, encoding, wanted,
            source, out_series, out_first, out_last, out_encoding, out_aggregate, out_at, out_size,
        )  # fmt: skip
        if status == kernels.MISSING_AGGREGATE:
            raise MissingAggregate(f"populate chunk: aggregate {AGGREGATE_NAMES[bad % 8]} does not exist")
        if status:
            raise DataError(f"{self._place(refs[bad // 8])}: aggregate {AGGREGATE_NAMES[bad % 8]}: invalid size")
        return ChunkTable(
            out_series[:n], out_first[:n], out_last[:n], out_encoding[:n], out_aggregate[:n],
            np.zeros(n, np.uint64), out_at[:n], out_size[:n], arena,
        )  # fmt: skip

    def _fetch(self, refs: I64, limits: CallLimits) -> tuple[U8, I64, I64, I64]:
        """(arena, position and end of what was read for each chunk, its offset in the segment)."""
        is_sorted = not (refs[1:] < refs[:-1]).any()
        if is_sorted and refs.size and _lie_together(int(refs[0]), int(refs[-1])):
            return self._fetch_together(refs, limits)
        segment, offset = refs >> 32, refs & 0xFFFFFFFF
        at, end = np.empty(refs.size, np.int64), np.empty(refs.size, np.int64)
        pieces: list[U8] = []
        n_held = 0
        order = np.arange(refs.size) if is_sorted else np.argsort(refs, kind="stable")
        cuts = np.flatnonzero(np.diff(segment[order])) + 1
        for rows in np.split(order, cuts) if cuts.size else (order,):
            if not rows.size:
                continue
            offsets = offset[rows]
            name, size = self._segment(int(segment[rows[0]]))
            if offsets[0] < MIN_CHUNK_OFFSET or offsets[-1] >= size:
                raise self._no_chunk(name, size, int(offsets[-1]))
            stops = np.minimum(offsets + self._estimate, size)
            parts = frugal_partition(offsets, stops) if rows.size < 256 else partition(offsets, stops)
            base, found = self._read(name, parts, limits)
            at[rows] = n_held + base[parts.part_of] + offsets - parts.start[parts.part_of]
            end[rows] = n_held + (base + parts.end - parts.start)[parts.part_of]
            pieces += found
            n_held += parts.n_bytes
        arena = pieces[0] if len(pieces) == 1 else np.concatenate(pieces) if pieces else np.empty(0, np.uint8)
        return arena, at, end, offset

    def _fetch_together(self, refs: I64, limits: CallLimits) -> tuple[U8, I64, I64, I64]:
        """``_fetch`` by one request, as of a few series whose chunks lie near each other; they are of one segment."""
        first, last = int(refs[0]) & 0xFFFFFFFF, int(refs[-1]) & 0xFFFFFFFF
        name, size = self._segment(int(refs[0]) >> 32)
        if first < MIN_CHUNK_OFFSET or last >= size:
            raise self._no_chunk(name, size, last)
        length = min(last + self._estimate, size) - first
        limits.fetched(length, "fetching chunks")
        arena = as_bytes(self._bucket.get_range(name, first, length))
        self._check_length(name, first, length, arena)
        offset = refs & 0xFFFFFFFF
        return arena, offset - first, np.full(refs.size, length, np.int64), offset

    def _read(self, name: str, parts: Parts, limits: CallLimits) -> tuple[I64, list[U8]]:
        """Where each part begins among the pieces, and the pieces."""
        limits.fetched(parts.n_bytes, "fetching chunks")
        sizes = parts.end - parts.start
        ranges = list(zip(parts.start.tolist(), sizes.tolist(), strict=True))
        pieces = [as_bytes(found) for found in self._bucket.get_ranges(name, ranges)]
        for (at, length), piece in zip(ranges, pieces, strict=True):
            self._check_length(name, at, length, piece)
        return np.cumsum(sizes) - sizes, pieces

    def _refetched(
        self, arena: U8, at: I64, end: I64, refs: I64, offset: I64, needed: I64, limits: CallLimits
    ) -> tuple[U8, I64, I64]:
        """Chunks that are longer than was guessed, read again behind the others."""
        at, end = at.copy(), end.copy()
        for row in np.flatnonzero(needed).tolist():
            name, size = self._segment(int(refs[row]) >> 32)
            begin, length = int(offset[row]), int(needed[row])
            if length > size - begin:
                raise DataError(f"{self._place(refs[row])}: runs past the end of its segment of {size} bytes")
            parts = Parts(np.array([begin]), np.array([begin + length]), np.zeros(1, np.int64))
            _, pieces = self._read(name, parts, limits)
            at[row], end[row] = arena.size, arena.size + length
            arena = np.concatenate((arena, *pieces))
        return arena, at, end

    def _check_length(self, name: str, at: int, length: int, piece: U8) -> None:
        if piece.size != length:
            raise DataError(
                f"block {self._block}: {name} gave {piece.size} of {length} bytes at {at}; the file changed"
            )

    def _no_chunk(self, name: str, size: int, offset: int) -> DataError:
        return DataError(f"block {self._block}: {name} of {size} bytes has no chunk at {offset}")

    def _segment(self, number: int) -> tuple[str, int]:
        if not 0 <= number < len(self._segments):
            raise DataError(f"block {self._block}: segment index {number} out of range; restore or delete the block")
        return self._segments[number]

    def _place(self, ref: int) -> str:
        return f"block {self._block}: chunk at {int(ref) & 0xFFFFFFFF} of {self._segment(int(ref) >> 32)[0]}"


def _lie_together(first: int, last: int) -> bool:
    """Whether references from first to last are of one segment, and so near that one request wastes little."""
    return first >> 32 == last >> 32 and last - first <= MAX_WASTE_BYTES
