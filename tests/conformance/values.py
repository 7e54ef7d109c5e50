"""The value lists of test scripts: `1 2+3x4 _ stale {{schema:0 count:1}}x2`, written out."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from athanor.promql.durations import duration_ns, ms_of_ns
from athanor.promql.tokens import number_value

STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts of consecutive buckets; offset is the index of the first."""

    offset: int = 0
    counts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """A native histogram as written: nothing is derived. hint_stated: whether an expectation compares the hint."""

    schema: int = 0
    count: float = 0.0
    sum: float = 0.0
    zero_count: float = 0.0
    zero_threshold: float = 0.0
    positive: Buckets = Buckets()
    negative: Buckets = Buckets()
    custom_values: tuple[float, ...] = ()
    hint: str = "unknown"
    hint_stated: bool = False


Value: TypeAlias = float | Histogram | None  # None: no sample at this position

_UNSIGNED = r"(?:(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF]|[nN][aA][nN])"
_FLOATS = re.compile(rf"([+-]?{_UNSIGNED})(?:([+-]{_UNSIGNED})x([0-9]+)|x([0-9]+))?\Z")
_GAP = re.compile(r"_(?:x([0-9]+))?\Z")
_HISTOGRAMS = re.compile(r"\{\{(.*?)\}\}(?:([+-])\{\{(.*?)\}\})?(?:x([0-9]+))?\Z")
_ITEM = re.compile(r"(?:\{\{.*?\}\}|[^\s{])+")
_KEY = re.compile(r"\s*([a-zA-Z_]+):(\[[^\]]*\]|[^\s\[]+)")
_START = re.compile(r"([+-]?[0-9smhdwy]+)(?:([+-])([0-9smhdwy]+)x([0-9]+)|x([0-9]+))?\Z")
_HINTS = frozenset({"unknown", "reset", "not_reset", "gauge"})
_T = TypeVar("_T")


def expand_values(text: str) -> list[Value]:
    """Every position of a value list."""
    out: list[Value] = []
    for item in _items(text):
        gap = _GAP.match(item)
        if gap is not None:
            out += [None] * (1 if gap[1] is None else int(gap[1]))
        elif item == "stale":
            out.append(STALE)
        elif item.startswith("{{"):
            out += _histograms(item)
        else:
            out += _floats(item)
    return out


def expand_starts(text: str) -> list[int | None]:
    """Offsets in ms of start timestamps, None where there is none."""
    out: list[int | None] = []
    for item in _items(text):
        gap = _GAP.match(item)
        if gap is not None:
            out += [None] * (1 if gap[1] is None else int(gap[1]))
            continue
        match = _START.match(item)
        if match is None:
            raise ValueError(f"invalid start timestamp {item!r}")
        first, sign, step, n_steps, n_repeats = match.groups()
        step_ms = 0 if step is None else _signed_ms(sign + step)
        n_more = int(n_steps or n_repeats or 0)
        out += [_signed_ms(first) + i * step_ms for i in range(n_more + 1)]
    return out


def _items(text: str) -> list[str]:
    items = _ITEM.findall(text)
    if "".join(items).replace(" ", "").replace("\t", "") != text.replace(" ", "").replace("\t", ""):
        raise ValueError(f"invalid values {text!r}")
    return items


def _signed_ms(text: str) -> int:
    ms = ms_of_ns(duration_ns(text.lstrip("+-")))
    return -ms if text.startswith("-") else ms


def _number(text: str) -> float:
    value = number_value(text.lstrip("+-"))
    return -value if text.startswith("-") else value


def _floats(item: str) -> list[Value]:
    match = _FLOATS.match(item)
    if match is None or (match[4] is not None and not any(char.isdigit() for char in match[1])):
        raise ValueError(f"invalid value {item!r}")
    first = _number(match[1])
    if match[2] is None:
        return [first] * (1 + int(match[4] or 0))
    return _steps(first, int(match[3]), _adder(_number(match[2])))


def _adder(step: float) -> Callable[[float], float]:
    return lambda value: value + step


