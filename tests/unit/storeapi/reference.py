"""Plain references of the frame kernels: protobuf objects and Python loops, slow and obvious."""

from __future__ import annotations

import numpy as np

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
