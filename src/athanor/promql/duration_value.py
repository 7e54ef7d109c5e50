"""The value of a duration expression in one query (prometheus promql/durations.go)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from athanor.promql.ast import DurationExpr, DurationNode, NumberLiteral
from athanor.promql.durations import NS_PER_MS, int64, literal_out_of_range
from athanor.promql.errors import QueryError


@dataclass(frozen=True, slots=True)
class QueryTimes:
    """What step() and range() are, in seconds."""

    step_s: float
    range_s: float


def duration_value_ns(root: DurationExpr, times: QueryTimes, *, negative: bool = False) -> int:
    """Whole milliseconds, in ns. Raises QueryError; compat: its place is `start:end` in bytes from 0."""
    value = _value(root, times)
    if not math.isfinite(value):
        raise _error(root, "duration is NaN or infinite")
    if value <= 0 and not negative:
        raise _error(root, "duration must be greater than 0")
    if literal_out_of_range(value):
        raise _error(root, "duration is out of range")
    return int64(value * 1000) * NS_PER_MS


def _error(node: DurationNode, reason: str) -> QueryError:
    return QueryError(f"{node.start}:{node.end}: {reason}")


def _value(root: DurationNode, times: QueryTimes) -> float:
    """Left before right, operands before operators; survives any depth."""
    results: list[float] = []
    stack: list[tuple[DurationNode, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if isinstance(node, NumberLiteral):
            results.append(node.value)
        elif not ready:
            stack.append((node, True))
            stack.extend((operand, False) for operand in (node.rhs, node.lhs) if operand is not None)
        else:
            rhs = results.pop() if node.rhs is not None else 0.0
            lhs = results.pop() if node.lhs is not None else 0.0
            results.append(_apply(node, lhs, rhs, times))
    return results[0]


def _apply(node: DurationExpr, lhs: float, rhs: float, times: QueryTimes) -> float:
    match node.op:
        case "step":
            return times.step_s
        case "range":
            return times.range_s
        case "max_of":
            return go_max(lhs, rhs)
        case "min_of":
            return go_min(lhs, rhs)
        case "+":
            return lhs + rhs if node.lhs is not None else rhs
        case "-":
            return lhs - rhs if node.lhs is not None else -rhs
        case "*":
            return lhs * rhs
        case "/":
            if rhs == 0:
                raise _error(node, "division by zero")
            return lhs / rhs
        case "%":
            if rhs == 0:
                raise _error(node, "modulo by zero")
            return math.nan if math.isinf(lhs) else math.fmod(lhs, rhs)
        case _:
            return go_pow(lhs, rhs)


def go_max(a: float, b: float) -> float:
    """Go's math.Max: +Inf beats NaN, NaN beats the rest, +0 beats -0."""
    if math.inf in (a, b):
        return math.inf
    if math.isnan(a) or math.isnan(b):
        return math.nan
    if a == 0 and b == 0:
        return b if math.copysign(1, a) < 0 else a
    return max(a, b)


def go_min(a: float, b: float) -> float:
    """Go's math.Min: -Inf beats NaN, NaN beats the rest, -0 beats +0."""
    return -go_max(-a, -b)


def go_pow(base: float, exponent: float) -> float:
    """Go's math.Pow, which returns NaN and infinities where Python raises."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = exponent == math.trunc(exponent) and math.fmod(exponent, 2) != 0
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        if base != 0:
            return math.nan
        odd = math.fmod(exponent, 2) in (1.0, -1.0)
        return math.copysign(math.inf, base) if odd else math.inf
