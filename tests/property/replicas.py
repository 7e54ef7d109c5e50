"""Series with replicas behind stores in this process: real are encoded chunks, the wire, the merge, deduplication."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from athanor.block.writer import encode_samples
from athanor.chunk.xor import Cut
from athanor.model.cancel import CancelToken
from athanor.model.select import Selection
from athanor.model.tables import Samples, label_table
from athanor.query.storage import FanoutStorage, QuerierOptions
from athanor.storeapi.frames import write_series_frames
from athanor.storeapi.matching import StoreFacts, parse_matchers
from athanor.storeapi.messages import thanos
from athanor.storeapi.proxy import Proxy
from athanor.storeapi.rows import take_chunks

STALE = float(np.uint64(0x7FF0000000000002).view(np.float64))
SPAN_MS, SCRAPE_MS = 3_600_000, 15_000
Labels = dict[str, str]
Samples_ = list[tuple[int, float]]


@dataclass(frozen=True)
class Sequenced:
    """A replica's samples of one series."""

    labels: Labels
    samples: Samples_


class Call:
    """delay_s: before each frame."""

    def __init__(self, frames: Iterator[bytes], delay_s: float) -> None:
        self._frames, self._delay_s = frames, delay_s

    def __iter__(self) -> Iterator[bytes]:
        for frame in self._frames:
            time.sleep(self._delay_s)
            yield frame

    def cancel(self) -> None:
        """Nothing runs on."""


class ReplicaStore:
    """A store of one replica, whose series carry the label ``replica``; answers whole chunks, as a gateway does."""

    def __init__(self, replica: str, series: Sequence[Sequenced], *, projects: bool = False) -> None:
        """projects: it leaves out the labels that a query does not need, as the stores of Cloudflare do."""
        self.facts = StoreFacts(
            address=replica, component="store", label_sets=((("replica", replica),),),
            supports_without_replica_labels=True, supports_projections=projects,
        )  # fmt: skip
        self.series_of = series
        self.projected: list[tuple[str, ...]] = []
        self.frame_series, self.delay_s = 2, 0.0
        self._labels = [{**one.labels, "replica": replica} for one in series]
        flat = [sample for one in series for sample in one.samples]
        offsets = np.cumsum([0, *(len(one.samples) for one in series)])
        samples = Samples(np.array([t for t, _ in flat], np.int64), np.array([v for _, v in flat], float), offsets)
        self._chunks = encode_samples(samples, Cut(range_ms=1_800_000, target_samples=23))
        self.n_requests = 0

    def series(self, data: bytes, cancel: CancelToken, metadata: object) -> Call:
        self.n_requests += 1
        request = thanos.SeriesRequest.FromString(data)
        matchers, dropped = parse_matchers(request.matchers), set(request.without_replica_labels)
        chunks = self._chunks
        inside = (chunks.first_ms <= request.max_time) & (chunks.last_ms >= request.min_time)
        wanted = [
            i
            for i, labels in enumerate(self._labels)
            if all(m.matches(labels.get(m.name, "")) for m in matchers) and inside[chunks.series == i].any()
        ]
        sets = {i: sorted((n, v) for n, v in self._labels[i].items() if n not in dropped) for i in wanted}
        hints = request.query_hints
        if hints.projection_include:
            assert self.facts.supports_projections
            self.projected.append(tuple(hints.projection_labels))
            sets = {i: _projected(labels, hints) for i, labels in sets.items()}
        wanted.sort(key=lambda i: sets[i])
        rows = [np.flatnonzero((chunks.series == i) & inside) for i in wanted]
        owners = np.repeat(np.arange(len(wanted), dtype=np.int32), [len(r) for r in rows])
        table = take_chunks(chunks, np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64), owners)
        frames = write_series_frames(label_table([sets[i] for i in wanted]), table, self.frame_series)
        return Call(frames, self.delay_s)


def _projected(labels: list[tuple[str, str]], hints: Any) -> list[tuple[str, str]]:
    digest = hashlib.sha256(repr(labels).encode()).hexdigest()[:16]
    kept = [(name, value) for name, value in labels if name in hints.projection_labels]
    return sorted([*kept, (hints.series_hash_label_name, digest)])


def storage_of(stores: Sequence[ReplicaStore], cancel: CancelToken | None = None) -> FanoutStorage:
    """What the engine reads: replicas are merged by the penalty rule."""
    proxy = Proxy(lambda: stores)  # type: ignore[arg-type,return-value]

    def asked(selection: Selection) -> tuple[StoreFacts, ...]:
        return proxy.asked(selection.first_ms, selection.last_ms, selection.matchers)

    options = QuerierOptions(deduplicate=True, replica_labels=("replica",))
    return FanoutStorage(proxy, options, cancel or CancelToken(), asked=asked)


def shifted_replicas(seed: int, n_series: int = 6) -> list[ReplicaStore]:
    """Two replicas that scrape at different moments and have gaps, resets, stale markers, NaN and series of their own.

    Counters ``c_total`` and ``d_total`` and gauges ``g`` with the labels job, i and, some of them, code.
    """
    rng = np.random.default_rng(seed)
    kept: tuple[list[Sequenced], list[Sequenced]] = ([], [])
    for name, number in itertools.product(("c_total", "d_total", "g"), range(n_series)):
        labels = {"__name__": name, "job": "ab"[number % 2], "i": str(number)}
        code = (number + (name == "d_total")) % 3
        if code:
            labels["code"] = ("200", "500")[code - 1]
        times = np.arange(-1_200_000, SPAN_MS, SCRAPE_MS)
        if rng.random() < 0.2:
            times = times[times > rng.integers(0, SPAN_MS)]
        values = rng.normal(size=times.size).round(3) if name == "g" else _counter(rng, times.size)
        for replica in range(2):
            if rng.random() < 0.1 and times.size:
                continue
            own = times + rng.integers(0, 7_000, times.size) + 5_000 * replica
            there = np.ones(times.size, bool)
            for _ in range(rng.integers(0, 4)):
                at = int(rng.integers(0, max(1, times.size)))
                there[at : at + int(rng.integers(1, 40))] = False
            seen = values.copy()
            odd = rng.random(times.size)
            seen[odd < 0.01] = STALE
            seen[(odd >= 0.01) & (odd < 0.015)] = np.nan
            samples = list(zip(own[there].tolist(), seen[there].tolist(), strict=True))
            if samples:
                kept[replica].append(Sequenced(labels, samples))
    return [ReplicaStore(name, series) for name, series in zip("xy", kept, strict=True) if series]


def _counter(rng: np.random.Generator, n: int) -> np.ndarray:
    steps = rng.integers(0, 20, n).astype(float)
    values = np.cumsum(steps)
    for _ in range(rng.integers(0, 3)):
        at = int(rng.integers(0, max(1, n)))
        values[at:] -= values[at] if n else 0
    return values
