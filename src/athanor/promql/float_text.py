"""Floats as Go's strconv reads them and as OpenMetrics writes them."""

from __future__ import annotations

import math
import re

from athanor.promql.floats import general

_DECIMAL = re.compile(
    r"[+-]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+(?:_\d+)*)?", re.ASCII
)
_HEX = re.compile(
    r"([+-]?0[xX])_?((?:[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*(?:\.(?:[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)?)?"
    r"|\.[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)[pP][+-]?\d+(?:_\d+)*)",
    re.ASCII,
)
_INFINITIES = {"inf": math.inf, "infinity": math.inf}


def parse_float(text: str) -> float | None:
    """strconv.ParseFloat: None where it reports an error, which a number out of range is too."""
    word = text.lower()
    sign = -1.0 if word.startswith("-") else 1.0
    infinity = _INFINITIES.get(word[1:] if word[:1] in ("+", "-") else word)
    if infinity is not None:
        return sign * infinity
    if word == "nan":
        return math.nan
    if _DECIMAL.fullmatch(text):
        value = float(text.replace("_", ""))
        return None if math.isinf(value) else value
    hexadecimal = _HEX.fullmatch(text)
    if hexadecimal:
        try:
            return float.fromhex((hexadecimal[1] + hexadecimal[2]).replace("_", ""))
        except OverflowError:
            return None
    return None


def open_metrics(value: float) -> str:
    """Go's %g, with `.0` where it shows neither point nor exponent: 1 -> 1.0."""
    text = general(value)
    return text if not math.isfinite(value) or "." in text or "e" in text else text + ".0"
