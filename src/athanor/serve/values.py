"""Value grammars of the command line: text to value, value to the text that status pages show."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from athanor.serve.durations import (
    ValueTextError,
    format_go_duration,
    format_prom_duration,
    parse_duration_ns,
    parse_prom_duration_ns,
)
from athanor.serve.timestamps import TimeOrDuration, parse_time_or_duration

Value = str | bool | int | float | TimeOrDuration

_FLOAT = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][+-]?\d+)?")
_INT = re.compile(r"0[xX]_?[0-9a-fA-F_]+|0[oO]_?[0-7_]+|0[bB]_?[01_]+|0[0-7_]+|0|[1-9][\d_]*")
_SPECIAL_FLOATS = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}
BYTES_UNITS = {
    f"{prefix}{family}": 1 << (10 * power)
    for family in ("B", "iB")
    for power, prefix in enumerate(["", "K", "M", "G", "T", "P", "E"])
    if prefix or family == "B"
}


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one kind of value is read, and how it is shown."""

    parse: Callable[[str], Value]
    show: Callable[[Value], str]


def parse_float(text: str) -> float:
    """A Go float literal."""
    sign = -1.0 if text[:1] == "-" else 1.0
    special = _SPECIAL_FLOATS.get(text.lstrip("+-").lower() if text[:1] in "+-" else text.lower())
    if special is not None and len(text.lstrip("+-")) >= len(text) - 1:
        return sign * special
    if _FLOAT.fullmatch(text) and not text.endswith("_"):
        value = float(text.replace("_", ""))
        if math.isinf(value):
            raise ValueTextError(f'strconv.ParseFloat: parsing "{text}": value out of range')
        return value
    if re.fullmatch(r"[+-]?0[xX][0-9a-fA-F.]+[pP][+-]?\d+", text):
        return float.fromhex(text)
    raise ValueTextError(f'strconv.ParseFloat: parsing "{text}": invalid syntax')


def format_float(value: float) -> str:
    """As Go's %g with the shortest exact digits: exponent form below 1e-4 and from 1e+06 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits, _, exponent_text = f"{value!r}".partition("e")
    sign = "-" if digits.startswith("-") else ""
    whole, _, part = digits.lstrip("-").partition(".")
    exponent = int(exponent_text or 0)
    mantissa = (whole + ("" if part == "0" else part)).lstrip("0")
    if not mantissa:
        return f"{sign}0"
    point = exponent + (len(whole.lstrip("0")) or -(len(part) - len(part.lstrip("0"))))
    mantissa = mantissa.rstrip("0")
    if point - 1 < -4 or point - 1 >= 6:
        tail = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
        return f"{sign}{mantissa[0]}{tail}e{point - 1:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{mantissa}"
    if len(mantissa) <= point:
        return f"{sign}{mantissa}{'0' * (point - len(mantissa))}"
    return f"{sign}{mantissa[:point]}.{mantissa[point:]}"


def _parse_int_literal(text: str, function: str) -> int:
    body = text[1:] if text[:1] in ("+", "-") and function == "ParseInt" else text
    if not _INT.fullmatch(body) or body.endswith("_") or "__" in body:
        raise ValueTextError(f'strconv.{function}: parsing "{text}": invalid syntax')
    plain = body.replace("_", "").lower()
    octal = len(plain) > 1 and plain[0] == "0" and plain[1].isdigit()
    value = int(plain, 8) if octal else int(plain, 0)
    return -value if text[0] == "-" else value


def parse_int64(text: str) -> int:
    """A Go integer literal of 64 bits."""
    value = _parse_int_literal(text, "ParseInt")
    if not -(2**63) <= value < 2**63:
        raise ValueTextError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def parse_uint64(text: str) -> int:
    """A Go unsigned integer literal of 64 bits."""
    value = _parse_int_literal(text, "ParseUint")
    if value >= 2**64:
        raise ValueTextError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return value


def parse_int_as_float(text: str) -> int:
    """A Go float, cut to an integer: ``1e3`` is 1000."""
    value = parse_float(text)
    if not math.isfinite(value):
        raise ValueTextError(f'strconv.ParseFloat: parsing "{text}": value out of range')
    return int(value)


def parse_bytes(text: str) -> int:
    """base2-bytes: number + unit pairs, all units powers of 1024, unit required except for 0."""
    rest, sign = text, 1
    if rest[:1] in ("-", "+"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueTextError(f"units: invalid {text}")
    total, families = 0.0, set()
    while rest:
        match = re.match(r"(\d*)(\.\d*)?([^\d.]*)", rest)
        if match is None or not (match[1] or (match[2] and len(match[2]) > 1)):
            raise ValueTextError(f"units: invalid {text}")
        unit = match[3]
        if len(unit) > 1:
            families.add(unit[-2:] == "iB")
        if unit not in BYTES_UNITS or len(families) > 1:
            raise ValueTextError(f"units: unknown unit {unit} in {text}")
        total += float((match[1] or "0") + (match[2] or "")) * BYTES_UNITS[unit]
        if total >= 2**63:
            raise ValueTextError("units: overflow parsing unit")
        rest = rest[match.end() :]
    return sign * int(total)


def format_bytes(value: int) -> str:
    """In the KiB form: ``250MiB``, ``1GiB512MiB``, ``0B``."""
    if value == 0:
        return "0B"
    sign, value = ("-", -value) if value < 0 else ("", value)
    parts = []
    for power in range(6, -1, -1):
        count = value >> (10 * power)
        value -= count << (10 * power)
        if count:
            parts.append(f"{count}{' KMGTPE'[power].strip()}{'iB' if power else 'B'}")
    return sign + "".join(parts)


def parse_address(text: str) -> str:
    """host:port or a DNS query."""
    if not text:
        raise ValueTextError("Address is empty.")
    if ":" not in text and "+" not in text:
        raise ValueTextError(f"Address {text} is not of <host>:<port> format or a valid DNS query.")
    return text


def parse_url(text: str) -> str:
    """A URL as Go's url.Parse accepts it; returned as it was typed."""
    problem = _url_problem(text)
    if problem:
        raise ValueTextError(f'invalid URL: parse "{text}": {problem}')
    return text


