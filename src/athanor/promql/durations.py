"""Durations: their text, their numbers, the way Go rounds them."""

from __future__ import annotations

import math
import re

from athanor.promql.gostrings import quote

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
_INT64_MIN = -(1 << 63)
_INT64_MAX = (1 << 63) - 1
# unit -> (place in the order from large to small, length in ns)
_UNITS = {
    "y": (1, 365 * 86_400 * NS_PER_S),
    "w": (2, 7 * 86_400 * NS_PER_S),
    "d": (3, 86_400 * NS_PER_S),
    "h": (4, 3_600 * NS_PER_S),
    "m": (5, 60 * NS_PER_S),
    "s": (6, NS_PER_S),
    "ms": (7, NS_PER_MS),
}
_PART = re.compile(r"([0-9]*)([^0-9]*)")
# unit, length in ms, printed only if it divides the rest
_PRINTED = (
    ("y", 31_536_000_000, True),
    ("w", 604_800_000, True),
    ("d", 86_400_000, False),
    ("h", 3_600_000, False),
    ("m", 60_000, False),
    ("s", 1_000, False),
    ("ms", 1, False),
)


def duration_ns(text: str) -> int:
    """The length in ns of `1h30m`; raises ValueError with Prometheus' text (common model/time.go)."""
    if text == "0":
        return 0
    if not text:
        raise ValueError("empty duration string")
    total_ns, last_place, at = 0, 0, 0
    while at < len(text):
        part = _PART.match(text, at)
        assert part is not None
        number, unit = part.groups()
        if not number or not unit or int(number) >= 1 << 64:
            raise ValueError(f"not a valid duration string: {quote(text)}")
        known = _UNITS.get(unit)
        if known is None:
            raise ValueError(f"unknown unit {quote(unit)} in duration {quote(text)}")
        place, unit_ns = known
        if place <= last_place:
            raise ValueError(f"not a valid duration string: {quote(text)}")
        last_place = place
        total_ns += int(number) * unit_ns
        if int(number) > (1 << 63) // unit_ns or total_ns > _INT64_MAX:
            raise ValueError("duration out of range")
        at = part.end()
    return total_ns


def seconds(ns: int) -> float:
    """Go's time.Duration.Seconds(): whole seconds plus the rest, so that the last bit is the same."""
    whole, rest = divmod(abs(ns), NS_PER_S)
    value = float(whole) + rest / 1e9
    return -value if ns < 0 else value


def int64(value: float) -> int:
    """Go's conversion of a float to int64 on amd64: truncation; NaN and what does not fit become -2^63."""
    if not -9223372036854775808.0 <= value < 9223372036854775808.0:
        return _INT64_MIN
    return int(value)


def round_away(value: float) -> float:
    """Go's math.Round: halves away from zero."""
    if not math.isfinite(value):
        return value
    whole = float(math.trunc(value))
    if abs(value - whole) >= 0.5:
        whole += math.copysign(1.0, value)
    return math.copysign(whole, value)


def ns_of_seconds(value: float) -> int:
    return int64(round_away(value * 1e9))


def ms_of_seconds(value: float) -> int:
    return int64(round_away(value * 1e3))


def ms_of_ns(ns: int) -> int:
    """Whole milliseconds, cut towards zero as Go's integer division does."""
    return -(-ns // NS_PER_MS) if ns < 0 else ns // NS_PER_MS


def duration_text(ns: int) -> str:
    """`1h30m`; years and weeks only where they divide exactly."""
    rest_ms = ms_of_ns(ns)
    if rest_ms == 0:
        return "0s"
    sign, rest_ms = ("-", -rest_ms) if rest_ms < 0 else ("", rest_ms)
    parts = [sign]
    for unit, unit_ms, exact in _PRINTED:
        if exact and rest_ms % unit_ms:
            continue
        count, left_ms = divmod(rest_ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
            rest_ms = left_ms
    return "".join(parts)


def go_duration(ns: int) -> str:
    """A duration as Go's own type prints it: 5m0s, 1.5s, 913.325µs, 951ns, 0s."""
    sign, rest_ns = ("-", -ns) if ns < 0 else ("", ns)
    if rest_ns < NS_PER_S:
        if not rest_ns:
            return "0s"
        unit, unit_ns = ("ns", 1) if rest_ns < 1_000 else ("µs", 1_000) if rest_ns < NS_PER_MS else ("ms", NS_PER_MS)
        return sign + _decimal(rest_ns, unit_ns) + unit
    minutes, seconds_ns = divmod(rest_ns, 60 * NS_PER_S)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{shown}{_decimal(seconds_ns, NS_PER_S)}s"


def _decimal(number: int, scale: int) -> str:
    """number / scale, exactly; scale is a power of ten."""
    whole, rest = divmod(number, scale)
    fraction = str(scale + rest)[1:].rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def literal_out_of_range(value_s: float) -> bool:
    """Whether a literal of so many seconds overflows Go's time.Duration; NaN does not (quirk)."""
    return value_s > 9223372036.854775808 or value_s < -9223372036.854775808
