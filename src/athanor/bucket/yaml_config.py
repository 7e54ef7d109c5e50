"""YAML decoded into frozen dataclasses as Go's yaml.v2 does it, with its error texts.

Decoding is directed by the type of the field: a scalar that goes into a string keeps its raw text (``0123``
stays so), the same scalar into a bool takes the words of YAML 1.1. Line numbers are those that the original reports:
for the sub-tree below ``config:`` they refer to the text that Go re-encodes (keys sorted, one scalar a line).

A field is declared with ``key()``: its YAML name, when it differs from the field's, and a parser for texts such as
durations. Types: str, int, bool, dict[str, str], a nested dataclass, ``Node`` for a sub-tree decoded later.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import yaml

from athanor.model.errors import OperatorError

Node = yaml.nodes.Node
C = TypeVar("C")

TRUE_WORDS = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
FALSE_WORDS = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
NULL_WORDS = frozenset(["", "~", "null", "Null", "NULL"])
INTEGER = re.compile(r"^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[0-9][0-9_]*)$")
FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
ENVIRONMENT_REFERENCE = re.compile(r"\$\(([a-zA-Z_0-9]+)\)")
SHOWN_CHARACTERS = 10  # yaml.v2 cuts a longer scalar to 7 and dots
UINT64_MAX = 2**64 - 1


class ConfigError(OperatorError):
    """The text does not decode; the message is Go's."""


def key(
    name: str | None = None,
    *,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    parse: Callable[[str], Any] | None = None,
    unsigned: bool = False,
) -> Any:
    """Declares a field of a decoded dataclass."""
    metadata = {"yaml": name, "parse": parse, "unsigned": unsigned}
    if default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def expand_environment(text: str, environment: Mapping[str, str]) -> str:
    """``$(NAME)`` replaced by the variable; an unset one is an error, an empty one is fine."""

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environment:
            raise ConfigError(f'found reference to unset environment variable "{name}"')
        return environment[name]

    return ENVIRONMENT_REFERENCE.sub(value_of, text)


def compose(text: str) -> Node | None:
    """The tree of a document; None when it has no content."""
    try:
        node: Node | None = yaml.compose(text, Loader=yaml.CBaseLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"yaml: {_syntax_error(error)}") from error
    except yaml.YAMLError as error:  # characters that YAML does not allow
        raise ConfigError(f"yaml: {error}") from error
    return node


def _syntax_error(error: yaml.MarkedYAMLError) -> str:
    line = 0
    if error.problem_mark is not None and error.problem_mark.line:
        line = error.problem_mark.line + (1 if isinstance(error, yaml.scanner.ScannerError) else 0)
    elif error.context_mark is not None:
        line = error.context_mark.line
    where = f"line {line}: " if line else ""
    return where + (error.problem or "unknown problem parsing YAML content")


def decode(node: Node | None, into: type[C], type_name: str, *, strict: bool, re_encoded: bool = False) -> C:
    """A dataclass from a tree; an absent or null tree gives the defaults.

    type_name: how Go calls the type, for the messages. strict: unknown and repeated keys are errors.
    re_encoded: the lines in messages count in the text that Go would re-encode this tree to.
    """
    decoder = _Decoder(strict, _re_encoded_lines(node) if re_encoded and node is not None else None)
    value = decoder.struct(node, into, type_name)
    if decoder.errors:
        raise ConfigError("yaml: unmarshal errors:\n  " + "\n  ".join(decoder.errors))
    return typing.cast(C, value)


