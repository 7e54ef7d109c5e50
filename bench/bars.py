"""The bars that the tables are held to, worked out of their medians."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.run import Table

MOST_MEAN_VICTORIA, MOST_VICTORIA = 1.3, 2.5
LEAST_MEDIAN_PROMETHEUS = 5.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar in words, whether it holds, and the figures that say so."""

    text: str
    holds: bool
    figures: str

    @property
    def line(self) -> str:
        return f"- {self.text}: **{'holds' if self.holds else 'does not hold'}** ({self.figures})."


def times_ms(table: Table, name: str) -> dict[str, tuple[float, float]]:
    """By query the medians of Athanor and of another server; only of answers that were right."""
    found = {}
    for query, rows in table.items():
        mine, other = rows["Athanor"], rows.get(name)
        if other and not (mine.wrong or other.wrong) and mine.elapsed_s and other.elapsed_s and "gzip" not in query:
            found[query] = mine.median_ms, other.median_ms
    return found


def victoria_bars(times: Mapping[str, tuple[float, float]]) -> list[Bar]:
    """Of the first set: the sum, the geometric mean and the slowest query."""
    if not times:
        return []
    mine, other = (sum(pair[i] for pair in times.values()) for i in (0, 1))
    slower = {query: ours / theirs for query, (ours, theirs) in times.items()}
    mean = statistics.geometric_mean(slower.values())
    return [
        Bar("The sum is at most VictoriaMetrics'", mine <= other, f"{mine:,.0f} and {other:,.0f} ms"),
        Bar(
            f"The geometric mean of the ratios to VictoriaMetrics is at most {MOST_MEAN_VICTORIA}",
            mean <= MOST_MEAN_VICTORIA,
            f"{mean:.2f}",
        ),
        Bar(
            f"No query takes more than {MOST_VICTORIA} times VictoriaMetrics' time",
            max(slower.values()) <= MOST_VICTORIA,
            worst(slower, MOST_VICTORIA),
        ),
    ]


def prometheus_bars(times: Mapping[str, tuple[float, float]]) -> list[Bar]:
    """Of all queries: the slowest and the median."""
    if not times:
        return []
    slower = {query: ours / theirs for query, (ours, theirs) in times.items()}
    median = statistics.median(theirs / ours for ours, theirs in times.values())
    return [
        Bar("Nothing is slower than Prometheus", max(slower.values()) <= 1, worst(slower, 1)),
        Bar(
            f"The median query is at least {LEAST_MEDIAN_PROMETHEUS:.0f} times faster than Prometheus",
            median >= LEAST_MEDIAN_PROMETHEUS,
            f"{median:.2f} times, of {len(times)} queries",
        ),
    ]


def worst(slower: Mapping[str, float], most: float) -> str:
    """All queries beyond the bar, else the one that is nearest."""
    ordered: Sequence[tuple[str, float]] = sorted(slower.items(), key=lambda pair: -pair[1])
    shown = [pair for pair in ordered if pair[1] > most] or ordered[:1]
    return ", ".join(f"{ratio:.2f} times: `{query}`" for query, ratio in shown)
