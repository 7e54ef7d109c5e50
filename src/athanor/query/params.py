"""Parameters of the HTTP API: times, durations, switches, limits, selectors; texts of errors are Thanos'."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta

from athanor.model.matchers import Matcher
from athanor.promql.ast import (
    Aggregation,
    Binary,
    Call,
    MatrixSelector,
    Node,
    NumberLiteral,
    Paren,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from athanor.promql.durations import duration_ns, round_away
from athanor.promql.errors import ParseError
from athanor.promql.features import Features
from athanor.promql.float_text import parse_float
from athanor.promql.gostrings import quote, quote_char
from athanor.promql.label_parser import parse_selector
from athanor.promql.parser import parse
from athanor.query.requests import ApiError, ApiRequest, bad_data

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MAX_INT64 = 2**63 - 1
# compat: what Go's time.Time cannot hold is cut to these (pkg/api/query/v1.go, infMinTime and infMaxTime)
EARLIEST_MS = (-9223372036854775 + 62135596801) * 1000
LATEST_MS = (9223372036854775 - 62135596801) * 1000 + 999
OVERFLOWN_MS = -9223372036854
LIMIT_MS = 2**61
"""Times beyond this would overflow once a range is subtracted."""

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-])(\d\d):(\d\d))", re.ASCII)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_NO_MATCHER = "vector selector must contain at least one non-empty matcher"
_GO_TYPES: dict[type[Node], str] = {
    Aggregation: "AggregateExpr",
    Binary: "BinaryExpr",
    Call: "Call",
    MatrixSelector: "MatrixSelector",
    NumberLiteral: "NumberLiteral",
    Paren: "ParenExpr",
    StringLiteral: "StringLiteral",
    Subquery: "SubqueryExpr",
    Unary: "UnaryExpr",
}


def parse_time_ms(text: str) -> int:
    """Seconds with fraction, or RFC 3339, as ms since the epoch."""
    number = parse_float(text)
    if number is not None:
        if not math.isfinite(number) or abs(number) >= 2.0**63:
            return OVERFLOWN_MS
        fraction, whole = math.modf(number)
        at_ms = int(whole) * 1000 + int(round_away(fraction * 1000))
        if abs(at_ms) > LIMIT_MS:
            # differs: the original computes on with a number that has overflown
            raise bad_data(f"cannot parse {quote(text)} to a valid timestamp. It overflows int64")
        return at_ms
    match = _RFC3339.fullmatch(text)
    if match is not None:
        try:
            return _date_ms(match)
        except ValueError:
            pass
    raise bad_data(f"cannot parse {quote(text)} to a valid timestamp")


def _date_ms(match: re.Match[str]) -> int:
    offset = timedelta()
    if match[9]:
        if int(match[10]) > 23 or int(match[11]) > 59:
            raise ValueError("no such zone")
        offset = timedelta(hours=int(match[10]), minutes=int(match[11])) * (-1 if match[9] == "-" else 1)
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    seconds = (at - datetime(1970, 1, 1, tzinfo=UTC) - offset) // timedelta(seconds=1)
    return seconds * 1000 + int((match[7] or "0").ljust(3, "0")[:3])


def time_param(request: ApiRequest, name: str, default_ms: int) -> int:
    """An optional time, with its name in the error."""
    text = request.value(name)
    if not text:
        return default_ms
    try:
        return parse_time_ms(text)
    except ApiError as err:
        raise bad_data(f"Invalid time value for '{name}': {err}") from None


def time_range(request: ApiRequest, default_range_ms: int, now_ms: int) -> tuple[int, int]:
    """start and end of the metadata calls; without them everything, or the default range up to now."""
    first, last = (EARLIEST_MS, LATEST_MS) if not default_range_ms else (now_ms - default_range_ms, now_ms)
    try:
        first, last = time_param(request, "start", first), time_param(request, "end", last)
        if last < first:
            raise bad_data("end timestamp must not be before start time")
    except ApiError as err:
        # compat: these come as an error inside an error (pkg/api/query/v1.go parseMetadataTimeRange)
        raise bad_data(f"bad_data: {err}") from None
    return first, last


def parse_duration_param(text: str) -> int:
    """A duration in ns: seconds as a number, or ``1h30m``."""
    number = parse_float(text)
    if number is not None:
        length = number * NS_PER_S
        if math.isnan(length) or length > MAX_INT64 or length < -MAX_INT64 - 1:
            raise bad_data(f"cannot parse {quote(text)} to a valid duration. It overflows int64")
        return int(length)
    try:
        return duration_ns(text)
    except ValueError:
        raise bad_data(f"cannot parse {quote(text)} to a valid duration") from None


def duration_param(request: ApiRequest, name: str, default_ns: int, *, named: bool = True) -> int:
    """An optional duration in ns. named: whether the error names the parameter."""
    text = request.value(name)
    if not text:
        return default_ns
    try:
        return parse_duration_param(text)
    except ApiError as err:
        raise bad_data(f"'{name}' parameter: {err}" if named else str(err)) from None


def bool_param(request: ApiRequest, name: str, default: bool) -> bool:
    """A switch as Go's ParseBool reads it."""
    text = request.value(name)
    if not text:
        return default
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise bad_data(f"'{name}' parameter: strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def limit_param(request: ApiRequest) -> int:
    """How many entries at most, 0 for all."""
    text = request.value("limit")
    if not text:
        return 0
    limit = atoi(text)
    if limit is None:
        raise bad_data(f"cannot parse {quote(text)} to a valid limit")
    if limit < 0:
        raise bad_data("limit must be non-negative")
    return limit


def atoi(text: str) -> int | None:
    """A decimal number of 64 bits."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def selector(text: str, features: Features) -> tuple[Matcher, ...]:
    """The matchers of a plain selector; one that matches everything is allowed."""
    try:
        node = parse(text, features)
    except ParseError as err:
        if err.reason == _NO_MATCHER:
            return parse_selector(text, features)
        raise bad_data(str(err)) from None
    if isinstance(node, VectorSelector):
        return node.matchers
    raise bad_data(f"expected type *parser.VectorSelector, got *parser.{_GO_TYPES[type(node)]}")


def selectors(request: ApiRequest, name: str, features: Features) -> list[tuple[Matcher, ...]]:
    """All values of a parameter as selectors."""
    return [selector(text, features) for text in request.values(name)]


def go_error_text_of_json(text: str) -> str:
    """What Go's encoding/json says of a text that is no JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as err:
        if err.pos >= len(text):
            return "unexpected end of JSON input"
        char = text[err.pos]
        return f"invalid character {quote_char(char)} looking for beginning of value"
    return "cannot be read as an object"
