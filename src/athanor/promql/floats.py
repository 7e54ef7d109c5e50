"""Floats as Go prints them outside of sample values."""

from __future__ import annotations

import math
from decimal import Decimal


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return None


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, shortest round-trip digits, and the decimal exponent of the first digit."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    stripped = text.rstrip("0") or "0"
    first = exponent + len(text) - 1 if stripped != "0" else 0
    return ("-" if sign else ""), stripped, first


def plain(value: float) -> str:
    """The shortest decimal without exponent (Go 'f', -1): 1e21 -> 1000000000000000000000."""
    special = _special(value)
    if special is not None:
        return special
    text = format(Decimal(repr(value)), "f")
    return text[:-2] if text.endswith(".0") else text


def general(value: float) -> str:
    """Go's %v and %g: shortest digits, exponent form below 1e-4 and from 1e6 on: 100000, 1e+06, 1e-05."""
    special = _special(value)
    if special is not None:
        return special
    sign, digits, exponent = _digits(value)
    if -4 <= exponent < 6:
        return plain(value)
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def json_number(value: float) -> str:
    """Go's encoding/json: shortest decimal, exponent form only below 1e-6 and from 1e21 on."""
    magnitude = abs(value)
    if magnitude != 0 and (magnitude < 1e-6 or magnitude >= 1e21):
        sign, digits, exponent = _digits(value)
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent)}"
    return plain(value)
