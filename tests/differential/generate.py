"""Random valid queries, and some that are not: what the original is asked. The seed is fixed, so the list is too."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.differential.data import STEP_MS, T0_MS, N

SEED = 5_000
EACH = 26  # questions with each function and operator at their root
N_RANDOM, N_ERRORS = 2_900, 700

FLOAT_SELECTORS = (
    "c_total", 'c_total{job="a"}', 'c_total{instance!="1"}', "g", 'g{job="b"}', 'g{instance=~"0|2"}', "w",
    'w{zone!~"x.*"}', 'lat_bucket{job="a"}', '{__name__=~"g|w"}', 'c_total{zone="z1"}', "lat_bucket",
    'g{job="a",instance="0"}',
)  # fmt: skip
NATIVE_SELECTORS = (
    "nh", 'nh{job="a"}', 'nh{job="b"}', "nhc", 'nhc{job="b"}', "nhg", "mix", '{__name__=~"nh|mix"}',
    '{__name__=~"nh.*"}', 'nh{job=~"a|c"}',
)  # fmt: skip
RANGES = ("1m", "2m", "5m", "45s", "10m", "3m30s")
RANGE_FUNCTIONS = (
    "rate", "increase", "delta", "irate", "idelta", "deriv", "changes", "resets", "sum_over_time", "avg_over_time",
    "min_over_time", "max_over_time", "count_over_time", "stddev_over_time", "stdvar_over_time", "last_over_time",
    "first_over_time", "present_over_time", "absent_over_time", "mad_over_time", "ts_of_min_over_time",
    "ts_of_max_over_time", "ts_of_first_over_time", "ts_of_last_over_time",
)  # fmt: skip
NATIVE_RANGE_FUNCTIONS = (
    "rate", "increase", "delta", "irate", "idelta", "changes", "resets", "sum_over_time", "avg_over_time",
    "count_over_time", "last_over_time", "first_over_time", "present_over_time", "max_over_time",
)  # fmt: skip
ELEMENTWISE = (
    "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad", "round", "timestamp", "sort", "sort_desc",
    "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year",
)  # fmt: skip
NATIVE_FUNCTIONS = ("histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar")
AGGREGATIONS = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
SELECTIONS = ("topk", "bottomk", "limitk")
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
SETS = ("and", "or", "unless")
TRIMS = ("</", ">/")


@dataclass(frozen=True, slots=True)
class Question:
    """Times in ms; step_ms 0: an instant query at start_ms."""

    query: str
    start_ms: int
    end_ms: int
    step_ms: int


class Grammar:
    """Expressions of each type, no deeper than asked for."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def _one(self, *choices: Callable[[], str]) -> str:
        return self._rng.choice(choices)()

    def number(self) -> str:
        return self._rng.choice(("0", "1", "2", "0.5", "-1", "10", "1e3", "Inf", "NaN", "3.7", "-0.25"))

    def modifier(self) -> str:
        chance = self._rng.random()
        if chance > 0.24:
            return ""
        at_s = (T0_MS + self._rng.randrange(N) * STEP_MS) / 1000
        return self._rng.choice(
            (" offset 1m", " offset 2m30s", " offset -1m", f" @ {at_s:.3f}", " @ end()", " @ start()",
             f" @ {at_s:.3f} offset 1m", " offset (30s * 2)")
        )  # fmt: skip

    def selector(self, native: bool = False) -> str:
        return self._rng.choice(NATIVE_SELECTORS if native else FLOAT_SELECTORS)

    def instant(self, native: bool = False) -> str:
        return self.selector(native) + self.modifier()

    def matrix(self, depth: int, native: bool = False) -> str:
        if self._rng.random() < 0.6:
            inner = self.vector(min(depth, 2) - 1, native)
            step = self._rng.choice(("", "30s", "1m", "15s"))
            return f"({inner})[{self._rng.choice(RANGES)}:{step}]{self.modifier()}"
        return f"{self.selector(native)}[{self._rng.choice(RANGES)}]{self.modifier()}"

    def scalar(self, depth: int) -> str:
        chance = self._rng.random()
        if depth <= 0 or chance < 0.7:
            return self.number()
        if chance < 0.8:
            return f"scalar({self.vector(depth - 1)})"
        if chance < 0.9:
            return self._rng.choice(("time()", "pi()"))
        return f"({self.scalar(depth - 1)} {self._rng.choice(ARITHMETIC)} {self.scalar(depth - 1)})"

    def grouping(self) -> str:
        labels = self._rng.choice(("job", "instance", "job, instance", "zone", "le", ""))
        return self._rng.choice((f" by ({labels}) ", f" without ({labels}) ", " "))

    def range_function(self, name: str, depth: int, native: bool = False) -> str:
        return f"{name}({self.matrix(depth, native)})"

    def aggregation(self, name: str, depth: int, native: bool = False) -> str:
        return f"{name}{self.grouping()}({self.vector(depth - 1, native)})"

    def selection(self, name: str, depth: int, native: bool = False) -> str:
        k = self._rng.choice(("1", "2", "3", "5", "100"))
        return f"{name}{self.grouping()}({k}, {self.vector(depth - 1, native)})"

    def matching(self) -> str:
        return self._rng.choice(
            ("", "on(job, instance) ", "ignoring(zone, le) ", "on(job) group_left() ", "on(job) group_right() ")
        )

    def binary(self, op: str, depth: int, native: bool = False) -> str:
        boolean = " bool" if op in COMPARISONS and self._rng.random() < 0.4 else ""
        chance = self._rng.random()
        if op not in SETS and chance < 0.45:
            sides = [self.vector(depth - 1, native), self.scalar(depth - 1)]
            if self._rng.random() < 0.4 and op not in TRIMS:
                sides.reverse()
            return f"({sides[0]}) {op}{boolean} ({sides[1]})"
        if chance < 0.75:  # a vector with another of the same series
            name = self.selector(native)
            left, right = (f"{name}{self.modifier()}" for _ in range(2))
            if op in SETS:
                return f"({left}) {op} ({right})"
            return f"({left}) {op}{boolean} ({right})"
        matching = self.matching()
        if op in SETS and "group" in matching:
            matching = "on(job) "
        right = self.vector(depth - 1, native and self._rng.random() < 0.5)
        if "group_left" in matching:
            right = f"max by (job) ({self.vector(depth - 1)})"
        left = self.vector(depth - 1, native)
        if "group_right" in matching:
            left = f"min by (job) ({self.vector(depth - 1)})"
        return f"({left}) {op}{boolean} {matching}({right})"

    def other(self, depth: int) -> str:
        return self._one(*self.others(depth))

    def others(self, depth: int) -> tuple[Callable[[], str], ...]:
        """Functions with arguments of their own, and what the language has besides functions."""
        inner = self.vector(depth - 1)
        return (
            lambda: f"clamp({inner}, {self.scalar(0)}, {self.scalar(0)})",
            lambda: f"clamp_min({inner}, {self.scalar(0)})",
            lambda: f"clamp_max({inner}, {self.scalar(0)})",
            lambda: f"round({inner}, {self._rng.choice(('0.1', '5', '0.25'))})",
            lambda: f"absent({self._rng.choice((inner, 'no_such{job=~`a`,zone=`x`}', 'c_total > 1e9'))})",
            lambda: f"absent_over_time({self._rng.choice(('no_such', 'w{zone=~`x|z`}', 'w{zone=`x`}'))}[1m])",
            lambda: f"({inner}) * {self._rng.choice(('time()', 'pi()'))}",
            lambda: f"({inner}) {self._rng.choice(ARITHMETIC)} scalar({self.selector()})",
            lambda: f"({self.instant()}) unless on(job, instance) ({self._rng.choice(('w', 'nh', 'g > 0'))})",
            lambda: f"vector({self.scalar(depth)})",
            lambda: f"quantile{self.grouping()}({self._rng.choice(('0.5', '0.9', '0', '1.5', '-1'))}, {inner})",
            lambda: f"quantile_over_time({self._rng.choice(('0.1', '0.5', '0.99'))}, {self.matrix(depth - 1)})",
            lambda: f"predict_linear({self.matrix(depth - 1)}, {self._rng.choice(('60', '-30', '3600'))})",
            lambda: f"double_exponential_smoothing({self.matrix(depth - 1)}, 0.3, 0.6)",
            lambda: f'label_replace({inner}, "new", "$1-x", "job", "(.*)")',
            lambda: f'label_join({inner}, "new", "/", "job", "instance")',
            lambda: f'count_values{self.grouping()}("v", {inner})',
            lambda: f"limit_ratio({self._rng.choice(('0.5', '-0.5', '0.1'))}, {inner})",
            lambda: f"histogram_quantile({self._rng.choice(('0.5', '0.9', '-1', '2'))}, lat_bucket{self.modifier()})",
            lambda: f"histogram_quantile(0.9, sum by (le) (rate(lat_bucket[{self._rng.choice(RANGES)}])))",
            lambda: f"histogram_fraction(0.2, 2, {self._one(lambda: 'lat_bucket', lambda: self.instant(True))})",
            lambda: f'sort_by_label({inner}, "instance", "job")',
            lambda: f"-({inner})",
            lambda: f"{self._rng.choice(('rate', 'increase', 'delta'))}(c_total[{self._rng.choice(RANGES)}] "
            f"{self._rng.choice(('anchored', 'smoothed'))})",
            lambda: f"c_total smoothed{self.modifier()}",
            lambda: f"info({self._rng.choice(('c_total', 'g'))})",
            lambda: f"({inner}) {self._rng.choice(ARITHMETIC)} fill({self.number()}) ({self.selector()})",
        )  # fmt: skip

    def native(self, depth: int) -> str:
        """A vector of histograms, or of what functions make of them."""
        if depth <= 0:
            return self.instant(True)
        return self._one(
            lambda: self.instant(True),
            lambda: self.range_function(self._rng.choice(NATIVE_RANGE_FUNCTIONS), depth - 1, True),
            lambda: self.range_function(self._rng.choice(("rate", "increase", "delta", "sum_over_time")), 0, True),
            lambda: self.aggregation(self._rng.choice(("sum", "avg", "count", "max")), depth, True),
            lambda: f"{self._rng.choice(NATIVE_FUNCTIONS)}({self.native(depth - 1)})",
            lambda: f"histogram_quantile({self._rng.choice(('0.1', '0.5', '0.99', '1'))}, {self.native(depth - 1)})",
            lambda: f"histogram_fraction({self._rng.choice(('0, 1', '-1, 2', '0.5, Inf'))}, {self.native(depth - 1)})",
            lambda: self.binary(self._rng.choice(("+", "-", "*", "/", "==", "!=", "and", "or", "unless")), depth, True),
            lambda: f"({self.instant(True)}) {self._rng.choice(TRIMS)} ({self._rng.choice(('0.5', '1', '-2', 'Inf'))})",
            lambda: f"{self._rng.choice(('rate', 'increase'))}({self.selector(True)}[{self._rng.choice(RANGES)}] "
            f"{self._rng.choice(('anchored', 'smoothed'))})",
            lambda: self.selection(self._rng.choice(("limitk", "topk")), depth, True),
        )  # fmt: skip

    def vector(self, depth: int, native: bool = False) -> str:
        if native and self._rng.random() < 0.9:
            return self.native(depth)
        if depth <= 0:
            return self.instant()
        return self._one(
            self.instant,
            lambda: self.range_function(self._rng.choice(RANGE_FUNCTIONS), depth - 1),
            lambda: self.range_function(self._rng.choice(RANGE_FUNCTIONS), depth - 1),
            lambda: f"{self._rng.choice(ELEMENTWISE)}({self.vector(depth - 1)})",
            lambda: self.aggregation(self._rng.choice(AGGREGATIONS), depth),
            lambda: self.selection(self._rng.choice(SELECTIONS), depth),
            lambda: self.binary(self._rng.choice(ARITHMETIC + COMPARISONS + SETS), depth),
            lambda: self.other(depth),
        )