def _url_problem(text: str) -> str:
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
        return "net/url: invalid control character in URL"
    rest = text.partition("#")[0]
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", rest)
    if rest.startswith(":"):
        return "missing protocol scheme"
    rest = rest[scheme.end() :] if scheme else rest
    if not scheme and ":" in rest.partition("/")[0].partition("?")[0]:
        return "first path segment in URL cannot contain colon"
    if rest.startswith("//"):
        host = re.split(r"[/?]", rest[2:], maxsplit=1)[0].rpartition("@")[2]
        if host.startswith("[") and "]" not in host:
            return "missing ']' in host"
        port = host.rpartition("]")[2] if host.startswith("[") else host[host.find(":") :] if ":" in host else ""
        if port and not re.fullmatch(r":\d*", port):
            return f'invalid port "{port}" after host'
        if " " in host:
            return 'invalid character " " in host name'
    bad = re.search(r"%(?![0-9A-Fa-f]{2}).{0,2}", rest)
    return f'invalid URL escape "{bad[0]}"' if bad else ""


def enum_parser(members: Sequence[str]) -> Callable[[str], str]:
    """A parser that takes exact members only."""

    def parse(text: str) -> str:
        if text not in members:
            raise ValueTextError(f"enum value must be one of {','.join(members)}, got '{text}'")
        return text

    return parse


def _parse_bool(text: str) -> bool:
    return text == "true"


def _show_bool(value: Value) -> str:
    return "true" if value else "false"


GRAMMARS: dict[str, Grammar] = {
    "string": Grammar(str, str),
    "path": Grammar(str, str),
    "content": Grammar(str, str),
    "enum": Grammar(str, str),
    "bool": Grammar(_parse_bool, _show_bool),
    "int-as-float": Grammar(parse_int_as_float, str),
    "int64": Grammar(parse_int64, str),
    "uint64": Grammar(parse_uint64, str),
    "float64": Grammar(parse_float, lambda value: format_float(float(value))),  # type: ignore[arg-type]
    "kingpin-duration": Grammar(parse_duration_ns, lambda value: format_go_duration(int(value))),  # type: ignore[arg-type]
    "prom-duration": Grammar(parse_prom_duration_ns, lambda value: format_prom_duration(int(value))),  # type: ignore[arg-type]
    "time-or-duration": Grammar(parse_time_or_duration, str),
    "base2-bytes": Grammar(parse_bytes, lambda value: format_bytes(int(value))),  # type: ignore[arg-type]
    "url": Grammar(parse_url, str),
    "address": Grammar(parse_address, str),
}
