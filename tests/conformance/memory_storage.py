"""A storage of a few series in memory, for scripts and engine tests: answers selections as tiles of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from athanor.model.budget import Budget
from athanor.model.errors import NotAvailableError
from athanor.model.matchers import Matcher
from athanor.model.select import QueryContext, Selection
from athanor.model.tables import LabelTable, Samples, label_table
from athanor.model.workspace import Workspace
from tests.conformance.script import Load
from tests.conformance.values import STALE, Histogram


@dataclass
class MemorySeries:
    labels: dict[str, str]
    samples: dict[int, float] = field(default_factory=dict)
    histograms: dict[int, object] = field(default_factory=dict)
    starts_ms: dict[int, int] = field(default_factory=dict)


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
        for s in self.series:
            if any(first <= t <= last for t in s.histograms):
                raise NotAvailableError("native histograms")
        chosen = [sorted((t, v) for t, v in s.samples.items() if first <= t <= last) for s in self.series]
        ts = np.array([t for c in chosen for t, _ in c], np.int64)
        bits = [v for c in chosen for _, v in c]
        offsets = np.concatenate(([0], np.cumsum([len(c) for c in chosen]))).astype(np.int64)
        starts = None
        if any(s.starts_ms for s in self.series):
            told = [s.starts_ms.get(t, 0) for s, c in zip(self.series, chosen, strict=True) for t, _ in c]
            starts = np.array(told, np.int64)
        return Samples(ts, np.array(bits, np.float64), offsets, start_ms=starts)

    def drop(self) -> None:
        """Nothing is accounted."""


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
            for series in command.series:
                self._mark_derived(series.labels)

    def _mark_derived(self, labels: dict[str, str]) -> None:
        """The custom-bucket histogram of a classic one: its name answers that native histograms are not available."""
        name = labels.get("__name__", "")
        for suffix in ("_bucket", "_count", "_sum"):
            if name.endswith(suffix):
                derived = {n: v for n, v in labels.items() if n != "le"} | {"__name__": name.removesuffix(suffix)}
                target = self._series.setdefault(tuple(sorted(derived.items())), MemorySeries(derived))
                source = self._series[tuple(sorted((n, v) for n, v in labels.items() if v))]
                target.histograms.update(dict.fromkeys(source.samples, "derived"))

    @staticmethod
    def _add(target: MemorySeries, at_ms: int, value: object) -> None:
        if value is None:
            return
        if isinstance(value, Histogram):
            target.histograms[at_ms] = value
        else:
            target.samples[at_ms] = float(value)  # type: ignore[arg-type]

    def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[MemoryTile]:
        chosen = [s for key, s in sorted(self._series.items()) if _matches(selection.matchers, s.labels)]
        chosen = [
            s for s in chosen if any(selection.first_ms <= t <= selection.last_ms for t in (*s.samples, *s.histograms))
        ]
        for at in range(0, len(chosen), self.tile_size):
            part = tuple(chosen[at : at + self.tile_size])
            yield MemoryTile(label_table([list(s.labels.items()) for s in part]), part, selection)


def _matches(matchers: tuple[Matcher, ...], labels: dict[str, str]) -> bool:
    return all(m.matches(labels.get(m.name, "")) for m in matchers)
