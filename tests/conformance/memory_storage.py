"""A storage of a few series in memory, for scripts and engine tests: answers selections as tiles of any size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from athanor.model.arrays import I64
from athanor.model.budget import Budget
from athanor.model.matchers import Matcher
from athanor.model.select import QueryContext, Selection, Sharing
from athanor.model.tables import LabelTable, Samples, label_table
from athanor.model.workspace import Workspace
from tests.conformance.histogram_rows import nhcb, stored_hints, table_of
from tests.conformance.script import Load
from tests.conformance.values import STALE, Histogram


@dataclass
class MemorySeries:
    labels: dict[str, str]
    samples: dict[int, float] = field(default_factory=dict)
    histograms: dict[int, Histogram] = field(default_factory=dict)
    starts_ms: dict[int, int] = field(default_factory=dict)
    _hints: dict[int, str] | None = None

    def timeline(self) -> list[tuple[int, object]]:
        return sorted([*self.samples.items(), *self.histograms.items()], key=lambda pair: pair[0])

    def hints(self) -> dict[int, str]:
        if self._hints is None:
            self._hints = stored_hints(self.timeline())
        return self._hints


@dataclass(frozen=True)
class MemoryTile:
    labels: LabelTable
    series: tuple[MemorySeries, ...]
    selection: Selection

    @property
    def n_samples_bound(self) -> int:
        return sum(len(s.samples) + len(s.histograms) for s in self.series)

    def samples(self, workspace: Workspace) -> Samples:
        first, last = self.selection.first_ms, self.selection.last_ms
        chosen = [[(t, v) for t, v in s.timeline() if first <= t <= last] for s in self.series]
        ts = np.array([t for c in chosen for t, _ in c], np.int64)
        kind, table, bits = None, None, []
        rows = [(v, s.hints()[t]) for s, c in zip(self.series, chosen, strict=True) for t, v in c if _is_histogram(v)]
        if rows:
            table = table_of(rows)
            kind = np.array([2 if _is_histogram(v) else 1 for c in chosen for _, v in c], np.uint8)
        n_histograms = 0
        for c in chosen:
            for _, v in c:
                bits.append(n_histograms if _is_histogram(v) else v)
                n_histograms += _is_histogram(v)
        offsets = np.concatenate(([0], np.cumsum([len(c) for c in chosen]))).astype(np.int64)
        starts = None
        if any(s.starts_ms for s in self.series):
            told = [s.starts_ms.get(t, 0) for s, c in zip(self.series, chosen, strict=True) for t, _ in c]
            starts = np.array(told, np.int64)
        return Samples(ts, np.array(bits, np.float64), offsets, kind, table, starts)

    def drop(self) -> None:
        """Nothing is accounted."""


class MemorySharedTile:
    """Series of which each selection sees those that it asks for."""

    def __init__(self, series: tuple[MemorySeries, ...], parts: Sequence[Selection]) -> None:
        self._series, self._parts = series, parts
        self.labels = label_table([list(s.labels.items()) for s in series])

    @property
    def n_samples_bound(self) -> int:
        return sum(len(s.samples) + len(s.histograms) for s in self._series)

    def rows(self, part: int) -> I64:
        return np.array([i for i, s in enumerate(self._series) if _is_asked_for(s, self._parts[part])], np.int64)

    def samples(self, part: int, workspace: Workspace) -> Samples:
        series = tuple(self._series[i] for i in self.rows(part).tolist())
        return MemoryTile(self.labels, series, self._parts[part]).samples(workspace)

    def alike(self, part: int, other: int) -> bool:
        return True

    def drop(self) -> None:
        """Nothing is accounted."""


def _is_asked_for(series: MemorySeries, selection: Selection) -> bool:
    inside = any(selection.first_ms <= t <= selection.last_ms for t in (*series.samples, *series.histograms))
    return inside and _matches(selection.matchers, series.labels)


def _is_histogram(value: object) -> bool:
    return isinstance(value, Histogram)


def is_stale(value: object) -> bool:
    return value is STALE or (isinstance(value, float) and np.float64(value).view(np.uint64) == 0x7FF0000000000002)


class MemoryStorage:
    """Series in order of their labels; tile_size: how many of them make a tile."""

    def __init__(self, tile_size: int = 2) -> None:
        self._series: dict[tuple[tuple[str, str], ...], MemorySeries] = {}
        self.tile_size = tile_size

    def load(self, command: Load) -> None:
        for series in command.series:
            labels = {n: v for n, v in series.labels.items() if v}
            target = self._series.setdefault(tuple(sorted(labels.items())), MemorySeries(labels))
            for i, value in enumerate(series.values):
                self._add(target, i * command.gap_ms, value)
                if series.starts_ms is not None and value is not None:
                    target.starts_ms[i * command.gap_ms] = series.starts_ms[i]
        if command.with_nhcb:
            self._derive(command)

    def add_series(self, series: MemorySeries) -> None:
        self._series[tuple(sorted(series.labels.items()))] = series

    def _derive(self, command: Load) -> None:
        """Custom-bucket histograms of the block's classic ones."""
        groups: dict[tuple[tuple[str, str], ...], dict[int, dict[str, object]]] = {}
        for series in command.series:
            name = series.labels.get("__name__", "")
            suffix = next((x for x in ("_bucket", "_count", "_sum") if name.endswith(x)), None)
            bound = _bound(series.labels.get("le", ""))
            if suffix is None or (suffix == "_bucket" and bound is None):
                continue
            derived = {n: v for n, v in series.labels.items() if n != "le" and v}
            derived["__name__"] = name.removesuffix(suffix)
            group = groups.setdefault(tuple(sorted(derived.items())), {})
            for i, value in enumerate(series.values):
                if not isinstance(value, float) or is_stale(value):
                    continue
                at = group.setdefault(i * command.gap_ms, {"bounds": {}})
                if suffix == "_bucket":
                    at["bounds"].setdefault(bound, value)  # type: ignore[attr-defined]
                else:
                    at[suffix] = value
        for key, group in groups.items():
            target = self._series.setdefault(key, MemorySeries(dict(key)))
            for at_ms, parts in group.items():
                h = nhcb(parts["bounds"], parts.get("_count"), parts.get("_sum", 0.0))  # type: ignore[arg-type]
                self._add(target, at_ms, h)

    @staticmethod
    def _add(target: MemorySeries, at_ms: int, value: object) -> None:
        target._hints = None
        if value is None:
            return
        if isinstance(value, Histogram):
            target.histograms[at_ms] = value
        else:
            target.samples[at_ms] = float(value)  # type: ignore[arg-type]

    def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[MemoryTile]:
        chosen = [s for _, s in sorted(self._series.items()) if _is_asked_for(s, selection)]
        for at in range(0, len(chosen), self.tile_size):
            part = tuple(chosen[at : at + self.tile_size])
            yield MemoryTile(label_table([list(s.labels.items()) for s in part]), part, selection)

    def sharing(self, selection: Selection) -> Sharing:
        return Sharing(whole_chunks=True)

    def select_shared(
        self, wide: Selection, parts: Sequence[Selection], budget: Budget, context: QueryContext
    ) -> Iterator[MemorySharedTile]:
        for tile in self.select(wide, budget, context):
            yield MemorySharedTile(tile.series, parts)


def _matches(matchers: tuple[Matcher, ...], labels: dict[str, str]) -> bool:
    return all(m.matches(labels.get(m.name, "")) for m in matchers)


def _bound(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value
