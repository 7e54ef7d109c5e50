"""What Prometheus 2.42 is asked live: functions and operators of floats whose code is the same in 3.14.

Not asked, because their code is another one by now:

- ``sum``, ``avg``, ``avg_over_time``: 2.54, 2.55 and 3.5 changed the summation (compensated, then direct means).
- ``rate`` and ``increase`` near zero: 2.51 cuts the extrapolation by half an interval before it looks for the counter's
  zero. They are asked of counters that stay far from zero.
- ``stddev`` and ``stdvar`` of NaN and infinities: 3.0 treats the first value as the others. Asked of finite values.
- ``first_over_time``, ``mad_over_time``, ``ts_of_*``, ``limitk``, ``limit_ratio``, ``sort_by_label``, ``info``,
  ``fill``, ``anchored``, ``smoothed``, duration expressions: not known to 2.42.
- Functions of native histograms: they are no floats. ``histogram_quantile`` is asked of classic buckets that ascend;
  2.49 and 3.10 changed what becomes of others.

``double_exponential_smoothing`` had another name (HOLT_WINTERS), its code is the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.differential.generate import (
    ARITHMETIC,
    COMPARISONS,
    ELEMENTWISE,
    ILL_CONDITIONED,
    SETS,
    Grammar,
    Question,
)
from tests.differential.live_data import STEP_MS, T0_MS, N

SEED = 2_420
EACH = 14  # questions with each function and operator at their root
N_RANDOM = 500
# Times of questions and of @ are 2 s behind a multiple of 5 s, ranges of subqueries 1 s above one, and all else is a
# multiple: no step of a subquery falls on the left edge of its range, in a subquery of a subquery neither.
GRID_MS, AFTER_GRID_MS = 5_000, 2_000
SUBQUERY_RANGES = ("1m1s", "2m1s", "5m6s", "46s", "10m11s")
RANGES = ("1m", "2m", "5m", "45s", "10m", "3m30s")
FINITE_SELECTORS = (
    "c_total",
    'c_total{job="a"}',
    'w{zone!~"x.*"}',
    "lat_bucket",
    'c_total{instance!="1"}',
    "far_total",
)
SELECTORS = (
    *FINITE_SELECTORS, "g", 'g{job="b"}', 'g{instance=~"0|2"}', "w", '{__name__=~"g|w"}', 'g{job="a",instance="0"}',
)  # fmt: skip
RANGE_FUNCTIONS = (
    "delta", "irate", "idelta", "deriv", "changes", "resets", "sum_over_time", "min_over_time", "max_over_time",
    "count_over_time", "stddev_over_time", "stdvar_over_time", "last_over_time", "present_over_time",
)  # fmt: skip
RATES = ("rate", "increase")
AGGREGATIONS = ("min", "max", "count", "group")
FINITE_AGGREGATIONS = ("stddev", "stdvar")
SELECTIONS = ("topk", "bottomk")
OTHERS = (
    "clamp", "clamp_min", "clamp_max", "absent", "absent_over_time", "time", "pi", "scalar", "vector", "quantile",
    "quantile_over_time", "predict_linear", "double_exponential_smoothing", "label_replace", "label_join",
    "count_values", "histogram_quantile",
)  # fmt: skip
WORDS = {
    *RANGE_FUNCTIONS, *RATES, *ELEMENTWISE, *AGGREGATIONS, *FINITE_AGGREGATIONS, *SELECTIONS, *ARITHMETIC,
    *COMPARISONS, *SETS, *OTHERS,
}  # fmt: skip
HOLT_WINTERS = ("double_exponential_smoothing(", "holt_winters(")


class LiveGrammar(Grammar):
    """The grammar of the recorded questions, kept to what 2.42 knows and to times that are on no edge."""

    def modifier(self) -> str:
        if self._rng.random() > 0.24:
            return ""
        at_s = (self._moment_ms()) / 1000
        return self._rng.choice(
            (" offset 1m", " offset 2m30s", " offset -1m", f" @ {at_s:.3f}", " @ end()", " @ start()",
             f" @ {at_s:.3f} offset 1m")
        )  # fmt: skip

    def _moment_ms(self) -> int:
        n = N * STEP_MS // GRID_MS
        return T0_MS + self._rng.randrange(n // 10, n) * GRID_MS + AFTER_GRID_MS

    def selector(self, native: bool = False) -> str:
        return self._rng.choice(SELECTORS)

    def matrix(self, depth: int, native: bool = False) -> str:
        if self._rng.random() < 0.4:
            inner = self.vector(min(depth, 2) - 1)
            step = self._rng.choice(("", "30s", "1m", "15s"))
            return f"({inner})[{self._rng.choice(SUBQUERY_RANGES)}:{step}]{self.modifier()}"
        return f"{self.selector()}[{self._rng.choice(RANGES)}]{self.modifier()}"

    def rate(self, name: str) -> str:
        job = self._rng.choice(("", '{job="a"}', '{instance!="0"}'))
        return f"{name}(far_total{job}[{self._rng.choice(RANGES)}]{self.modifier()})"

    def of_finite(self, name: str) -> str:
        return f"{name}{self.grouping()}({self._rng.choice(FINITE_SELECTORS)}{self.modifier()})"

    def of_selector(self, name: str) -> str:
        """A selection inside of others: where an inner result decides among equals, 2.42 leaves it to chance."""
        return f"{name}{self.grouping()}({self._rng.choice(('1', '2', '5'))}, {self.instant()})"

    def others(self, depth: int) -> tuple[Callable[[], str], ...]:
        inner = self.vector(depth - 1)
        one = self._rng.choice
        return (
            lambda: f"clamp({inner}, {self.scalar(0)}, {self.scalar(0)})",
            lambda: f"clamp_min({inner}, {self.scalar(0)})",
            lambda: f"clamp_max({inner}, {self.scalar(0)})",
            lambda: f"round({inner}, {one(('0.1', '5', '0.25'))})",
            lambda: f"absent({one((inner, 'no_such{job=~`a`,zone=`x`}', 'c_total > 1e9'))})",
            lambda: f"absent_over_time({one(('no_such', 'w{zone=~`x|z`}', 'w{zone=`x`}'))}[1m])",
            lambda: f"({inner}) * {one(('time()', 'pi()'))}",
            lambda: f"({inner}) {one(ARITHMETIC)} scalar({self.selector()})",
            lambda: f"({self.instant()}) unless on(job, instance) ({one(('w', 'far_total', 'g > 0'))})",
            lambda: f"vector({self.scalar(depth)})",
            lambda: f"quantile{self.grouping()}({one(('0.5', '0.9', '0', '1.5', '-1'))}, {inner})",
            lambda: f"quantile_over_time({one(('0.1', '0.5', '0.99'))}, {self.matrix(depth - 1)})",
            lambda: f"predict_linear({self.matrix(depth - 1)}, {one(('60', '-30', '3600'))})",
            lambda: f"double_exponential_smoothing({self.matrix(depth - 1)}, 0.3, 0.6)",
            lambda: f'label_replace({inner}, "new", "$1-x", "job", "(.*)")',
            lambda: f'label_join({inner}, "new", "/", "job", "instance")',
            lambda: f'count_values{self.grouping()}("v", {inner})',
            lambda: f"histogram_quantile({one(('0.5', '0.9', '-1', '2'))}, lat_bucket{self.modifier()})",
            lambda: f"-({inner})",
        )

    def vector(self, depth: int, native: bool = False) -> str:
        if depth <= 0:
            return self.instant()
        one = self._rng.choice
        return self._one(
            self.instant,
            lambda: self.range_function(one(RANGE_FUNCTIONS), depth - 1),
            lambda: self.range_function(one(RANGE_FUNCTIONS), depth - 1),
            lambda: self.rate(one(RATES)),
            lambda: f"{one(ELEMENTWISE)}({self.vector(depth - 1)})",
            lambda: self.aggregation(one(AGGREGATIONS), depth),
            lambda: self.of_finite(one(FINITE_AGGREGATIONS)),
            lambda: self.of_selector(one(SELECTIONS)),
            lambda: self.binary(one(ARITHMETIC + COMPARISONS + SETS), depth),
            lambda: self.other(depth),
        )


def roots(grammar: LiveGrammar) -> list[Callable[[], str]]:
    """For each function and operator how a question with it at its root is made."""
    return [
        *(lambda f=f: grammar.range_function(f, 1) for f in RANGE_FUNCTIONS),
        *(lambda f=f: grammar.rate(f) for f in RATES),
        *(lambda f=f: f"{f}({grammar.vector(1)})" for f in ELEMENTWISE),
        *(lambda f=f: grammar.aggregation(f, 2) for f in AGGREGATIONS),
        *(lambda f=f: grammar.of_finite(f) for f in FINITE_AGGREGATIONS),
        *(lambda f=f: grammar.selection(f, 2) for f in SELECTIONS),
        *(lambda f=f: grammar.binary(f, 1) for f in ARITHMETIC + COMPARISONS + SETS),
        *(lambda i=i: grammar.others(1)[i]() for i in range(len(grammar.others(1)))),
    ]


def live_questions() -> list[Question]:
    """All questions with their times; the seed is fixed, so the list is, too."""
    rng = random.Random(SEED)
    grammar = LiveGrammar(rng)
    wanted = [root for root in roots(grammar) for _ in range(EACH)]
    wanted += [lambda: grammar.vector(3)] * N_RANDOM
    found: dict[Question, None] = {}  # without those that are made twice
    n = N * STEP_MS // GRID_MS
    for root in wanted:
        query = root()
        start_ms = T0_MS + rng.randrange(n // 10, n) * GRID_MS + AFTER_GRID_MS
        step_ms = 0 if rng.random() < 0.5 else rng.choice((15_000, 30_000, 45_000, 60_000))
        end_ms = start_ms + step_ms * rng.randrange(1, 8)
        if not ILL_CONDITIONED.search(query):
            found[Question(query, start_ms, end_ms, step_ms)] = None
    return list(found)
