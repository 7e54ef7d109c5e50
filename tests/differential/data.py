"""The data of the questions: seeded series with resets, gaps, stale markers, NaN, infinities and native histograms."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from tests.conformance.memory_storage import MemorySeries, MemoryStorage
from tests.conformance.values import STALE, Buckets, Histogram

SEED = 20_314
T0_MS = 1_700_000_100_000
STEP_MS = 15_000
N = 80
CUSTOM = -53


@dataclass(frozen=True)
class Series:
    """Samples by time: a float or a histogram each."""

    labels: dict[str, str]
    samples: dict[int, float | Histogram] = field(default_factory=dict)


def all_series() -> list[Series]:
    """The same list at every call."""
    rng = random.Random(SEED)
    found = [*_counters(rng), *_gauges(rng), *_late(rng), *_classic(rng), *_native(rng), *_infos()]
    return sorted(found, key=lambda s: sorted(s.labels.items()))


def storage(tile_size: int = 5) -> MemoryStorage:
    """The data where our engine reads it."""
    target = MemoryStorage(tile_size)
    for series in all_series():
        own = MemorySeries(series.labels)
        for at_ms, value in series.samples.items():
            if isinstance(value, Histogram):
                own.histograms[at_ms] = value
            else:
                own.samples[at_ms] = value
        target.add_series(own)
    return target


def _times(first: int = 0, end: int = N) -> range:
    return range(T0_MS + first * STEP_MS, T0_MS + end * STEP_MS, STEP_MS)


def _counters(rng: random.Random) -> list[Series]:
    found = []
    for job in ("a", "b"):
        for instance in ("0", "1", "2"):
            series = Series({"__name__": "c_total", "job": job, "instance": instance, "zone": f"z{instance}"})
            value = float(rng.randrange(100))
            for i, at_ms in enumerate(_times()):
                value = 0.0 if rng.random() < 0.04 else value + rng.randrange(0, 40) / rng.choice((1, 4))
                if not (instance == "1" and 30 <= i < 36) and rng.random() > 0.03:
                    series.samples[at_ms] = value
            found.append(series)
    return found


def _gauges(rng: random.Random) -> list[Series]:
    found = []
    for job in ("a", "b"):
        for instance in ("0", "1", "2"):
            series = Series({"__name__": "g", "job": job, "instance": instance})
            value = rng.uniform(-50, 50)
            for at_ms in _times():
                value += rng.uniform(-5, 5)
                chance = rng.random()
                special = {0: math.nan, 1: math.inf, 2: -math.inf, 3: STALE, 4: 0.0}.get(int(chance * 200))
                if instance == "2" and chance > 0.9:
                    continue
                series.samples[at_ms] = round(value, 3) if special is None else special
            found.append(series)
    return found


def _late(rng: random.Random) -> list[Series]:
    """Series that begin late and end early."""
    found = []
    for zone, first, end in (("x", 0, 30), ("y", 25, 80), ("z", 40, 60)):
        series = Series({"__name__": "w", "zone": zone, "job": "a"})
        for at_ms in _times(first, end):
            series.samples[at_ms] = float(rng.randrange(4))
        if end < N:
            series.samples[T0_MS + end * STEP_MS] = STALE
        found.append(series)
    return found


def _classic(rng: random.Random) -> list[Series]:
    found = []
    for job in ("a", "b"):
        counts = [0.0] * 5
        buckets = [Series({"__name__": "lat_bucket", "job": job, "le": le}) for le in ("0.1", "0.5", "1", "5", "+Inf")]
        for at_ms in _times():
            for k in range(5):
                counts[k] += rng.randrange(5)
            total = 0.0
            for k, series in enumerate(buckets):
                total += counts[k]
                series.samples[at_ms] = total
        found += buckets
    return found


def _random_histogram(rng: random.Random, schema: int, counts: list[int], hint: str = "unknown") -> Histogram:
    bounds = (0.1, 0.5, 1.0, 5.0) if schema == CUSTOM else ()
    positive = tuple(map(float, counts[:5]))
    negative = () if schema == CUSTOM else tuple(map(float, counts[5:8]))
    zero = 0.0 if schema == CUSTOM else float(counts[8])
    total = sum(positive) + sum(negative) + zero
    return Histogram(
        schema, total, total * 1.25, zero, 0.0 if schema == CUSTOM else 0.001,
        Buckets(0 if schema == CUSTOM else -1, positive), Buckets(0, negative), bounds, hint,
    )  # fmt: skip


def _native(rng: random.Random) -> list[Series]:
    found = []
    kinds = (
        ("nh", "a", 0),
        ("nh", "b", 2),
        ("nh", "c", 0),
        ("nhc", "a", CUSTOM),
        ("nhc", "b", CUSTOM),
        ("nhg", "a", 1),
    )
    for name, job, schema in kinds:
        series = Series({"__name__": name, "job": job, "instance": "0"})
        counts = [0] * 9
        for i, at_ms in enumerate(_times()):
            if name == "nhg":
                counts = [rng.randrange(10) for _ in counts]
            elif rng.random() < 0.03:
                counts = [0] * 9
            counts = [n + rng.randrange(4) for n in counts]
            if job == "b" and 20 <= i < 26:
                continue
            own_schema = schema - (1 if name == "nh" and job == "c" and i > 45 else 0)
            hint = "gauge" if name == "nhg" else "unknown"
            series.samples[at_ms] = _random_histogram(rng, own_schema, counts, hint)
        found.append(series)
    mixed = Series({"__name__": "mix", "job": "a"})
    counts = [0] * 9
    for i, at_ms in enumerate(_times()):
        counts = [n + rng.randrange(3) for n in counts]
        is_float = i < 15 or 40 <= i < 50
        mixed.samples[at_ms] = float(i) if is_float else _random_histogram(rng, 0, counts)
    return [*found, mixed]


def _infos() -> list[Series]:
    found = []
    for job in ("a", "b"):
        for instance in ("0", "1"):
            series = Series({"__name__": "target_info", "job": job, "instance": instance, "version": f"v{instance}"})
            for at_ms in _times():
                series.samples[at_ms] = 1.0
            found.append(series)
    return found