class _Decoder:
    def __init__(self, strict: bool, lines: dict[int, int] | None) -> None:
        self.strict = strict
        self.lines = lines
        self.errors: list[str] = []

    def line(self, node: Node) -> int:
        return self.lines[id(node)] if self.lines is not None else node.start_mark.line + 1

    def struct(self, node: Node | None, into: type[Any], type_name: str) -> Any:
        if node is None or _is_null(node):
            return into()
        if not isinstance(node, yaml.MappingNode):
            self.mismatch(node, type_name)
            return into()
        fields = {field.metadata.get("yaml") or field.name: field for field in dataclasses.fields(into)}
        types = typing.get_type_hints(into)
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            field = fields.get(key_node.value)
            if field is None:
                if self.strict:
                    self.errors.append(
                        f"line {self.line(key_node)}: field {key_node.value} not found in type {type_name}"
                    )
                continue
            if field.name in values and self.strict:
                self.errors.append(
                    f"line {self.line(key_node)}: field {key_node.value} already set in type {type_name}"
                )
                continue
            default = _default_of(field)
            values[field.name] = self.field(value_node, field, types[field.name], default, type_name)
        return into(**values)

    def field(self, node: Node, field: dataclasses.Field[Any], kind: Any, default: Any, type_name: str) -> Any:
        if kind is Any or (isinstance(kind, type) and issubclass(kind, Node)) or Node in typing.get_args(kind):
            return node
        if dataclasses.is_dataclass(kind):
            package = type_name.rpartition(".")[0]
            return self.struct(node, typing.cast("type[Any]", kind), f"{package}.{kind.__name__}")  # type: ignore[union-attr]
        if typing.get_origin(kind) is dict:
            return self.text_map(node)
        if _is_null(node):
            return default
        if not isinstance(node, yaml.ScalarNode):
            self.mismatch(node, _go_type(kind, field))
            return default
        return self.scalar(node, field, kind, default)

    def scalar(self, node: yaml.ScalarNode, field: dataclasses.Field[Any], kind: Any, default: Any) -> Any:
        text: str = node.value
        parse = field.metadata.get("parse")
        if parse is not None:
            try:
                return parse(text)
            except ValueError as error:
                raise ConfigError(str(error)) from error
        if kind is str:
            return text
        if kind is bool:
            if text in TRUE_WORDS:
                return True
            if text in FALSE_WORDS:
                return False
        elif kind is int and not node.style and INTEGER.match(text):
            value = _integer(text)
            low, high = (0, UINT64_MAX) if field.metadata.get("unsigned") else (-(2**63), 2**63 - 1)
            if low <= value <= high:
                return value
        self.mismatch(node, _go_type(kind, field))
        return default

    def text_map(self, node: Node) -> dict[str, str]:
        if _is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.mismatch(node, "map[string]string")
            return {}
        values: dict[str, str] = {}
        for key_node, value_node in node.value:
            if key_node.value in values and self.strict:
                self.errors.append(f'line {self.line(key_node)}: key "{key_node.value}" already set in map')
            elif isinstance(value_node, yaml.ScalarNode):
                values[key_node.value] = "" if _is_null(value_node) else value_node.value
            else:
                self.mismatch(value_node, "string")
        return values

    def mismatch(self, node: Node, go_type: str) -> None:
        self.errors.append(f"line {self.line(node)}: cannot unmarshal {_tag_and_text(node)} into {go_type}")


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _go_type(kind: Any, field: dataclasses.Field[Any]) -> str:
    if kind is int:
        return "uint64" if field.metadata.get("unsigned") else "int"
    return {bool: "bool", str: "string"}.get(kind, "string")


def _is_null(node: Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style and node.value in NULL_WORDS


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    body = digits.lstrip("+-")
    sign = -1 if digits.startswith("-") else 1
    if body.startswith("0") and len(body) > 1 and body[1].isdigit():
        return sign * int(body, 8)
    return sign * int(body, 0)


def _tag_and_text(node: Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "!!map"
    if isinstance(node, yaml.SequenceNode):
        return "!!seq"
    text: str = node.value
    shown = f"{text[:7]}..." if len(text) > SHOWN_CHARACTERS else text
    return f"{_resolved_tag(node)} `{shown}`"


def _resolved_tag(node: Node) -> str:
    text: str = node.value
    if not isinstance(node, yaml.ScalarNode) or node.style:
        return "!!str"
    if text in NULL_WORDS:
        return "!!null"
    if text in TRUE_WORDS or text in FALSE_WORDS:
        return "!!bool"
    if INTEGER.match(text):
        return "!!int"
    return "!!float" if FLOAT.match(text) else "!!str"


def _re_encoded_lines(root: Node) -> dict[int, int]:
    """The line of each node in the text that yaml.v2 would write: keys sorted, one line for each scalar."""
    lines: dict[int, int] = {}
    line = 1

    def walk(node: Node) -> None:
        nonlocal line
        lines[id(node)] = line
        if isinstance(node, yaml.MappingNode) and node.value:
            for key_node, value_node in sorted(node.value, key=lambda pair: str(pair[0].value)):
                lines[id(key_node)] = line
                if isinstance(value_node, yaml.CollectionNode) and value_node.value:
                    line += 1
                    lines[id(value_node)] = line
                walk(value_node)
        elif isinstance(node, yaml.SequenceNode) and node.value:
            for item in node.value:
                walk(item)
        else:
            line += 1

    walk(root)
    return lines
