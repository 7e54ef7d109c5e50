"""The queries of the benchmark: aggregations, windows, joins and wide answers over counters ``c`` and gauges ``g``."""

from __future__ import annotations

from dataclasses import dataclass

STEP_S = 30


@dataclass(frozen=True, slots=True)
class Query:
    """own_semantics: VictoriaMetrics means something else by it (its windows begin before their first sample, its
    functions extrapolate differently, it breaks ties otherwise), so its answer is timed and not compared."""

    text: str
    own_semantics: bool = False


QUERIES = (
    Query("sum by (job) (rate(c[5m]))", own_semantics=True),
    Query("rate(c[5m])", own_semantics=True),
    Query("max_over_time(g[1h])"),
    Query("sum(g)"),
    Query("quantile by (cpu) (0.9, g)"),
    Query("topk(5, g)", own_semantics=True),
    Query("avg by (cpu) (avg_over_time(g[10m]))"),
    Query("c / on(instance, job, code, cpu) c"),
    Query('sum by (job) (rate(c{code="500"}[5m])) / sum by (job) (rate(c[5m]))', own_semantics=True),
    Query("stddev by (job) (deriv(g[30m]))", own_semantics=True),
    Query("max_over_time(sum(rate(c[5m]))[1h:1m])", own_semantics=True),
    Query("g > 50"),
)
GZIP_QUERY = Query("rate(c[5m])", own_semantics=True)