def queries() -> Iterator[str]:
    """Every function and operator at the root of some, then any; errors last."""
    rng = random.Random(SEED)
    grammar = Grammar(rng)
    roots: list[Callable[[], str]] = [
        *(lambda f=f: grammar.range_function(f, 1) for f in RANGE_FUNCTIONS),
        *(lambda f=f: grammar.range_function(f, 1, True) for f in NATIVE_RANGE_FUNCTIONS),
        *(lambda f=f: f"{f}({grammar.vector(1)})" for f in ELEMENTWISE),
        *(lambda f=f: f"{f}({grammar.native(1)})" for f in NATIVE_FUNCTIONS),
        *(lambda f=f: grammar.aggregation(f, 2) for f in AGGREGATIONS),
        *(lambda f=f: grammar.aggregation(f, 1, True) for f in ("sum", "avg", "count", "group")),
        *(lambda f=f: grammar.selection(f, 2) for f in SELECTIONS),
        *(lambda f=f: grammar.binary(f, 1) for f in ARITHMETIC + COMPARISONS + SETS),
        *(lambda f=f: grammar.binary(f, 1, True) for f in ("+", "-", "*", "/", "==", "!=")),
        *(lambda f=f: f"({grammar.instant(True)}) {f} ({grammar.number()})" for f in TRIMS),
    ]
    for root in roots:
        for _ in range(EACH):
            yield root()
    for number in range(len(grammar.others(1))):
        for _ in range(EACH + 16):
            yield grammar.others(1)[number]()
    for i in range(N_RANDOM):
        yield grammar.vector(3, native=i % 10 < 7)
    for _ in range(N_ERRORS):
        yield broken(rng, grammar)


