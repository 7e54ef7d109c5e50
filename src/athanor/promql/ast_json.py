"""Tree -> the JSON of `parse_query`, keys in alphabetical order (prometheus web/api/v1/translate_ast.go)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from athanor.model.matchers import Matcher
from athanor.promql.ast import (
    Aggregation,
    Binary,
    Call,
    DurationExpr,
    DurationNode,
    Matching,
    MatrixSelector,
    Node,
    NumberLiteral,
    Paren,
    StepInvariant,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from athanor.promql.floats import json_number, plain

_Piece: TypeAlias = "str | Node | _InDuration"
_ESCAPED = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


class _InDuration:
    """An operand of duration arithmetic, whose literals also tell whether they were durations."""

    __slots__ = ("node",)

    def __init__(self, node: DurationNode) -> None:
        self.node = node


def ast_json(root: Node) -> str:
    """The whole tree as one JSON text; survives any depth."""
    out: list[str] = []
    stack: list[_Piece] = [root]
    while stack:
        piece = stack.pop()
        if isinstance(piece, str):
            out.append(piece)
        elif isinstance(piece, _InDuration):
            stack.extend(reversed(_duration(piece.node)))
        else:
            stack.extend(reversed(_pieces(piece)))
    return "".join(out)


def json_string(value: str) -> str:
    """A string as Go's encoding/json writes it."""
    return '"' + _ESCAPED.sub(_escape, value) + '"'


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":
        return "\\ufffd"
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _strings(values: Iterable[str]) -> str:
    return "[" + ",".join(map(json_string, values)) + "]"


def _optional(node: DurationNode | None) -> _Piece:
    return "null" if node is None else _InDuration(node)


def _duration(node: DurationNode) -> list[_Piece]:
    if isinstance(node, NumberLiteral):
        return [f'{{"duration":{_boolean(node.duration)},"type":"numberLiteral","val":"{plain(node.value)}"}}']
    tail = f',"type":"durationExpr","wrapped":{_boolean(node.wrapped)}}}'
    return ['{"lhs":', _optional(node.lhs), f',"op":"{node.op}","rhs":', _optional(node.rhs), tail]


def _time(node: VectorSelector | Subquery) -> tuple[str, str]:
    place = "null" if node.start_or_end is None else f'"{node.start_or_end}"'
    return place, "null" if node.timestamp_ms is None else str(node.timestamp_ms)


def _matchers(matchers: Sequence[Matcher]) -> str:
    items = (
        f'{{"name":{json_string(m.name)},"type":{json_string(m.type.value)},"value":{json_string(m.value)}}}'
        for m in matchers
    )
    return "[" + ",".join(items) + "]"


def _fill(value: float | None) -> str:
    return "null" if value is None or not math.isfinite(value) else json_number(value)


def _matching(matching: Matching | None) -> str:
    if matching is None:
        return "null"
    fills = f'{{"lhs":{_fill(matching.fill_lhs)},"rhs":{_fill(matching.fill_rhs)}}}'
    return (
        f'{{"card":"{matching.card}","fillValues":{fills},"include":{_strings(matching.include)},'
        f'"labels":{_strings(matching.labels)},"on":{_boolean(matching.on)}}}'
    )


def _selector(node: VectorSelector, window: list[_Piece], kind: str) -> list[_Piece]:
    place, timestamp = _time(node)
    head = (
        f'{{"anchored":{_boolean(node.anchored)},"matchers":{_matchers(node.matchers)},"name":{json_string(node.name)}'
    )
    tail = f',"smoothed":{_boolean(node.smoothed)},"startOrEnd":{place},"timestamp":{timestamp},"type":"{kind}"}}'
    return [f'{head},"offset":{node.offset_ms},"offsetExpr":', _optional(node.offset_expr), *window, tail]


def _pieces(node: Node) -> list[_Piece]:
    match node:
        case NumberLiteral():
            return [f'{{"type":"numberLiteral","val":"{plain(node.value)}"}}']
        case StringLiteral():
            return [f'{{"type":"stringLiteral","val":{json_string(node.value)}}}']
        case VectorSelector():
            return _selector(node, [], "vectorSelector")
        case MatrixSelector():
            window: list[_Piece] = [f',"range":{node.range_ms},"rangeExpr":', _optional(node.range_expr)]
            return _selector(node.selector, window, "matrixSelector")
        case Subquery():
            place, timestamp = _time(node)
            return [
                *('{"expr":', node.expr),
                *(f',"offset":{node.offset_ms},"offsetExpr":', _optional(node.offset_expr)),
                *(f',"range":{node.range_ms},"rangeExpr":', _optional(node.range_expr)),
                *(f',"startOrEnd":{place},"step":{node.step_ms},"stepExpr":', _optional(node.step_expr)),
                f',"timestamp":{timestamp},"type":"subquery"}}',
            ]
        case Call():
            return _call(node)
        case Aggregation():
            grouping = f',"grouping":{_strings(node.grouping)},"op":"{node.op}","param":'
            parameter: _Piece = "null" if node.parameter is None else node.parameter
            return [
                '{"expr":',
                node.expr,
                grouping,
                parameter,
                f',"type":"aggregation","without":{_boolean(node.without)}}}',
            ]
        case Binary():
            head = f'{{"bool":{_boolean(node.return_bool)},"lhs":'
            middle = f',"matching":{_matching(node.matching)},"op":{json_string(node.op)},"rhs":'
            return [head, node.lhs, middle, node.rhs, ',"type":"binaryExpr"}']
        case Unary():
            return ['{"expr":', node.expr, f',"op":"{node.op}","type":"unaryExpr"}}']
        case Paren():
            return ['{"expr":', node.expr, ',"type":"parenExpr"}']
        case StepInvariant():
            return [node.expr]
        case DurationExpr():
            return _duration(node)


def _call(node: Call) -> list[_Piece]:
    function = node.function
    out: list[_Piece] = ['{"args":[']
    for i, arg in enumerate(node.args):
        if i:
            out.append(",")
        out.append(arg)
    signature = (
        f'"argTypes":{_strings(function.arg_types)},"name":"{function.name}",'
        f'"returnType":"{function.return_type}","variadic":{function.variadic}'
    )
    out.append(f'],"func":{{{signature}}},"type":"call"}}')
    return out
