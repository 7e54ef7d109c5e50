"""Durations in the two grammars of the command line, read to nanoseconds and written back.

kingpin-duration: optional sign, then decimal number + unit pairs in any order; units ns us µs ms s m h d w; bare 0.
prom-duration:    integer + unit pairs in strictly descending order; units y w d h m s ms; bare 0.
The error texts are those of the original parsers, because clients and runbooks match them.
"""

from __future__ import annotations

import re
from decimal import Decimal

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MAX_NS = 2**63 - 1

UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3_600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
    "w": 7 * 86_400 * NS_PER_S,
}
PROM_UNITS_NS = {
    "y": 365 * 86_400 * NS_PER_S,
    "w": 7 * 86_400 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
    "h": 3_600 * NS_PER_S,
    "m": 60 * NS_PER_S,
    "s": NS_PER_S,
    "ms": NS_PER_MS,
}
_PAIR = re.compile(r"(\d*)(\.\d*)?([^\d.]*)")
_PROM_PAIR = re.compile(r"(\d+)([a-z]*)")


class ValueTextError(ValueError):
    """A value that its grammar refuses; the text is the original's."""


def parse_duration_ns(text: str) -> int:
    """kingpin-duration to nanoseconds."""
    invalid = ValueTextError(f'time: invalid duration "{text}"')
    rest, sign = text, 1
    if rest[:1] in ("-", "+"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise invalid
    total = Decimal(0)
    while rest:
        match = _PAIR.match(rest)
        if match is None or not (match[1] or (match[2] and len(match[2]) > 1)):
            raise invalid
        unit = match[3]
        if not unit:
            raise ValueTextError(f'time: missing unit in duration "{text}"')
        if unit not in UNITS_NS:
            raise ValueTextError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += Decimal((match[1] or "0") + (match[2] or "")) * UNITS_NS[unit]
        rest = rest[match.end() :]
    if total > MAX_NS:
        raise invalid
    return sign * int(total)


def parse_prom_duration_ns(text: str) -> int:
    """prom-duration to nanoseconds."""
    if text == "0":
        return 0
    if not text:
        raise ValueTextError("empty duration string")
    rest, total, last_ns = text, 0, MAX_NS
    while rest:
        match = _PROM_PAIR.match(rest)
        if match is None:
            raise ValueTextError(f'not a valid duration string: "{text}"')
        unit = match[2]
        after = rest[match.end() :]
        if unit not in PROM_UNITS_NS:
            unit = unit or re.match(r"[^\d]*", after)[0]  # type: ignore[index]
            if not unit:
                raise ValueTextError(f'not a valid duration string: "{text}"')
            raise ValueTextError(f'unknown unit "{unit}" in duration "{text}"')
        if PROM_UNITS_NS[unit] >= last_ns:
            raise ValueTextError(f'not a valid duration string: "{text}"')
        last_ns = PROM_UNITS_NS[unit]
        total += int(match[1]) * last_ns
        if total > MAX_NS:
            raise ValueTextError("duration out of range")
        rest = after
    return total


def format_go_duration(ns: int) -> str:
    """As Go prints a duration: ``2m0s``, ``1.5s``, ``250ms``, ``0s``."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if ns < NS_PER_S:
        for unit, size in (("ms", NS_PER_MS), ("µs", 1_000), ("ns", 1)):
            if ns >= size:
                return f"{sign}{_fraction(ns, size)}{unit}"
    seconds = ns % (60 * NS_PER_S)
    minutes = ns // (60 * NS_PER_S)
    text = _fraction(seconds, NS_PER_S) + "s"
    if minutes:
        text = f"{minutes % 60}m{text}"
        if minutes >= 60:
            text = f"{minutes // 60}h{text}"
    return sign + text


def _fraction(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(size)) - 1).rstrip('0')}"


def format_prom_duration(ns: int) -> str:
    """As Prometheus prints a duration: ``2m``, ``15d``, ``1h30m``, ``0s``; whole weeks and years only when exact."""
    ms = ns // NS_PER_MS
    if ms == 0:
        return "0s"
    parts = []
    for unit, size_ns in PROM_UNITS_NS.items():
        size_ms = size_ns // NS_PER_MS
        if unit in ("y", "w") and ms % size_ms:
            continue  # compat: 90d is easier to read than 12w6d (prometheus/common model/time.go)
        count, ms = divmod(ms, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
