"""The second set: each family of operators at least once, and the set that thanos-io/promql-engine publishes.

The published queries are put in terms of this data: its requests, per pod and container, are the counters ``c``, per
(instance, code) and job; its responses, one per pod, are those of one job; its classic histogram is made of ``c`` by
``label_replace``. Its ranges of six hours are asked every five minutes. Left out, because the servers beside cannot
answer: ``limitk`` and ``limit_ratio`` (not known to Prometheus 2.42) and native histograms (not known to
VictoriaMetrics 1.79).
"""

from __future__ import annotations

from bench.generate import FIRST_MS
from bench.queries import Query

NOON_S = FIRST_MS // 1000 + 12 * 3600
LONG_S = 300
BUCKETS = (
    "sum by (instance, job, le)"
    ' (label_replace(label_replace({}, "le", "$1", "code", "(.*)"), "le", "+Inf", "code", "503"))'
)


def _own(text: str, step_s: int = 30) -> Query:
    """A query that VictoriaMetrics extrapolates its own way."""
    return Query(text, own_semantics=True, step_s=step_s)


PUBLISHED = (
    Query("c"),
    Query("sum(c)"),
    Query("sum by (instance, code) (c)"),
    Query("topk(2, c)", has_ties=True),
    Query("bottomk(2, c)", has_ties=True),
    _own("rate(c[1m])"),
    _own("rate(c[10m])", LONG_S),
    Query("sum_over_time(rate(c[1m])[10m:1m])", own_semantics=True, edge_s=60),
    _own("sum(rate(c[1m]))"),
    _own("sum by (instance, code) (rate(c[1m]))"),
    Query("quantile by (instance, code) (scalar(min(g)) / 100, c)"),
    Query('c{job="api"} / ignoring(job, cpu) c{job="web"}'),
    Query('c / on(instance, code) group_left() c{job="web"}'),
    Query("c * 10"),
    Query("-c"),
    Query("c > 10"),
    Query("c offset 5m"),
    Query(f"c @ {NOON_S}.000"),
    Query(f"c @ {NOON_S}.000 offset 5m"),
    Query("clamp(c, 5, 10)"),
    Query("clamp_min(c, 10)"),
    Query("clamp(1 - c, 10 - 5, 10)"),
    _own("clamp(irate(c[30s]), 10 - 5, 10)"),
    _own("clamp(rate(c[30s]), 10 - 5, 10)"),
    _own(f"histogram_quantile(0.9, {BUCKETS.format('c')})"),
    Query("sort(c)"),
    Query("sort_desc(c)"),
    Query("absent(c)"),
    Query("absent(nonexistent)"),
    Query(
        "double_exponential_smoothing(c[1m], 0.1, 0.1)", own_semantics=True, other_text="holt_winters(c[1m], 0.1, 0.1)"
    ),
    *(
        Query(f"{name}_over_time(c[{window}])", step_s=step_s)
        for name in ("count", "sum", "avg", "min", "max", "stddev")
        for window, step_s in (("5m", 30), ("1h", 30), ("6h", LONG_S))
    ),
    Query("stdvar_over_time(c[5m])"),
    Query("last_over_time(c[5m])"),
    Query("present_over_time(c[5m])"),
    # Its set of instant queries, where another function or operator is in it.
    Query("count(c)"),
    Query('count_values("val", round(g, 10))'),
    Query("round(g)"),
    Query("round(g, 0.5)"),
    Query("avg(c)"),
    _own("rate(c[1h])"),
    Query("sum_over_time(count(c)[59m55s:10s])"),
    Query('sum(c{code="200"}) / sum(c)'),
    _own("rate(c[6h])", LONG_S),
    _own(f"histogram_quantile(0.95, {BUCKETS.format('rate(c[1h])')})"),
)

FAMILIES = (
    # Selectors and their matchers.
    Query('{__name__=~"c|g"}'),
    Query('g{instance=~"host-000[0-4].*", job!="web"}'),
    # Windows.
    _own("increase(c[5m])"),
    _own("irate(c[5m])"),
    _own("idelta(g[5m])"),
    _own("delta(g[5m])"),
    Query("deriv(g[5m])", own_semantics=True, floor=1e-12),
    Query("predict_linear(g[30m], 3600)", own_semantics=True, floor=1e-9),
    _own("changes(g[5m])"),
    # Of counters: deduplication takes the resets of what it reads as one away, as Thanos' does.
    _own("resets(c[5m])"),
    Query("quantile_over_time(0.9, g[30m])", step_s=LONG_S),
    Query("absent_over_time(nonexistent[5m])"),
    # Aggregations.
    Query("min by (job) (g)"),
    Query("max without (cpu) (g)"),
    Query("group by (job) (g)"),
    Query("stddev by (job) (g)"),
    Query("stdvar by (job) (g)"),
    Query("topk by (job) (3, g)", has_ties=True),
    # Operators between vectors, sets and scalars.
    Query("g - on(instance, job, cpu) g offset 1m"),
    Query("g > bool 50"),
    Query("g % 7 + g ^ 2"),
    Query('g and on(instance) g{job="web"} > 50'),
    Query('g{job="api"} or g{job="web"}'),
    Query("g unless g > 50"),
    Query("time() - timestamp(g)"),
    # Functions of each sample, of labels and of times.
    Query("abs(g - 50)"),
    Query("ln(g)"),
    Query("sin(g)"),
    Query("sgn(g - 50)"),
    Query("hour(c)"),
    Query('label_replace(g, "host", "$1", "instance", "(.*):.*")'),
    Query('label_join(g, "place", "/", "instance", "job")'),
    Query("vector(1)"),
    Query('scalar(g{instance="host-0000:9100", job="api", cpu="0"}) + sum(g)'),
    # Subqueries.
    Query("avg_over_time((g > 50)[5m5s:15s])"),
    Query("quantile_over_time(0.5, sum by (job) (g)[1h5s:30s])"),
)

MORE_QUERIES = (*PUBLISHED, *FAMILIES)
