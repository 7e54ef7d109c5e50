"""Metric instruments: counters, gauges, histograms and the registry that a process passes to its parts.

There is no global registry. An update is one addition on a slot of the instrument: CPython switches threads only at
calls and backward jumps, none of which lie between the read and the write, so updates need no lock and lose nothing.

    registry = Registry()
    done = registry.counter("thanos_x_total", "What was done.")
    done.inc()
    by_code = registry.counter_family("thanos_y_total", "By code.", ("code",))
    by_code.of("200").inc()
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]
"""(suffix of the family's name, labels, value)."""

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Family:
    """What one metric name shows at one moment."""

    name: str
    kind: str
    """counter, gauge, histogram, summary or untyped."""
    help: str
    samples: tuple[Sample, ...]


class Counter:
    """A sum that only grows."""

    __slots__ = ("value",)
    kind = "counter"

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add; the amount is never negative."""
        self.value += amount

    def samples(self, labels: Labels) -> list[Sample]:
        """What the instrument shows."""
        return [("", labels, self.value)]


class Gauge:
    """A value that goes up and down."""

    __slots__ = ("value",)
    kind = "gauge"

    def __init__(self) -> None:
        self.value = 0.0

    def set(self, value: float) -> None:
        """Replace the value."""
        self.value = float(value)

    def inc(self, amount: float = 1.0) -> None:
        """Add."""
        self.value += amount

    def dec(self, amount: float = 1.0) -> None:
        """Subtract."""
        self.value -= amount

    def samples(self, labels: Labels) -> list[Sample]:
        """What the instrument shows."""
        return [("", labels, self.value)]


class Histogram:
    """Observations counted in buckets with inclusive upper bounds."""

    __slots__ = ("bounds", "counts", "sum")
    kind = "histogram"

    def __init__(self, bounds: Sequence[float] = DEFAULT_BUCKETS) -> None:
        self.bounds = tuple(float(bound) for bound in bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        at = bisect_left(self.bounds, value)
        self.counts[at] += 1
        self.sum += value

    def samples(self, labels: Labels) -> list[Sample]:
        """What the instrument shows: cumulative buckets, sum and count."""
        shown: list[Sample] = []
        total = 0
        for bound, count in zip((*self.bounds, float("inf")), list(self.counts), strict=True):
            total += count
            shown.append(("_bucket", (*labels, ("le", _bound_text(bound))), float(total)))
        return [*shown, ("_sum", labels, self.sum), ("_count", labels, float(total))]


def _bound_text(bound: float) -> str:
    if bound == float("inf"):
        return "+Inf"
    if bound.is_integer():
        return f"{bound:.0f}" if abs(bound) < 1e6 else f"{bound:g}"
    return repr(bound)


class Summary:
    """Observations as sum and count, without quantiles."""

    __slots__ = ("count", "sum")
    kind = "summary"

    def __init__(self) -> None:
        self.count = 0.0
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.count += 1.0
        self.sum += value

    def samples(self, labels: Labels) -> list[Sample]:
        """What the instrument shows."""
        return [("_sum", labels, self.sum), ("_count", labels, self.count)]


Instrument = Counter | Gauge | Histogram | Summary
I = TypeVar("I", bound=Instrument)  # noqa: E741


class InstrumentFamily(Generic[I]):
    """Instruments of one name, one for each set of label values, made when first asked for."""

    __slots__ = ("_children", "_label_names", "_lock", "_make")

    def __init__(self, label_names: tuple[str, ...], make: Callable[[], I]) -> None:
        self._label_names = label_names
        self._make = make
        self._children: dict[tuple[str, ...], I] = {}
        self._lock = threading.Lock()

    def of(self, *values: str) -> I:
        """The instrument of these label values, in the order of the family's label names."""
        child = self._children.get(values)
        return child if child is not None else self._create(values)

    def _create(self, values: tuple[str, ...]) -> I:
        if len(values) != len(self._label_names):
            raise AssertionError(f"BUG: labels {self._label_names} given values {values}")
        with self._lock:
            return self._children.setdefault(values, self._make())

    def remove(self, *values: str) -> None:
        """Forget the instrument of these label values."""
        with self._lock:
            self._children.pop(values, None)

    def clear(self) -> None:
        """Forget every instrument."""
        with self._lock:
            self._children = {}

    def samples(self) -> list[Sample]:
        """What all of them show, sorted by label values."""
        with self._lock:
            children = sorted(self._children.items())
        shown: list[Sample] = []
        for values, child in children:
            shown += child.samples(tuple(zip(self._label_names, values, strict=True)))
        return shown


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    help: str
    samples: Callable[[], list[Sample]]


class Registry:
    """The metrics of one process (or of one test). A name can be registered once."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._collectors: list[Callable[[], Iterable[Family]]] = []
        self._lock = threading.Lock()

    def _add(self, name: str, entry: _Entry) -> None:
        with self._lock:
            if name in self._entries:
                raise AssertionError(f"BUG: metric {name} is registered twice")
            self._entries[name] = entry

    def _single(self, name: str, help: str, instrument: I) -> I:
        self._add(name, _Entry(instrument.kind, help, lambda: instrument.samples(())))
        return instrument

    def _family(
        self, name: str, help: str, kind: str, labels: Sequence[str], make: Callable[[], I]
    ) -> InstrumentFamily[I]:
        family = InstrumentFamily(tuple(labels), make)
        self._add(name, _Entry(kind, help, family.samples))
        return family

    def counter(self, name: str, help: str) -> Counter:
        """A counter without labels."""
        return self._single(name, help, Counter())

    def counter_family(self, name: str, help: str, labels: Sequence[str]) -> InstrumentFamily[Counter]:
        """Counters with labels."""
        return self._family(name, help, "counter", labels, Counter)

    def gauge(self, name: str, help: str) -> Gauge:
        """A gauge without labels."""
        return self._single(name, help, Gauge())

    def gauge_family(self, name: str, help: str, labels: Sequence[str]) -> InstrumentFamily[Gauge]:
        """Gauges with labels."""
        return self._family(name, help, "gauge", labels, Gauge)

    def gauge_function(self, name: str, help: str, read: Callable[[], float], *, kind: str = "gauge") -> None:
        """A value that is read when somebody looks."""
        self._add(name, _Entry(kind, help, lambda: [("", (), float(read()))]))

    def histogram(self, name: str, help: str, bounds: Sequence[float] = DEFAULT_BUCKETS) -> Histogram:
        """A histogram without labels."""
        return self._single(name, help, Histogram(bounds))

    def histogram_family(
        self, name: str, help: str, labels: Sequence[str], bounds: Sequence[float] = DEFAULT_BUCKETS
    ) -> InstrumentFamily[Histogram]:
        """Histograms with labels."""
        return self._family(name, help, "histogram", labels, lambda: Histogram(bounds))

    def summary_family(self, name: str, help: str, labels: Sequence[str]) -> InstrumentFamily[Summary]:
        """Sums and counts with labels."""
        return self._family(name, help, "summary", labels, Summary)

    def info(self, name: str, help: str, **labels: str) -> None:
        """A constant 1 whose labels are the facts."""
        shown: list[Sample] = [("", tuple(sorted(labels.items())), 1.0)]
        self._add(name, _Entry("gauge", help, lambda: shown))

    def collector(self, collect: Callable[[], Iterable[Family]]) -> None:
        """Families that are made when somebody looks."""
        with self._lock:
            self._collectors.append(collect)

    def families(self) -> list[Family]:
        """Everything, sorted by name; a family without samples is left out."""
        with self._lock:
            entries, collectors = list(self._entries.items()), list(self._collectors)
        found = [Family(name, e.kind, e.help, tuple(e.samples())) for name, e in entries]
        for collect in collectors:
            found += collect()
        return sorted((family for family in found if family.samples), key=lambda family: family.name)
