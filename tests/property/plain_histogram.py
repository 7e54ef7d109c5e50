"""Native histograms one at a time, as the rules of Prometheus 3.14 read (model/histogram/float_histogram.go,
promql/quantile.go): dictionaries and fractions, no arrays.

Bounds of exponential buckets are exact: they are held as their logarithm to base 2, a fraction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction

CUSTOM = -53
Exponent = Fraction | float
NOTHING = -math.inf  # the exponent of a threshold of 0


@dataclass(frozen=True)
class Plain:
    """positive, negative: count by index, empty buckets included; zero: the threshold as an exponent."""

    schema: int
    positive: dict[int, float]
    negative: dict[int, float] = field(default_factory=dict)
    zero: Exponent = NOTHING
    zero_count: float = 0.0
    count: float = 0.0
    sum: float = 0.0
    bounds: tuple[float, ...] = ()

    @property
    def threshold(self) -> float:
        return 0.0 if self.zero == NOTHING else 2.0 ** float(self.zero)

    def populated(self) -> tuple[dict[int, float], dict[int, float]]:
        return tuple({i: n for i, n in side.items() if n} for side in (self.positive, self.negative))


def bound(index: int, schema: int) -> Fraction:
    """Exponent of the upper bound of a positive bucket."""
    return Fraction(index) * Fraction(2) ** -schema


def upper_of_custom(h: Plain, index: int) -> float:
    return h.bounds[index] if index < len(h.bounds) else math.inf


# ---- addition


def reduced(buckets: dict[int, float], schema: int, to: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for i in sorted(buckets):
        at = ((i - 1) >> (schema - to)) + 1
        found[at] = found.get(at, 0.0) + buckets[i]
    return found


def widened(h: Plain, zero: Exponent) -> Plain:
    """Buckets below the new threshold are in the zero bucket; one that it cuts is swallowed whole where it holds
    anything, and the threshold grows to its end."""
    while True:
        inside, start, found = h.zero_count, zero, []
        for side in (h.positive, h.negative):
            left = {}
            for i in sorted(side):
                low, high = bound(i - 1, h.schema), bound(i, h.schema)
                if high <= zero:
                    inside += side[i]
                elif low < zero and side[i]:
                    inside, zero = inside + side[i], high
                elif low >= zero:
                    left[i] = side[i]
            found.append(left)
        if zero == start:
            return replace(h, positive=found[0], negative=found[1], zero=zero, zero_count=inside)


def plus(a: Plain, b: Plain, sign: float = 1.0) -> Plain | None:
    """None where the two do not add up."""
    if (a.schema == CUSTOM) != (b.schema == CUSTOM):
        return None
    count, total = a.count + sign * b.count, a.sum + sign * b.sum
    if a.schema == CUSTOM:
        bounds = tuple(x for x in a.bounds if x in b.bounds)
        found: dict[int, float] = {}
        for h, factor in ((a, 1.0), (b, sign)):
            for i, n in h.positive.items():
                at = next((k for k, x in enumerate(bounds) if x >= upper_of_custom(h, i)), len(bounds))
                found[at] = found.get(at, 0.0) + factor * n
        return Plain(CUSTOM, found, count=count, sum=total, bounds=bounds)
    zeros = b
    while a.zero != zeros.zero:
        if a.zero < zeros.zero:
            a = widened(a, zeros.zero)
        else:
            zeros = widened(zeros, a.zero)
    schema = min(a.schema, b.schema)
    sides = []
    for mine, other in ((a.positive, b.positive), (a.negative, b.negative)):
        joined = reduced(mine, a.schema, schema)
        for i, n in reduced(other, b.schema, schema).items():
            # As in the original, one that was swallowed counts again where its bucket of the coarser schema goes on.
            if bound(i, schema) > a.zero:
                joined[i] = joined.get(i, 0.0) + sign * n
        sides.append(joined)
    return Plain(schema, *sides, a.zero, a.zero_count + sign * zeros.zero_count, count, total)


# ---- buckets in order of value


@dataclass(frozen=True)
class Bucket:
    lower: float
    upper: float
    count: float
    is_linear: bool


def _power(exponent: Exponent) -> float:
    return 2.0 ** float(exponent)


def buckets(h: Plain) -> list[Bucket]:
    """Those that hold anything, from the lowest up."""
    if h.schema == CUSTOM:
        return [
            Bucket(h.bounds[i - 1] if i else -math.inf, upper_of_custom(h, i), n, True)
            for i, n in sorted(h.positive.items())
            if n
        ]
    positive, negative = h.populated()
    found = [
        Bucket(-_power(bound(i, h.schema)), -_power(bound(i - 1, h.schema)), negative[i], False)
        for i in sorted(negative, reverse=True)
    ]
    if h.zero_count > 0:
        found.append(Bucket(-h.threshold, h.threshold, h.zero_count, True))
    found += [
        Bucket(_power(bound(i - 1, h.schema)), _power(bound(i, h.schema)), n, False)
        for i, n in sorted(positive.items())
    ]
    return found


def _clipped(h: Plain, b: Bucket) -> Bucket:
    """The bucket around zero ends there where no bucket lies on the other side; empty ones lie there, too."""
    if h.schema != CUSTOM and b.lower < 0 < b.upper:
        if not h.negative and h.positive:
            return replace(b, lower=0.0)
        if not h.positive and h.negative:
            return replace(b, upper=0.0)
    return b


def quantile(h: Plain, q: float) -> float:
    """For a sum that is a number, and counts that add up."""
    if q < 0 or q > 1:
        return math.copysign(math.inf, q - 0.5)
    if h.count == 0:
        return math.nan
    ascending = q < 0.5
    rank = (q if ascending else 1 - q) * h.count
    seen, b = 0.0, Bucket(0.0, 0.0, 0.0, True)
    for b in buckets(h) if ascending else reversed(buckets(h)):
        seen += b.count
        if seen >= rank:
            break
    b = _clipped(h, b)
    if h.schema == CUSTOM:
        if b.lower == -math.inf:
            if b.upper <= 0:
                return b.upper
            b = replace(b, lower=0.0)
        elif b.upper == math.inf:
            return b.lower
    inside = rank - (seen - b.count) if ascending else seen - rank
    return _at(b, inside / b.count)


def _at(b: Bucket, share: float) -> float:
    if b.is_linear:
        return b.lower + (b.upper - b.lower) * share
    low, high = math.log2(abs(b.lower)), math.log2(abs(b.upper))
    return 2 ** (low + (high - low) * share) if b.lower > 0 else -(2 ** (high + (low - high) * (1 - share)))


def _share_below(b: Bucket, x: float) -> float:
    if b.is_linear:
        return 1.0 if b.lower == -math.inf else (x - b.lower) / (b.upper - b.lower)
    low, high, at = math.log2(abs(b.lower)), math.log2(abs(b.upper)), math.log2(abs(x))
    return (at - low) / (high - low) if b.lower > 0 else 1 - (at - high) / (low - high)


def fraction(h: Plain, lower: float, upper: float) -> float:
    """For exponential buckets."""
    if h.count == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0

    def below(x: float) -> float:
        rank = 0.0
        for b in (_clipped(h, each) for each in buckets(h)):
            if b.lower >= x:
                return rank
            if x < b.upper:
                return rank + b.count * _share_below(b, x)
            rank += b.count
        return h.count

    return (below(upper) - below(lower)) / h.count


def variance(h: Plain) -> float:
    mean = h.sum / h.count
    total = 0.0
    for b in buckets(h):
        if b.is_linear:
            at = (b.lower + b.upper) / 2 if h.schema == CUSTOM else 0.0
        else:
            at = math.copysign(math.sqrt(b.lower * b.upper), b.lower)
        total += b.count * (at - mean) ** 2
    return total / h.count


def kept_below(h: Plain, x: float) -> list[tuple[float, float]]:
    """(upper bound, count) of the buckets that a trim to values below x leaves; exponential, no zero bucket."""
    found = []
    for b in buckets(h):
        share = 1.0 if b.upper <= x else _share_below(b, x) if b.lower < x else 0.0
        if share:
            found.append((b.upper, b.count * share))
    return found
