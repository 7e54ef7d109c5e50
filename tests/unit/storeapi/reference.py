"""Plain references of the frame kernels: protobuf objects and Python loops, slow and obvious."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import struct

import numpy as np
import xxhash

from athanor.model.tables import ChunkTable, label_table
from athanor.storeapi.messages import encode, thanos

SUB_CHUNKS = ("raw", "count", "sum", "min", "max", "counter")


def series_message(labels, chunks):
    """labels: pairs; chunks: (first_ms, last_ms, {sub-chunk name: (type, data, hash)})."""
    series = thanos.Series(labels=[thanos.Label(name=n, value=v) for n, v in labels])
    for first_ms, last_ms, subs in chunks:
        chunk = series.chunks.add(min_time=first_ms, max_time=last_ms)
        for name, (kind, data, digest) in subs.items():
            getattr(chunk, name).CopyFrom(thanos.Chunk(type=kind, data=data, hash=digest))
    return series


def batch_frame(series):
    return encode(thanos.SeriesResponse(batch=thanos.SeriesBatch(series=series)))


def single_frame(series):
    return encode(thanos.SeriesResponse(series=series))


def rows_of(frame):
    """A SeriesFrame as [(label pairs, [(first, last, aggregate, encoding, data, hash)])]."""
    chunks = frame.chunks
    out = [(frame.labels.pairs(i), []) for i in range(len(frame.labels))]
    for i in range(len(chunks)):
        data = chunks.arena[chunks.at[i] : chunks.at[i] + chunks.size[i]].tobytes()
        row = (chunks.first_ms[i], chunks.last_ms[i], chunks.aggregate[i], chunks.encoding[i], data, chunks.hash[i])
        out[chunks.series[i]][1].append(tuple(x if isinstance(x, bytes) else int(x) for x in row))
    return out


def rows_of_message(data):
    """The same from protobuf objects: labels sorted, the last of equal names, without empty values."""
    response = thanos.SeriesResponse.FromString(data)
    kind = response.WhichOneof("result")
    if kind is None:
        return []
    all_series = response.batch.series if kind == "batch" else [response.series]
    out = []
    for series in all_series:
        merged = {label.name.encode(): label.value for label in series.labels}
        pairs = [(name.decode(), merged[name]) for name in sorted(merged) if merged[name]]
        chunks = []
        for chunk in series.chunks:
            for number, name in enumerate(SUB_CHUNKS):
                if chunk.HasField(name):
                    sub = getattr(chunk, name)
                    chunks.append((chunk.min_time, chunk.max_time, number, sub.type + 1, sub.data, sub.hash))
        out.append((pairs, chunks))
    return out


def tables(series):
    """A LabelTable and a ChunkTable from [(label pairs, [(first, last, {name: (type, data, hash)})])]."""
    rows, arena = [], bytearray()
    for owner, (_, chunks) in enumerate(series):
        for first_ms, last_ms, subs in chunks:
            for name, (kind, data, digest) in subs.items():
                rows.append((owner, first_ms, last_ms, kind + 1, SUB_CHUNKS.index(name), digest, len(arena), len(data)))
                arena += data
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 8
    kinds = (np.int32, np.int64, np.int64, np.uint8, np.uint8, np.uint64, np.int64, np.int64)
    arrays = [np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return label_table([labels for labels, _ in series]), ChunkTable(*arrays, np.frombuffer(bytes(arena), np.uint8))


class _Bits:
    def __init__(self):
        self.bits = []

    def put(self, value, n):
        self.bits += [(value >> (n - 1 - i)) & 1 for i in range(n)]

    def bytes(self):
        padded = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(int("".join(map(str, padded[i : i + 8])), 2) for i in range(0, len(padded), 8))


def _varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def xor_chunk(samples):
    """A float chunk of (time, value) pairs, small enough for the short forms (prometheus tsdb/chunkenc)."""
    out = struct.pack(">H", len(samples))
    bits = _Bits()
    leading = trailing = delta = last_bits = 0
    window = False
    for i, (t, v) in enumerate(samples):
        raw = struct.unpack(">Q", struct.pack(">d", v))[0]
        if i == 0:
            out += _varint((t << 1) ^ (t >> 63)) + struct.pack(">d", v)
        else:
            new_delta = t - samples[i - 1][0]
            if i == 1:
                for byte in _varint(new_delta):
                    bits.put(byte, 8)
            else:
                dod = new_delta - delta
                if dod == 0:
                    bits.put(0, 1)
                else:
                    bits.put(0b10, 2)
                    bits.put(dod & 0x3FFF, 14)
            delta = new_delta
            x = raw ^ last_bits
            if x == 0:
                bits.put(0, 1)
            else:
                bits.put(1, 1)
                lead, trail = min(31, 64 - x.bit_length()), (x & -x).bit_length() - 1
                if window and lead >= leading and trail >= trailing:
                    bits.put(0, 1)
                else:
                    leading, trailing, window = lead, trail, True
                    bits.put(1, 1)
                    bits.put(lead, 5)
                    bits.put((64 - lead - trail) & 63, 6)
                bits.put(x >> trailing, 64 - leading - trailing)
        last_bits = raw
    return out + (bits.bytes() if len(samples) > 1 else b"\0")


def golden_chunk(samples):
    """(first, last, {"raw": ...}) of a golden list of [time, value]."""
    data = xor_chunk(samples)
    return samples[0][0], samples[-1][0], {"raw": (0, data, xxhash.xxh64_intdigest(data))}


def golden_frames(items):
    """Single-series messages of golden items {"labels": pairs, "chunks": [samples]}."""
    return [
        single_frame(series_message([tuple(p) for p in item["labels"]], [golden_chunk(c) for c in item["chunks"]]))
        for item in items
    ]


KEY_ORDER = (0, 1, 4, 3, 2, 5)


def merged(series):
    """Sheet of the StoreAPI, 4.6, on [(label pairs, aggregate chunks as {aggregate: row})] in stream order.

    A row is what rows_of yields. Python's sort is stable, so equal label sets keep the order of their streams.
    """
    out = []
    ordered = sorted(series, key=lambda s: [(n.encode(), v.encode()) for n, v in s[0]])
    for labels, group in itertools.groupby(ordered, key=lambda s: s[0]):
        seen, kept = set(), []
        for _, chunks in group:
            for chunk in chunks:
                new = next((chunk[a][5] for a in KEY_ORDER if a in chunk and chunk[a][5] not in seen), None)
                if new is not None:
                    seen.add(new)
                    kept.append(chunk)

        def key(chunk):
            row = next(iter(chunk.values()))
            kinds = [
                (0, chunk[a][3], [255 - b for b in chunk[a][4]] + [256]) if a in chunk else (1, 0, []) for a in range(6)
            ]
            return row[0], row[1], kinds

        out.append((labels, [row for chunk in sorted(kept, key=key) for row in chunk.values()]))
    return out


class Guarded:
    """Arrays that end where memory ends: the page behind them may not be touched."""

    def __init__(self, n_bytes):
        page = mmap.PAGESIZE
        self._size = -(-n_bytes // page) * page
        self._memory = mmap.mmap(-1, self._size + page)
        whole = np.frombuffer(self._memory, np.uint8)
        address = whole.ctypes.data + self._size
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(page), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
        self._room = whole[: self._size]

    def put(self, data):
        """The bytes, placed so that the first one after them is in the forbidden page."""
        room = self._room[self._size - len(data) :]
        room[:] = np.frombuffer(data, np.uint8)
        return room
