"""Answers of different servers, compared value by value."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

TOLERANCE = 1e-9
METRIC = b'"metric":'
MetricKey = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A range answer: for each label set its times (s) and values."""

    series: dict[MetricKey, tuple[NDArray[np.float64], NDArray[np.float64]]]

    @property
    def n_points(self) -> int:
        return sum(times.size for times, _ in self.series.values())


def read_matrix(body: bytes, without: frozenset[str] = frozenset(), one_in: int = 1) -> Matrix:
    """The matrix of a JSON body; labels named in ``without`` are left out of the label sets. one_in: of so many series
    one is read, by a hash of its labels, so the same of every server."""
    series = {}
    for entry in _entries(body, without, one_in):
        key = _key(entry["metric"], without)
        points = entry["values"]
        times = np.fromiter((time for time, _ in points), np.float64, len(points))
        values = np.fromiter((float(value) for _, value in points), np.float64, len(points))
        if key in series:
            raise ValueError(f"two series of one label set: {sorted(key)}")
        series[key] = (times, values)
    return Matrix(series)


def _entries(body: bytes, without: frozenset[str], one_in: int) -> Iterator[dict[str, Any]]:
    if one_in == 1:
        yield from orjson.loads(body)["data"]["result"]
        return
    # As text: 700 MB would be tens of millions of Python objects. The labels of this data hold no braces.
    for start, metric in _starts(body):
        labels = orjson.loads(metric)
        chosen = zlib.crc32(repr(sorted(_key(labels, without))).encode()) % one_in == 0
        if chosen:
            end = body.index(b"]]", start)
            yield {"metric": labels, "values": orjson.loads(body[body.index(b"[[", start) : end + 2])}


def _starts(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Where the labels of each series end, and their text."""
    at = body.find(METRIC)
    while at >= 0:
        end = body.index(b"}", at)
        yield end, body[at + len(METRIC) : end + 1]
        at = body.find(METRIC, end)


def _key(labels: dict[str, str], without: frozenset[str]) -> MetricKey:
    return frozenset((name, value) for name, value in labels.items() if name not in without)


def without_edges(matrix: Matrix, edge_s: int) -> Matrix:
    """Without the points whose time is a multiple of ``edge_s``."""
    kept = {}
    for key, (times, values) in matrix.series.items():
        inside = times % edge_s != 0
        kept[key] = (times[inside], values[inside])
    return Matrix(kept)


def ranked(matrix: Matrix) -> Matrix:
    """All points as one series, by time and then value: who they belong to is left out."""
    times = np.concatenate([times for times, _ in matrix.series.values()] or [np.empty(0)])
    values = np.concatenate([values for _, values in matrix.series.values()] or [np.empty(0)])
    order = np.lexsort((values, times))
    return Matrix({frozenset(): (times[order], values[order])})


def difference(left: Matrix, right: Matrix, tolerance: float = TOLERANCE, floor: float = 0.0) -> str | None:
    """None where both say the same within a relative tolerance, or an absolute one (floor); else the first difference
    in words."""
    if left.series.keys() != right.series.keys():
        missing = sorted(map(sorted, left.series.keys() - right.series.keys()))[:1]
        more = sorted(map(sorted, right.series.keys() - left.series.keys()))[:1]
        return f"{len(left.series)} and {len(right.series)} series; only left: {missing}, only right: {more}"
    for key, (left_times, left_values) in left.series.items():
        right_times, right_values = right.series[key]
        if left_times.size != right_times.size or not np.array_equal(left_times, right_times):
            return f"{dict(key)}: {left_times.size} and {right_times.size} points, or other times"
        both_nan = np.isnan(left_values) & np.isnan(right_values)
        with np.errstate(invalid="ignore"):
            bound = np.maximum(floor, tolerance * np.maximum(np.abs(left_values), np.abs(right_values)))
            close = (left_values == right_values) | (np.abs(left_values - right_values) <= bound) | both_nan
        if not close.all():
            i = int(np.argmin(close))
            return f"{dict(key)} at {left_times[i]:.3f}: {float(left_values[i])!r} and {float(right_values[i])!r}"
    return None