def broken(rng: random.Random, grammar: Grammar) -> str:
    """A query with a mistake of syntax, of type, or in its matching."""
    query = grammar.vector(2, native=rng.random() < 0.3)
    kind = rng.randrange(6)
    if kind == 0:
        at = rng.randrange(len(query))
        return query[:at] + query[at + 1 :]
    if kind == 1:
        at = rng.randrange(len(query))
        return query[:at] + rng.choice("()[]{}=+-*/\"',:@~!x1") + query[at:]
    if kind == 2:
        return f"{rng.choice(RANGE_FUNCTIONS)}({query})"
    if kind == 3:
        return rng.choice(
            (f"sum({query}, 1)", f"topk({query})", f"no_such({query})", f"clamp({query}, 1)", f"{query} and 1")
        )
    if kind == 4:
        return f"({rng.choice(('c_total', 'g'))}) {rng.choice(ARITHMETIC)} on(job) ({rng.choice(('c_total', 'g'))})"
    return f'label_replace({rng.choice(("c_total", "g"))}, "{rng.choice(("instance", "job"))}", "x", "", "")'


# The last digit of a large number decides everything about its sine: no two libraries agree.
ILL_CONDITIONED = re.compile(r"\b(sin|cos|tan)\(.*(\^|sinh|cosh|exp|smoothing|predict)")


def questions() -> list[Question]:
    """All of them with their times."""
    rng = random.Random(SEED + 1)
    found = []
    for query in queries():
        if ILL_CONDITIONED.search(query):
            continue
        start = T0_MS + rng.randrange(4, N - 4) * STEP_MS + rng.choice((0, 0, 1_000, 7_000))
        if rng.random() < 0.5:
            found.append(Question(query, start, start, 0))
            continue
        step = rng.choice((15_000, 30_000, 60_000, 47_000))
        found.append(Question(query, start, start + step * rng.randrange(1, 8), step))
    return found
