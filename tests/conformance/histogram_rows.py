"""Histograms of scripts as the engine's tables, and back: hints as chunks give them, NHCB of classic series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from athanor.model.tables import HistogramLayouts, Histograms
from tests.conformance.values import Buckets, Histogram

HINTS = ("unknown", "reset", "not_reset", "gauge")
CUSTOM = -53


def counts_of(buckets: Buckets) -> dict[int, float]:
    return dict(enumerate(buckets.counts, buckets.offset))


def _fell(before: Buckets, after: Buckets) -> bool:
    now = counts_of(after)
    return any(n and (i not in now or now[i] < n) for i, n in counts_of(before).items())


def _starts_chunk(before: Histogram, h: Histogram) -> bool:
    if (before.hint == "gauge") != (h.hint == "gauge") or h.hint == "reset":
        return True
    if (before.schema, before.zero_threshold, before.custom_values) != (h.schema, h.zero_threshold, h.custom_values):
        return True
    if h.hint == "gauge":
        return False
    return (
        h.count < before.count
        or h.zero_count < before.zero_count
        or _fell(before.positive, h.positive)
        or _fell(before.negative, h.negative)
    )


def stored_hints(samples: Iterable[tuple[int, object]]) -> dict[int, str]:
    """The hint that each histogram of a series has when it is read; anything that is no histogram ends a chunk."""
    hints: dict[int, str] = {}
    before: Histogram | None = None
    for at_ms, value in samples:
        if not isinstance(value, Histogram):
            before = None
            continue
        if value.hint == "gauge":
            hints[at_ms] = "gauge"
        else:
            hints[at_ms] = "unknown" if before is None or _starts_chunk(before, value) else "not_reset"
        before = value
    return hints


def table_of(rows: Sequence[tuple[Histogram, str]]) -> Histograms:
    """A layout for each row; (histogram, hint)."""
    index: list[int] = []
    buckets: list[float] = []
    pos_at, neg_at, bounds, bounds_at, bucket_at = [0], [], [], [0], []
    for h, _ in rows:
        positive, negative = counts_of(h.positive), counts_of(h.negative)
        bucket_at.append(len(buckets))
        index += positive
        neg_at.append(len(index))
        index += negative
        pos_at.append(len(index))
        buckets += [*positive.values(), *negative.values()]
        bounds += h.custom_values
        bounds_at.append(len(bounds))
    layouts = HistogramLayouts(
        np.array([h.schema for h, _ in rows], np.int32), np.array([h.zero_threshold for h, _ in rows], np.float64),
        np.array(index, np.int32), np.array(pos_at, np.int64), np.array(neg_at, np.int64),
        np.array(bounds, np.float64), np.array(bounds_at, np.int64),
    )  # fmt: skip
    return Histograms(
        layouts, np.arange(len(rows), dtype=np.int32), np.array([HINTS.index(hint) for _, hint in rows], np.uint8),
        np.array([h.count for h, _ in rows], np.float64), np.array([h.sum for h, _ in rows], np.float64),
        np.array([h.zero_count for h, _ in rows], np.float64), np.array(bucket_at, np.int64),
        np.array(buckets, np.float64),
    )  # fmt: skip


Shape = tuple[tuple[float, ...], dict[int, float], dict[int, float], str]


def _populated(items: Iterable[tuple[int, float]]) -> dict[int, float]:
    return {i: n for i, n in items if n != 0}


def shape_of(h: Histogram) -> Shape:
    """(schema, threshold and bounds; count, sum, zeros under index -1..), buckets of both sides, hint."""
    exact = (float(h.schema), h.zero_threshold, *h.custom_values)
    positive = _populated(counts_of(h.positive).items())
    return exact, positive, _populated(counts_of(h.negative).items()), h.hint


def row_shape(table: Histograms, row: int) -> tuple[Shape, tuple[float, float, float]]:
    a, layout = table.layouts, int(table.layout[row])
    first, middle, end = int(a.pos_at[layout]), int(a.neg_at[layout]), int(a.pos_at[layout + 1])
    at = int(table.bucket_at[row])
    counts = table.buckets[at : at + end - first].tolist()
    bounds = a.bounds[int(a.bounds_at[layout]) : int(a.bounds_at[layout + 1])].tolist()
    positive = _populated(zip(a.index[first:middle].tolist(), counts[: middle - first], strict=True))
    negative = _populated(zip(a.index[middle:end].tolist(), counts[middle - first :], strict=True))
    exact = (float(a.schema[layout]), float(a.zero_threshold[layout]), *bounds)
    numbers = float(table.count[row]), float(table.sum[row]), float(table.zero_count[row])
    return (exact, positive, negative, HINTS[int(table.hint[row])]), numbers


def nhcb(bounds: dict[float, float], count: float | None, total: float) -> Histogram:
    """The custom-bucket histogram of cumulative counts by upper bound."""
    ordered = sorted(bounds.items())
    if count is None:
        count = ordered[-1][1] if ordered else 0.0
    finite = [(b, n) for b, n in ordered if not math.isinf(b)]
    cumulative = [*(n for _, n in finite), count]
    deltas = [now - before for before, now in zip([0.0, *cumulative], cumulative, strict=False)]
    while deltas and deltas[-1] == 0:
        deltas.pop()
    return Histogram(
        schema=CUSTOM, count=count, sum=total, positive=Buckets(0, tuple(deltas)) if deltas else Buckets(),
        custom_values=tuple(b for b, _ in finite),
    )  # fmt: skip
