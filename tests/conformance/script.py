"""Prometheus' PromQL test scripts, read into commands: clear, load, eval.

The grammar is that of the scripts of Prometheus 3.14 (promql/promqltest). A script is read completely before anything
runs; every query in it must parse with all features on. Times are ms since the epoch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from athanor.promql.durations import duration_ns, ms_of_ns
from athanor.promql.features import Features
from athanor.promql.gostrings import unquote
from athanor.promql.parser import parse, parse_metric
from athanor.promql.tokens import number_value
from tests.conformance.values import Value, expand_starts, expand_values


class ScriptError(Exception):
    """A script that breaks the grammar: file, line, reason."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values at i * gap (load) or first + i * step (expected); starts_ms: absolute, 0 unknown, None no `@st` line."""

    labels: dict[str, str]
    values: list[Value]
    starts_ms: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Clear:
    line: int


@dataclass(frozen=True, slots=True)
class Load:
    """with_nhcb: custom-bucket histograms are derived from the classic series of this block as well."""

    line: int
    gap_ms: int
    series: tuple[Series, ...]
    with_nhcb: bool = False


Match: TypeAlias = Literal["any", "msg", "regex"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """An annotation or failure; text belongs to msg (equal) and regex (found anywhere)."""

    kind: Literal["fail", "warn", "no_warn", "info", "no_info"]
    match: Match = "any"
    text: str = ""

    def met_by(self, text: str) -> bool:
        if self.match == "msg":
            return text == self.text
        return self.match == "any" or re.search(self.text, text) is not None


@dataclass(frozen=True, slots=True)
class Grid:
    first_ms: int
    last_ms: int
    step_ms: int


@dataclass(frozen=True, slots=True)
class Eval:
    """An evaluation and what it must give.

    grid: a range query; None: an instant one at at_ms. range_vector: the instant result is a range vector on this grid.
    scalar, string: None unless expected. fail and annotations are empty when the block says nothing about them.
    """

    line: int
    query: str
    at_ms: int
    grid: Grid | None
    series: tuple[Series, ...] = ()
    scalar: float | None = None
    string: str | None = None
    range_vector: Grid | None = None
    ordered: bool = False
    fail: Expectation | None = None
    annotations: tuple[Expectation, ...] = ()


Command: TypeAlias = Clear | Load | Eval

_LOAD = re.compile(r"(load|load_with_nhcb)\s+(\S+)\Z")
_INSTANT = re.compile(r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(\S+)\s+)?(.+)\Z")
_RANGE = re.compile(r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)\Z")
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?\Z")
_EXPECT_STRING = re.compile(r"expect\s+string\s+(.+)\Z")
_EXPECT_RANGE = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\Z")
_OLD_FAIL = re.compile(r"expected_fail_(message|regexp)\s+(.+)\Z")
_LABELS_END = re.compile(r"""\{(?:[^"'`}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\}""")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def conformance_dir() -> Path:
    """Where the scripts lie: ATHANOR_CONFORMANCE, or beside the repository."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"
    return Path(os.environ.get("ATHANOR_CONFORMANCE", default)) / "promql"


def script_files() -> list[Path]:
    return sorted(conformance_dir().glob("*.test"))


def read_script(path: Path) -> list[Command]:
    return parse_script(path.read_text(encoding="utf-8"), path.name)


def parse_script(text: str, name: str = "script") -> list[Command]:
    """All commands, in order; raises ScriptError."""
    lines = [line.strip() for line in text.split("\n")]
    lines = ["" if line.startswith("#") else line for line in lines]
    commands: list[Command] = []
    at = 0
    while at < len(lines):
        if not lines[at]:
            at += 1
            continue
        end = at
        while end < len(lines) and lines[end]:
            end += 1
        word = lines[at].split()[0].lower()
        try:
            if word == "clear":
                commands.append(Clear(at + 1))
                at += 1
            elif word.startswith("load"):
                commands.append(_load(at + 1, lines[at:end]))
                at = end
            elif word.startswith("eval"):
                command, n_used = _eval(at + 1, lines[at:end])
                commands.append(command)
                at += n_used
            else:
                raise ValueError(f"invalid command {lines[at]!r}")
        except Exception as error:
            raise ScriptError(f"{name}:{at + 1}: {error}") from error
    return commands


def time_ms(text: str) -> int:
    return ms_of_ns(duration_ns(text))


def split_series(line: str) -> tuple[str, str]:
    """The metric and what follows it."""
    name = _NAME.match(line)
    end = name.end() if name else 0
    labels = _LABELS_END.match(line, end)
    if labels:
        end = labels.end()
    if end == 0:
        raise ValueError(f"no series in line {line!r}")
    return line[:end], line[end:]


def _load(line: int, block: Sequence[str]) -> Load:
    head = _LOAD.match(block[0])
    if head is None:
        raise ValueError(f"invalid load command {block[0]!r}")
    gap_ms = time_ms(head[2])
    series: dict[str, Series] = {}
    starts: tuple[str, list[int | None]] | None = None
    for text in block[1:]:
        metric, rest = split_series(text)
        labels = parse_metric(metric)
        key = repr(labels)
        if rest.startswith("@st"):
            starts = (key, expand_starts(rest[3:]))
            continue
        values = expand_values(rest)
        starts_ms = None
        if starts is not None:
            if starts[0] != key or len(starts[1]) != len(values):
                raise ValueError(f"start timestamps do not belong to series {metric}")
            starts_ms = [0 if start is None else i * gap_ms + start for i, start in enumerate(starts[1])]
            starts = None
        series[key] = Series(labels, values, starts_ms)
    return Load(line, gap_ms, tuple(series.values()), head[1] == "load_with_nhcb")


def _eval(line: int, block: Sequence[str]) -> tuple[Eval, int]:
    flag, query, at_ms, grid = _eval_head(block[0])
    parse(query, Features.all())
    expected = _Expected(flag, grid is not None)
    n_used = 1
    for text in block[1:]:
        n_used += 1
        if expected.take(text):
            break
    expected.check()
    command = Eval(
        line,
        query,
        at_ms,
        grid,
        tuple(expected.series.values()),
        expected.scalar,
        expected.string,
        expected.range_vector,
        expected.ordered,
        expected.fail,
        tuple(expected.annotations),
    )
    return command, n_used


def _eval_head(text: str) -> tuple[str | None, str, int, Grid | None]:
    head = _RANGE.match(text)
    if head is not None:
        grid = Grid(time_ms(head[2]), time_ms(head[3]), time_ms(head[4]))
        if grid.last_ms < grid.first_ms:
            raise ValueError(f"end before start: {text!r}")
        return head[1], head[5], grid.last_ms, grid
    head = _INSTANT.match(text)
    if head is None:
        raise ValueError(f"invalid eval command {text!r}")
    return head[1], head[3], time_ms(head[2] or "0"), None


class _Expected:
    """What the lines of one eval block ask for."""

    def __init__(self, flag: str | None, over_range: bool) -> None:
        self.over_range = over_range
        self.series: dict[str, Series] = {}
        self.scalar: float | None = None
        self.string: str | None = None
        self.range_vector: Grid | None = None
        self.ordered = flag == "ordered"
        self.fail = Expectation("fail") if flag == "fail" else None
        self.annotations: list[Expectation] = []
        if flag == "warn" or flag == "info":
            self.annotations.append(Expectation(flag))

    def take(self, text: str) -> bool:
        """Reads one line; True when it ends the block."""
        if text.startswith("expect ") or text.startswith("expect\t"):
            self.expect(text)
            return False
        old = _OLD_FAIL.match(text)
        if old is not None:
            self.fail = Expectation("fail", "msg" if old[1] == "message" else "regex", old[2])
            return True
        try:
            self.scalar = number_value(text[1:] if text[0] in "+-" else text) * (-1 if text[0] == "-" else 1)
        except ValueError:
            metric, rest = split_series(text)
            labels = parse_metric(metric)
            values = expand_values(rest)
            if not self.over_range and self.range_vector is None and len(values) != 1:
                raise ValueError(f"an instant vector has one value per series: {text!r}") from None
            self.series[repr(labels)] = Series(labels, values)
            return False
        return True

    def expect(self, text: str) -> None:
        match = _EXPECT_STRING.match(text)
        if match is not None:
            self.string = unquote(match[1].encode())
            return
        match = _EXPECT_RANGE.match(text)
        if match is not None:
            self.range_vector = Grid(time_ms(match[1]), time_ms(match[2]), time_ms(match[3]))
            return
        match = _EXPECT.match(text)
        if match is None:
            raise ValueError(f"invalid expect statement {text!r}")
        kind, how, detail = match.groups()
        if kind == "ordered":
            self.ordered = True
            return
        expectation = Expectation(kind, how or "any", (detail or "").strip())
        if kind != "fail":
            self.annotations.append(expectation)
        elif self.fail is not None:
            raise ValueError("expect fail may occur only once")
        else:
            self.fail = expectation

    def check(self) -> None:
        kinds = {annotation.kind for annotation in self.annotations}
        if {"warn", "no_warn"} <= kinds or {"info", "no_info"} <= kinds:
            raise ValueError("expected and unexpected annotations of one kind")
        if self.ordered and self.over_range:
            raise ValueError("range queries have no order to expect")
