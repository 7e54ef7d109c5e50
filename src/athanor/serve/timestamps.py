"""Points in time on the command line: an RFC 3339 time, or a duration relative to now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from athanor.serve.durations import NS_PER_MS, ValueTextError, format_go_duration, parse_prom_duration_ns

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):(\d\d))"
)
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar, year 0 included (Python's dates begin at 1)."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def parse_rfc3339_ms(text: str) -> int | None:
    """Milliseconds since the epoch, or None when the text is not an RFC 3339 time."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (1 <= month <= 12 and hour < 24 and minute < 60 and second < 60):
        return None
    if not 1 <= day <= _DAYS_IN_MONTH[month - 1] or (month == 2 and day == 29 and not leap):
        return None
    total_s = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
    if match[9]:
        offset_s = int(match[10]) * 3_600 + int(match[11]) * 60
        total_s += offset_s if match[9] == "-" else -offset_s
    return total_s * 1_000 + int((match[7] or "0").ljust(9, "0")) // NS_PER_MS


def format_go_time(ms: int) -> str:
    """As Go prints a time in UTC: ``2024-01-02 00:00:00 +0000 UTC``, milliseconds only when there are any."""
    days, rest_ms = divmod(ms, 86_400_000)
    cycles = 0
    while days < days_from_civil(1, 1, 1):
        days += 146_097  # 400 years have the same calendar
        cycles += 400
    date = datetime(1970, 1, 1) + timedelta(days=days)
    seconds, millis = divmod(rest_ms, 1_000)
    fraction = f".{millis:03d}".rstrip("0") if millis else ""
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"
    return f"{date.year - cycles:04d}-{date.month:02d}-{date.day:02d} {clock} +0000 UTC"


@dataclass(frozen=True, slots=True)
class TimeOrDuration:
    """One of a fixed time or an offset from now; the offset is evaluated each time it is used."""

    at_fixed_ms: int | None = None
    offset_ms: int = 0

    def at_ms(self, now_ms: int) -> int:
        """Milliseconds since the epoch, when the clock says ``now_ms``."""
        return self.at_fixed_ms if self.at_fixed_ms is not None else now_ms + self.offset_ms

    def __str__(self) -> str:
        if self.at_fixed_ms is not None:
            return format_go_time(self.at_fixed_ms)
        return format_go_duration(self.offset_ms * NS_PER_MS)

    def go_struct(self) -> str:
        """As Go prints the value in error messages."""
        if self.at_fixed_ms is not None:
            return f"{{{format_go_time(self.at_fixed_ms)} <nil>}}"
        return f"{{<nil> {format_go_duration(self.offset_ms * NS_PER_MS)}}}"


def parse_time_or_duration(text: str) -> TimeOrDuration:
    """RFC 3339 time, else an optional minus and a prom-duration."""
    at_ms = parse_rfc3339_ms(text)
    if at_ms is not None:
        return TimeOrDuration(at_fixed_ms=at_ms)
    if not text:
        # differs: the original panics here; exit code 2 is the same.
        raise ValueTextError("empty duration string")
    sign, rest = (-1, text[1:]) if text[0] == "-" else (1, text)
    return TimeOrDuration(offset_ms=sign * parse_prom_duration_ns(rest) // NS_PER_MS)
