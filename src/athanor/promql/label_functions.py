"""Functions that write one label: label_replace and label_join decide once for each distinct value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import B1, I32
from athanor.model.matchers import RegexError, compile_regex
from athanor.model.tables import StepBlock
from athanor.promql.errors import QueryError
from athanor.promql.function_call import FunctionCall

# Bytes of a label around its name and value: tags and lengths.
LABEL_FRAME_BYTES = 33
Piece = bytes | int


def _is_label_name(name: str) -> bool:
    """Any text that is UTF-8, but not none; other bytes arrive as surrogate escapes."""
    return bool(name) and (name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name))


def label_replace(call: FunctionCall) -> StepBlock:
    """Where the whole source value matches, the destination becomes the filled-in template. Equal series stay apart."""
    destination, template, source_name, expression = call.strings
    regex = _compile(expression)
    if not _is_label_name(destination):
        raise QueryError(f"invalid destination label name in label_replace(): {destination}")
    source = call.vectors[0]
    column = labels.column(source.labels, source_name)
    pieces = compile_template(template, regex.groups, regex.groupindex)
    used = np.bincount(column.codes, minlength=len(column.values)).tolist()
    room = _Room(call, destination)
    results: list[bytes] = []
    codes_of_values = np.full(len(column.values), -1, np.int32)
    for code, value in enumerate(column.values):
        match = regex.fullmatch(value)
        if match is None:
            continue
        parts = [piece if isinstance(piece, bytes) else (match.group(piece) or b"") for piece in pieces]
        room.take(used[code], sum(map(len, parts)))
        codes_of_values[code] = len(results)
        results.append(b"".join(parts))
    codes = codes_of_values[column.codes] if len(source.labels) else np.empty(0, np.int32)
    return _with_label(source, destination, codes, results)


def _compile(expression: str) -> Any:
    """Group names are ASCII in Go and anything in RE2."""
    try:
        regex = compile_regex(f"^(?s:{expression})$")
        names = [_text(name) for name in dict(regex.groupindex)]
    except RegexError:
        names, regex = [expression], None
    if regex is None or not all(map(str.isascii, names)):
        raise QueryError(f"invalid regular expression in label_replace(): {expression}")
    return regex


def label_join(call: FunctionCall) -> StepBlock:
    """The destination becomes the source values with the separator between them. Equal series stay apart."""
    destination, separator, *names = call.strings
    for name in names:
        if not _is_label_name(name):
            raise QueryError(f"invalid source label name in label_join(): {name}")
    if not _is_label_name(destination):
        raise QueryError(f"invalid destination label name in label_join(): {destination}")
    source = call.vectors[0]
    distinct = {}
    for name in dict.fromkeys(names):  # one name can stand in the call any number of times
        call.check()
        distinct[name] = labels.column(source.labels, name)
    columns = [distinct[name] for name in names]
    codes = np.zeros(len(source.labels), np.int64)
    for column in distinct.values():
        # Renumbered after each column, so that the product of two counts of rows never overflows.
        codes = np.unique(codes * max(1, len(column.values)) + column.codes, return_inverse=True)[1].reshape(-1)
    firsts = np.unique(codes, return_index=True)[1]
    used = np.bincount(codes, minlength=firsts.size).tolist()
    room = _Room(call, destination)
    glue = separator.encode("utf-8", "surrogateescape")
    results = []
    for code, row in enumerate(firsts.tolist()):
        parts = [column.values[column.codes[row]] for column in columns]
        room.take(used[code], sum(map(len, parts)) + len(glue) * max(0, len(parts) - 1))
        results.append(glue.join(parts))
    return _with_label(source, destination, codes.astype(np.int32), results)


class _Room:
    """Adds up the bytes by which the label sets grow before anything is written."""

    def __init__(self, call: FunctionCall, destination: str) -> None:
        self._name, self._limit_bytes = call.name, call.label_limit_bytes
        self._each_bytes = LABEL_FRAME_BYTES + len(destination.encode())
        self._bytes = 0

    def take(self, n_rows: int, value_bytes: int) -> None:
        self._bytes += n_rows * (self._each_bytes + value_bytes) + value_bytes
        if self._bytes > self._limit_bytes:
            raise QueryError(
                f"{self._name} would add more than {self._limit_bytes} bytes of labels; "
                "select fewer series or write shorter values"
            )


def _with_label(source: StepBlock, name: str, codes: I32, values: Sequence[bytes]) -> StepBlock:
    table = labels.set_column(source.labels, name, codes, values)
    drop: B1 = source.drop_name
    if name == labels.METRIC_NAME:  # a name that was just written is there to stay
        drop = drop & (codes < 0)
    return StepBlock(source.grid, source.values, source.kind, table, drop, source.histograms)


_NAME = re.compile(r"\w+")  # for text: letters, digits, underscore


def compile_template(template: str, n_groups: int, group_index: Any) -> list[Piece]:
    """Literal bytes and group numbers of Go's Regexp.Expand; groups that do not exist vanish, a lone `$` stays."""
    names = {_text(name): number for name, number in dict(group_index).items()}
    pieces: list[Piece] = []
    literal = ""
    at = 0
    while at < len(template):
        dollar = template.find("$", at)
        if dollar < 0:
            break
        literal += template[at:dollar]
        at = dollar + 1
        if template.startswith("$", at):
            literal += "$"
            at += 1
            continue
        braced = template.startswith("{", at)
        found = _NAME.match(template, at + braced)
        if found is None or (braced and not template.startswith("}", found.end())):
            literal += "$"
            continue
        at = found.end() + braced
        number = _group(found.group(), n_groups, names)
        if number is not None:
            pieces += [literal.encode("utf-8", "surrogateescape"), number]
            literal = ""
    literal += template[at:]
    pieces.append(literal.encode("utf-8", "surrogateescape"))
    return [piece for piece in pieces if piece != b""]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _group(name: str, n_groups: int, names: dict[str, int]) -> int | None:
    """A group by number (no leading zeros) or by name."""
    if name.isascii() and name.isdigit() and (name == "0" or name[0] != "0"):
        return int(name) if len(name) < 10 and int(name) <= n_groups else None
    return names.get(name)
