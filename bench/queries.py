"""The queries of the benchmark: aggregations, windows, joins and wide answers over counters ``c`` and gauges ``g``."""

from __future__ import annotations

from dataclasses import dataclass

STEP_S = 30
CURRENT = ("Athanor", "Thanos")
"""Servers that speak the language of Prometheus 3; the others are older."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query and how its answers can be compared.

    own_semantics: VictoriaMetrics means something else by it (its windows begin before their first sample, its
    functions extrapolate differently), so its answer is timed and not compared. edge_s: at multiples of it a sample
    stands exactly on the left edge of a window, which Prometheus before 3.0 includes; those points are not compared.
    has_ties: equal values compete for a place, and servers choose among them differently; values are compared, labels
    are not. floor: an absolute difference that is none, because large numbers cancel out in it. step_s: of the range
    query. other_text: how the other servers, which are older, spell it.
    """

    text: str
    own_semantics: bool = False
    edge_s: int = 0
    has_ties: bool = False
    floor: float = 0.0
    step_s: int = STEP_S
    other_text: str = ""

    def spelled_for(self, server: str) -> str:
        return self.text if server in CURRENT or not self.other_text else self.other_text


QUERIES = (
    Query("sum by (job) (rate(c[5m]))", own_semantics=True),
    Query("rate(c[5m])", own_semantics=True),
    Query("max_over_time(g[1h])"),
    Query("sum(g)"),
    Query("quantile by (cpu) (0.9, g)"),
    Query("topk(5, g)", has_ties=True),
    Query("avg by (cpu) (avg_over_time(g[10m]))"),
    Query("c / on(instance, job, code, cpu) c"),
    Query('sum by (job) (rate(c{code="500"}[5m])) / sum by (job) (rate(c[5m]))', own_semantics=True),
    Query("stddev by (job) (deriv(g[30m]))", own_semantics=True),
    Query("max_over_time(sum(rate(c[5m]))[1h:1m])", own_semantics=True, edge_s=60),
    Query("g > 50"),
)
GZIP_QUERY = Query("rate(c[5m])", own_semantics=True)
