"""Columns that flow between packages: label sets, chunks, samples, evaluated steps.

A set of series is a handful of arrays, never a list of objects. Everything here is frozen: arrays are shared, not
copied, and nobody writes into an array that it did not allocate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from athanor.model.arrays import B1, F64, I32, I64, U8, U64

# Kinds of a sample or of a cell. Absence is not NaN: NaN is a value, and the stale marker is one exact NaN.
ABSENT, FLOAT, HISTOGRAM = 0, 1, 2

# Chunk encodings as TSDB numbers them (the StoreAPI's `Chunk.Encoding` is one less).
ENCODING_XOR, ENCODING_HISTOGRAM, ENCODING_FLOAT_HISTOGRAM = 1, 2, 3
ENCODING_XOR2 = 4  # of Prometheus 3.11
ENCODING_HISTOGRAM_ST, ENCODING_FLOAT_HISTOGRAM_ST = 5, 6  # with start times, of Prometheus 3.14
HISTOGRAM_ENCODINGS = (
    ENCODING_HISTOGRAM, ENCODING_FLOAT_HISTOGRAM, ENCODING_HISTOGRAM_ST, ENCODING_FLOAT_HISTOGRAM_ST,
)  # fmt: skip

# Sub-chunks of an aggregate chunk; the numbers are those of the StoreAPI's `Aggr`.
RAW, COUNT, SUM, MIN, MAX, COUNTER = range(6)

STALE_NAN_BITS = 0x7FF0000000000002  # Prometheus model/value: the stale marker
NORMAL_NAN_BITS = 0x7FF8000000000001  # Prometheus model/value: a NaN that was written as one


@dataclass(frozen=True, slots=True)
class LabelTable:
    """n canonical label sets in one arena.

    arena: uint8[*]; offsets: int64[n+1]. Set i is ``arena[offsets[i]:offsets[i+1]]``: its labels sorted by name
    (bytewise), names unique, no empty value, each written as the field ``labels = 1`` of the StoreAPI's ``Series``:
    ``0x0A len`` and inside ``0x0A len name 0x12 len value``, all lengths shortest varints. So equal bytes mean
    equal sets, and a set can be copied into a frame as it is. The order of sets is never compared on these bytes
    but by ``kernel.labels``.
    """

    arena: U8
    offsets: I64

    def __len__(self) -> int:
        return self.offsets.size - 1

    @property
    def n_bytes(self) -> int:
        return int(self.offsets[-1] - self.offsets[0]) + self.offsets.nbytes

    def encoded(self, index: int) -> bytes:
        """The bytes of one set: its identity."""
        return self.arena[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def pairs(self, index: int) -> list[tuple[str, str]]:
        """One set as (name, value) pairs, in order of names; for the few sets that a person will read."""
        return decode_label_set(self.encoded(index))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def decode_label_set(encoded: bytes) -> list[tuple[str, str]]:
    """The (name, value) pairs of one canonical set; bytes that are not UTF-8 become U+FFFD."""
    pairs, at = [], 0
    while at < len(encoded):
        _, at = _varint(encoded, at + 1)
        name_size, at = _varint(encoded, at + 1)
        name, at = encoded[at : at + name_size], at + name_size
        value_size, at = _varint(encoded, at + 1)
        value, at = encoded[at : at + value_size], at + value_size
        pairs.append((name.decode("utf-8", "replace"), value.decode("utf-8", "replace")))
    return pairs


def _length_prefixed(tag: int, data: bytes) -> bytes:
    out = bytearray([tag])
    size = len(data)
    while size >= 0x80:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + data


def encode_label_set(pairs: Sequence[tuple[str, str]]) -> bytes:
    """The canonical bytes of one set: sorted, empty values dropped, the last of equal names kept."""
    merged = {name.encode(): value.encode() for name, value in pairs}
    return b"".join(
        _length_prefixed(0x0A, _length_prefixed(0x0A, name) + _length_prefixed(0x12, merged[name]))
        for name in sorted(merged)
        if merged[name]
    )


def label_table(sets: Sequence[Sequence[tuple[str, str]]]) -> LabelTable:
    """A table from Python pairs, for tests, configuration and the few sets that the engine makes itself."""
    return label_table_from_encoded([encode_label_set(pairs) for pairs in sets])


def label_table_from_encoded(encoded: Sequence[bytes]) -> LabelTable:
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(e) for e in encoded], out=offsets[1:])
    return LabelTable(np.frombuffer(b"".join(encoded), np.uint8), offsets)


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """m sub-chunks and the arena that holds their bytes; those of one aggregate chunk are adjacent.

    series: int32[m], the owner's row in the LabelTable beside this table, ascending; first_ms, last_ms: int64[m], both
    included; encoding: uint8[m] (ENCODING_*); aggregate: uint8[m] (RAW..COUNTER); hash: uint64[m], xxhash64 of the
    data as the wire carries it, 0 where unknown; at, size: int64[m], the chunk's data (without encoding byte,
    length or checksum) in arena: uint8[*].
    """

    series: I32
    first_ms: I64
    last_ms: I64
    encoding: U8
    aggregate: U8
    hash: U64
    at: I64
    size: I64
    arena: U8

    def __len__(self) -> int:
        return self.series.size


@dataclass(frozen=True, slots=True)
class HistogramLayouts:
    """The shapes that histogram rows share, usually one for each chunk; see ``Histograms``.

    schema: int32[L] (-4..8 exponential, -53 custom bounds); zero_threshold: float64[L]; positive and negative bucket
    indexes (ascending int32) in one arena ``index``: those of layout i are ``index[pos_at[i]:neg_at[i]]`` and
    ``index[neg_at[i]:pos_at[i+1]]`` (pos_at: int64[L+1], neg_at: int64[L]); custom upper bounds
    ``bounds[bounds_at[i]:bounds_at[i+1]]``.
    """

    schema: I32
    zero_threshold: F64
    index: I32
    pos_at: I64
    neg_at: I64
    bounds: F64
    bounds_at: I64


@dataclass(frozen=True, slots=True)
class Histograms:
    """Rows of native histogram samples, all counts absolute floats.

    layout: int32[h]; hint: uint8[h] (0 unknown, 1 reset, 2 not reset, 3 gauge); count, sum, zero_count: float64[h];
    bucket_at: int64[h], where the row's bucket counts start in ``buckets``: first the positive ones, then the negative
    ones, as many as its layout has indexes.
    """

    layouts: HistogramLayouts
    layout: I32
    hint: U8
    count: F64
    sum: F64
    zero_count: F64
    bucket_at: I64
    buckets: F64


@dataclass(frozen=True, slots=True)
class Samples:
    """Decoded samples of k series, each in ascending time.

    ts_ms: int64[*]; values: float64[*] (for a histogram sample: its row in ``histograms``); offsets: int64[k+1]; kind:
    uint8[*] (FLOAT, HISTOGRAM) or None where every sample is a float; start_ms: int64[*], when the sample's counter
    began (0 unknown), or None where no sample tells. The arrays may be views of a workspace: they are valid until the
    workspace decodes its next tile.
    """

    ts_ms: I64
    values: F64
    offsets: I64
    kind: U8 | None = None
    histograms: Histograms | None = None
    start_ms: I64 | None = None

    @property
    def n_series(self) -> int:
        return self.offsets.size - 1


@dataclass(frozen=True, slots=True)
class StepGrid:
    """The steps of an evaluation: first_ms, first_ms + step_ms, ... n of them. An instant has n = 1."""

    first_ms: int
    step_ms: int
    n: int

    @property
    def last_ms(self) -> int:
        return self.first_ms + (self.n - 1) * self.step_ms

    def steps_ms(self) -> I64:
        return self.first_ms + self.step_ms * np.arange(self.n, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class StepBlock:
    """An evaluated node: values of k series at every step.

    values: float64[k, n] (for a histogram cell: its row in ``histograms``); kind: uint8[k, n] (ABSENT, FLOAT,
    HISTOGRAM); labels: k sets; drop_name: bool[k], the metric name is to be removed at the end (delayed name
    removal). n = 1 with a grid of more steps marks a step-invariant node, broadcast when read.
    """

    grid: StepGrid
    values: F64
    kind: U8
    labels: LabelTable
    drop_name: B1
    histograms: Histograms | None = None
