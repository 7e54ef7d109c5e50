"""XOR chunks, and XOR2 chunks: decode the chunks of a table; encode the samples of many series as XOR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from athanor.chunk import xor_encode_kernels, xor_kernels
from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import F64, I64, U8
from athanor.model.errors import DataError, NotAvailableError
from athanor.model.tables import (
    ENCODING_FLOAT_HISTOGRAM,
    ENCODING_HISTOGRAM,
    ENCODING_XOR,
    ENCODING_XOR2,
    ChunkTable,
    Samples,
)
from athanor.model.workspace import Workspace

_xor2 = LazyKernels("athanor.chunk.xor2_kernels")
MAX_CHUNK_SAMPLES = 65_535  # the header counts in 16 bits


class BrokenChunk(DataError):
    """Data that is no chunk of its encoding. row: which of the rows asked for; at_bytes: where in its data."""

    def __init__(self, row: int, at_bytes: int, reason: str, place: str) -> None:
        super().__init__(f"{place}: {reason}; restore or delete the block")
        self.row = row
        self.at_bytes = at_bytes
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a series is cut into chunks (prometheus tsdb/head_append.go).

    range_ms: no chunk crosses a multiple of it. max_bytes: a fuller chunk takes no further sample; 0 for files as
    Prometheus before 2.47 writes them. zero_byte: leave the byte that Prometheus before 3.0 leaves at the end of some.
    """

    range_ms: int = 2 * 3_600_000
    target_samples: int = 120
    max_bytes: int = 1005
    zero_byte: bool = False


@dataclass(frozen=True, slots=True)
class EncodedChunks:
    """m chunks: series, at, size, n_samples, first_sample: int64[m] (at, size in arena; samples are consecutive)."""

    series: I64
    at: I64
    size: I64
    n_samples: I64
    first_sample: I64
    arena: U8

    def __len__(self) -> int:
        return self.series.size


def decode_chunks(table: ChunkTable, rows: I64, workspace: Workspace) -> Samples:
    """Samples of these rows of a table, one "series" a chunk, in the order of ``rows``.

    The arrays are views of the workspace: valid until it decodes again. Raises BrokenChunk;
    NotAvailableError for histogram chunks.
    """
    rows = np.ascontiguousarray(rows, np.int64)
    encoding = table.encoding[rows]
    is_xor2 = encoding == ENCODING_XOR2
    other = np.flatnonzero((encoding != ENCODING_XOR) & ~is_xor2)
    if other.size:
        _refuse(table, int(other[0]), int(rows[other[0]]))
    at, size = np.ascontiguousarray(table.at[rows]), np.ascontiguousarray(table.size[rows])
    counts = workspace.take("counts", rows.size, np.int64)
    bad = xor_kernels.count_samples(table.arena, at, size, counts)
    if bad >= 0:
        reason = f"XOR chunk of {int(size[bad])} bytes in an arena of {table.arena.size}"
        raise BrokenChunk(bad, 0, reason, f"chunk {int(rows[bad])} at byte {int(at[bad])}")
    offsets = np.zeros(rows.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    total = int(offsets[-1])
    ts_ms = workspace.take("ts_ms", total, np.int64)
    values = workspace.take("values", total, np.float64)
    bad_at = workspace.take("bad_at", rows.size, np.int64)
    if is_xor2.any():
        n_bad = 0
        for decode, mine in ((xor_kernels.decode, np.flatnonzero(~is_xor2)), (_xor2.decode, np.flatnonzero(is_xor2))):
            places = np.empty(mine.size, np.int64)
            n_bad += decode(
                table.arena, at[mine], size[mine], offsets[:-1][mine], ts_ms, values.view(np.uint64), places
            )
            bad_at[mine] = places
    else:
        n_bad = xor_kernels.decode(table.arena, at, size, offsets[:-1], ts_ms, values.view(np.uint64), bad_at)
    if n_bad:
        i = int(np.flatnonzero(bad_at != -1)[0])
        reason = f"XOR chunk of {int(counts[i])} samples broke at byte {int(bad_at[i])} of {int(size[i])}"
        raise BrokenChunk(i, int(bad_at[i]), reason, f"chunk {int(rows[i])} at byte {int(at[i])}")
    return Samples(ts_ms, values, offsets)


def _refuse(table: ChunkTable, i: int, row: int) -> None:
    encoding = int(table.encoding[row])
    if encoding in (ENCODING_HISTOGRAM, ENCODING_FLOAT_HISTOGRAM):
        raise NotAvailableError("native histogram chunks")
    place = f"chunk {row} at byte {int(table.at[row])}"
    raise BrokenChunk(i, 0, f"encoding {encoding} is unknown, expected 1 (XOR) or 4 (XOR2)", place)


def encode_series(ts_ms: I64, values: F64, offsets: I64, cut: Cut | None = None) -> EncodedChunks:
    """Encode the samples ``offsets[s]:offsets[s+1]`` of each series s, cut into chunks as Prometheus' head does.

    Without ``cut`` each s is one chunk. Timestamps must ascend within a series.
    """
    offsets = np.ascontiguousarray(offsets, np.int64)
    n = int(offsets[-1] - offsets[0])
    if cut is None and offsets.size > 1 and int(np.diff(offsets).max()) > MAX_CHUNK_SAMPLES:
        raise AssertionError(f"BUG: a chunk of {int(np.diff(offsets).max())} samples, at most {MAX_CHUNK_SAMPLES}")
    rules = cut or Cut(range_ms=0)
    capacity = n if cut else offsets.size - 1
    room = n * xor_encode_kernels.MAX_SAMPLE_BYTES + capacity * xor_encode_kernels.MAX_CHUNK_OVERHEAD_BYTES
    out = np.empty(room, np.uint8)
    series, at, size, n_samples, first = (np.empty(capacity, np.int64) for _ in range(5))
    count = xor_encode_kernels.encode_series(
        np.ascontiguousarray(ts_ms, np.int64), np.ascontiguousarray(values, np.float64).view(np.uint64), offsets,
        rules.range_ms, rules.target_samples, rules.max_bytes, int(rules.zero_byte),
        out, series, at, size, n_samples, first,
    )  # fmt: skip
    used = int(at[count - 1] + size[count - 1]) if count else 0
    series, at, size, n_samples, first = (column[:count].copy() for column in (series, at, size, n_samples, first))
    return EncodedChunks(series, at, size, n_samples, first, out[:used].copy())
