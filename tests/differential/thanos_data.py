"""Two replicas of the data, shifted and with gaps of their own, as the blocks of a bucket: the same at every call."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from athanor.block.meta import BlockMeta, Compaction
from athanor.block.ulid import new_ulid
from athanor.block.writer import encode_samples, write_block
from athanor.chunk.xor import Cut
from athanor.model.tables import ENCODING_XOR, ChunkTable, Samples, label_table
from bench.generate import finished
from tests.conformance.values import STALE, Histogram
from tests.differential.data import STEP_MS, T0_MS, N, Series, all_series
from tests.differential.thanos_histograms import FLOATS, INTEGERS, chunks

SEED = 43
REPLICAS = {"a": 0, "b": 5_000}  # and how much later each of them scrapes
JITTER_MS = (0, 0, 0, 120, 1_000, -700)
BORDER_MS, END_MS = T0_MS + N // 2 * STEP_MS, T0_MS + (N + 4) * STEP_MS
FIRST_MS = T0_MS - 60_000
# One replica has blocks that overlap, as after a late upload, with some of its series and other cuts of chunks.
OVERLAP_MS, OVERLAP_END_MS = T0_MS + 30 * STEP_MS, T0_MS + 50 * STEP_MS
OVERLAPPING = ("c_total", "w", "nh", "mix")
MOST_SAMPLES, MOST_OVERLAPPING = 23, 11
STALE_HISTOGRAM = Histogram(sum=STALE)
Chunk = tuple[int, int, int, int, bytes]


def _is_absent(labels: dict[str, str], replica: str) -> bool:
    """Whether only the other replica has the series."""
    name, job = labels["__name__"], labels.get("job")
    own = {
        "a": (("g", "b", "1"), ("nh", "b", "0")),
        "b": (("c_total", "b", "2"), ("g", "a", "0"), ("nhc", "b", "0")),
    }
    return (name, job, labels.get("instance")) in own[replica] or labels.get("zone") == {"a": "", "b": "z"}[replica]


def _gaps(rng: random.Random) -> list[tuple[int, int, bool]]:
    """First and end of missing samples, and whether a stale marker begins the gap."""
    found = []
    for _ in range(rng.randrange(4)):
        first = rng.randrange(N)
        found.append((first, first + rng.choice((1, 1, 2, 4, 9, 16)), rng.random() < 0.4))
    return found


def _seen(series: Series, replica: str) -> Series:
    """What a replica has of a series."""
    rng = random.Random(f"{SEED} {replica} {sorted(series.labels.items())}")
    gaps, name = _gaps(rng), series.labels["__name__"]
    found = Series(series.labels)
    items = sorted(series.samples.items())
    for (base_ms, value), (_, following) in itertools.zip_longest(items, items[1:], fillvalue=items[-1]):
        number, at_ms = (base_ms - T0_MS) // STEP_MS, base_ms + REPLICAS[replica] + rng.choice(JITTER_MS)
        inside = [(first, stale) for first, end, stale in gaps if first <= number < end]
        if inside:
            if (number, True) in inside:
                found.samples[at_ms] = STALE_HISTOGRAM if isinstance(value, Histogram) else STALE
            continue
        is_later = replica == "b" and isinstance(value, float) and isinstance(following, float)
        found.samples[at_ms] = _later(name, value, following) if is_later else value  # type: ignore[arg-type]
    return found


def _later(name: str, value: float, following: float) -> float:
    """The value a third of an interval later."""
    if name in ("c_total", "lat_bucket") and following > value:
        return value + (following - value) / 4
    return value + 0.5 if name == "g" else value


def replica_series(replica: str) -> list[Series]:
    return [_seen(series, replica) for series in all_series() if not _is_absent(series.labels, replica)]


def _encoding(labels: dict[str, str], replica: str) -> int:
    """One series has another kind of chunk in each replica."""
    if labels.get("job") == "c":
        return {"a": INTEGERS, "b": FLOATS}[replica]
    return INTEGERS if labels.get("job") == "a" else FLOATS


def _runs(series: Sequence[Series], first_ms: int, end_ms: int) -> Iterator[tuple[int, list[tuple[int, object]]]]:
    """Neighbouring samples of the same kind, and the series they belong to."""
    for number, one in enumerate(series):
        inside = sorted((t, v) for t, v in one.samples.items() if first_ms <= t < end_ms)
        for _, run in itertools.groupby(inside, key=lambda sample: isinstance(sample[1], Histogram)):
            yield number, list(run)


def _chunks(series: Sequence[Series], replica: str, first_ms: int, end_ms: int, most: int) -> list[Chunk]:
    """(series, first ms, last ms, encoding, data)"""
    found: list[Chunk] = []
    floats: list[tuple[int, list[tuple[int, object]]]] = []
    for number, run in _runs(series, first_ms, end_ms):
        if isinstance(run[0][1], Histogram):
            encoding = _encoding(series[number].labels, replica)
            found += [(number, a, b, encoding, data) for a, b, data in chunks(run, encoding, most)]  # type: ignore[arg-type]
        else:
            floats.append((number, run))
    flat = [sample for _, run in floats for sample in run]
    offsets = np.cumsum([0, *(len(run) for _, run in floats)])
    samples = Samples(np.array([t for t, _ in flat], np.int64), np.array([v for _, v in flat], np.float64), offsets)
    table = encode_samples(samples, Cut(target_samples=most))
    for i in range(len(table)):
        data = table.arena[table.at[i] : table.at[i] + table.size[i]].tobytes()
        owner = floats[int(table.series[i])][0]
        found.append((owner, int(table.first_ms[i]), int(table.last_ms[i]), ENCODING_XOR, data))
    return sorted(found)


def _table(found: Sequence[Chunk]) -> ChunkTable:
    sizes = np.array([len(chunk[4]) for chunk in found], np.int64)
    return ChunkTable(
        np.array([chunk[0] for chunk in found], np.int32), np.array([chunk[1] for chunk in found], np.int64),
        np.array([chunk[2] for chunk in found], np.int64), np.array([chunk[3] for chunk in found], np.uint8),
        np.zeros(len(found), np.uint8), np.zeros(len(found), np.uint64), np.cumsum(sizes) - sizes, sizes,
        np.frombuffer(b"".join(chunk[4] for chunk in found), np.uint8),
    )  # fmt: skip


def write_bucket(bucket: Path) -> None:
    """Two blocks of each replica one after the other, and one that overlaps both of the first's."""
    bucket.mkdir(parents=True)
    number = 0
    for replica in REPLICAS:
        series = replica_series(replica)
        for first_ms, end_ms in ((FIRST_MS, BORDER_MS), (BORDER_MS, END_MS)):
            number += 1
            _write(bucket, number, replica, series, first_ms, end_ms, MOST_SAMPLES)
    series = [one for one in replica_series("a") if one.labels["__name__"] in OVERLAPPING]
    _write(bucket, number + 1, "a", series, OVERLAP_MS, OVERLAP_END_MS, MOST_OVERLAPPING)


def _write(
    bucket: Path, number: int, replica: str, series: Sequence[Series], first_ms: int, end_ms: int, most: int
) -> None:
    inside = [one for one in series if any(first_ms <= at_ms < end_ms for at_ms in one.samples)]
    labels = label_table([sorted(one.labels.items()) for one in inside])
    ulid = new_ulid(END_MS + number, number)
    meta = BlockMeta(ulid, first_ms, end_ms, compaction=Compaction(sources=(ulid,)))
    meta = write_block(bucket, labels, _table(_chunks(inside, replica, first_ms, end_ms, most)), meta)
    external = {"cluster": "one", "replica": replica}
    meta = finished(bucket / ulid, meta, external)
    assert meta.thanos is not None
    (bucket / ulid / "meta.json").write_bytes(replace(meta, thanos=replace(meta.thanos, version=1)).to_json())
