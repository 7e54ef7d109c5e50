"""Floats for a live comparison: resets, gaps, stale markers, NaN, infinities, series that begin and end.

No sample has a time of whole seconds, and every question, range and offset has: none stands on the edge of a window.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from tests.conformance.memory_storage import MemorySeries, MemoryStorage
from tests.conformance.values import STALE
from tests.differential.data import Series

SEED = 20_242
T0_MS = 1_700_000_100_000
STEP_MS = 15_000
N = 120
JITTER_MS = 150


def live_series() -> list[Series]:
    """The same list at every call."""
    rng = random.Random(SEED)
    found = [*_counters(rng), *_far(rng), *_gauges(rng), *_short(rng), *_classic(rng)]
    return sorted(found, key=lambda series: sorted(series.labels.items()))


def live_storage(tile_size: int = 4) -> MemoryStorage:
    """The data where our engine reads it."""
    target = MemoryStorage(tile_size)
    for series in live_series():
        floats = {at_ms: value for at_ms, value in series.samples.items() if isinstance(value, float)}
        target.add_series(MemorySeries(series.labels, floats))
    return target


def _times(rng: random.Random, first: int = 0, end: int = N) -> Iterator[int]:
    """A target is scraped at its own moment of the interval, sometimes a little early or late."""
    own_ms = rng.randrange(1, 14) * 1000 + rng.randrange(200, 800)
    for i in range(first, end):
        yield T0_MS + i * STEP_MS + own_ms + rng.randrange(-JITTER_MS, JITTER_MS)


def _counters(rng: random.Random) -> Iterator[Series]:
    """With resets to nothing, and one instance with a gap longer than the lookback."""
    for job in ("a", "b"):
        for instance in ("0", "1", "2"):
            series = Series({"__name__": "c_total", "job": job, "instance": instance, "zone": f"z{instance}"})
            value = float(rng.randrange(100))
            for i, at_ms in enumerate(_times(rng)):
                value = 0.0 if rng.random() < 0.04 else value + rng.randrange(0, 40) / rng.choice((1, 4))
                if not (instance == "1" and 40 <= i < 66) and rng.random() > 0.03:
                    series.samples[at_ms] = value
            yield series


def _far(rng: random.Random) -> Iterator[Series]:
    """Counters that never come near zero, not even by a reset: their rates are not cut there."""
    for job in ("a", "b"):
        for instance in ("0", "1"):
            series = Series({"__name__": "far_total", "job": job, "instance": instance})
            value = 1e6 + rng.randrange(1000)
            for at_ms in _times(rng):
                value += -2e5 if rng.random() < 0.02 and value > 8e5 else rng.randrange(0, 500) / 8
                if rng.random() > 0.05:
                    series.samples[at_ms] = value
            yield series


def _gauges(rng: random.Random) -> Iterator[Series]:
    for job in ("a", "b"):
        for instance in ("0", "1", "2"):
            series = Series({"__name__": "g", "job": job, "instance": instance})
            value = rng.uniform(-50, 50)
            for at_ms in _times(rng):
                value += rng.uniform(-5, 5)
                special = {0: math.nan, 1: math.inf, 2: -math.inf, 3: STALE, 4: 0.0}.get(rng.randrange(200))
                if instance == "2" and rng.random() > 0.8:
                    continue
                series.samples[at_ms] = round(value, 3) if special is None else special
            yield series


def _short(rng: random.Random) -> Iterator[Series]:
    """Series that begin late and end early; one ends without a marker."""
    for zone, first, end in (("x", 0, 40), ("y", 35, N), ("z", 60, 80)):
        series = Series({"__name__": "w", "zone": zone, "job": "a"})
        times = list(_times(rng, first, end + 1))
        for at_ms in times[:-1]:
            series.samples[at_ms] = float(rng.randrange(4)) + rng.random()
        if zone == "x":
            series.samples[times[-1]] = STALE
        yield series


def _classic(rng: random.Random) -> Iterator[Series]:
    for job in ("a", "b"):
        counts = [0.0] * 5
        buckets = [Series({"__name__": "lat_bucket", "job": job, "le": le}) for le in ("0.1", "0.5", "1", "5", "+Inf")]
        for at_ms in _times(rng):
            total = 0.0
            for k, series in enumerate(buckets):
                counts[k] += rng.randrange(5)
                total += counts[k]
                series.samples[at_ms] = total
        yield from buckets