def _steps(first: _T, n_steps: int, advance: Callable[[_T], _T]) -> list[_T]:
    """The first value and n more, each made from the one before: sums round as they go."""
    out = [first]
    for _ in range(n_steps):
        out.append(advance(out[-1]))
    return out


def _histograms(item: str) -> list[Value]:
    match = _HISTOGRAMS.match(item)
    if match is None or (match[2] is not None and match[4] is None):
        raise ValueError(f"invalid histogram {item!r}")
    first = parse_histogram(match[1])
    n_more = int(match[4] or 0)
    if match[2] is None:
        return [first] * (n_more + 1)
    step = parse_histogram(match[3])
    sign = 1.0 if match[2] == "+" else -1.0
    values = _steps(first, n_more, lambda histogram: _add(histogram, step, sign))
    return [replace(value, hint_stated=step.hint_stated) for value in values]


def parse_histogram(text: str) -> Histogram:
    """`schema:0 count:2 buckets:[1 1]`; every key at most once."""
    if text[:1].isspace() and text.strip():
        raise ValueError(f"space at the start of histogram {text!r}")
    keys: dict[str, str] = {}
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _KEY.match(text, at)
        if match is None or match[1].lower() in keys:
            raise ValueError(f"invalid histogram description {text!r}")
        keys[match[1].lower()] = match[2]
        at = match.end()
    hint = keys.pop("counter_reset_hint", None)
    if hint is not None and hint not in _HINTS:
        raise ValueError(f"unknown counter reset hint {hint!r}")
    histogram = Histogram(
        schema=int(keys.pop("schema", "0")),
        count=_number(keys.pop("count", "0")),
        sum=_number(keys.pop("sum", "0")),
        zero_count=_number(keys.pop("z_bucket", "0")),
        zero_threshold=_number(keys.pop("z_bucket_w", "0")),
        positive=_buckets(keys, "offset", "buckets"),
        negative=_buckets(keys, "n_offset", "n_buckets"),
        custom_values=_list(keys.pop("custom_values", "")),
        hint=hint or "unknown",
        hint_stated=hint is not None,
    )
    if keys:
        raise ValueError(f"unknown histogram keys {sorted(keys)}")
    return histogram


def _list(text: str) -> tuple[float, ...]:
    return tuple(map(_number, text.strip("[]").split()))


def _buckets(keys: dict[str, str], offset: str, counts: str) -> Buckets:
    first = int(keys.pop(offset, "0"))
    values = _list(keys.pop(counts, ""))
    return Buckets(first, values) if values else Buckets()


def _add(h: Histogram, step: Histogram, sign: float) -> Histogram:
    if h.schema > step.schema:
        raise ValueError(f"cannot merge from schema {step.schema} to {h.schema}")
    if h.zero_threshold != step.zero_threshold or h.custom_values != step.custom_values:
        raise ValueError("histograms with different zero thresholds or custom bounds are not repeated in scripts")
    shift = 0 if h.schema == -53 else step.schema - h.schema
    return replace(
        h,
        count=h.count + sign * step.count,
        sum=h.sum + sign * step.sum,
        zero_count=h.zero_count + sign * step.zero_count,
        positive=_add_buckets(h.positive, step.positive, shift, sign),
        negative=_add_buckets(h.negative, step.negative, shift, sign),
        hint=_merged_hint(h.hint, step.hint),
    )


def _add_buckets(left: Buckets, right: Buckets, shift: int, sign: float) -> Buckets:
    reduced: dict[int, float] = {}
    for i, count in enumerate(right.counts, right.offset):
        index = ((i - 1) >> shift) + 1 if shift else i
        reduced[index] = reduced.get(index, 0.0) + count
    total = dict(enumerate(left.counts, left.offset))
    for index, count in reduced.items():
        total[index] = total.get(index, 0.0) + sign * count
    if not total:
        return Buckets()
    first, last = min(total), max(total)
    return Buckets(first, tuple(total.get(index, 0.0) for index in range(first, last + 1)))


def _merged_hint(left: str, right: str) -> str:
    if left == right:
        return left
    return "gauge" if "gauge" in (left, right) else "unknown"
