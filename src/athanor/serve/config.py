"""Typed configuration: how a frozen dataclass takes its fields from the command line.

Each role has one frozen dataclass (``config_query``, ``config_store``, ``config_sidecar``). A field names the flag
that fills it; a flag with a field works, a flag without one is refused unless it is given its default (``available``).
So the dataclasses are the one list of what works.

    class QueryConfig(RoleConfig):
        timeout_ms: int = flag("query.timeout", milliseconds)
        objstore_config: str = content("objstore.config")

``build(QueryConfig, parsed)`` makes one; ``default_config(QueryConfig, timeout_ms=5)`` makes one for tests.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from athanor.model.errors import OperatorError
from athanor.serve.durations import NS_PER_MS
from athanor.serve.flags import Parsed, Words, evaluate
from athanor.serve.table import load_table

T = TypeVar("T", bound="GlobalConfig")
_ENVIRONMENT_REFERENCE = re.compile(r"\$\(([a-zA-Z_0-9]+)\)")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a field comes from: a flag, its pair with ``-file``, several spellings of one variable (last one wins)."""

    flag: str
    convert: Callable[[Any], Any]
    pair: bool = False
    required: bool = False
    same_as: tuple[str, ...] = ()


def _same(value: Any) -> Any:
    return value


def flag(name: str, convert: Callable[[Any], Any] = _same, *, same_as: tuple[str, ...] = ()) -> Any:
    """A field filled from one flag; ``same_as``: other flags that write the same variable."""
    return field(metadata={"source": Source(name, convert, same_as=same_as)})


def content(name: str, *, required: bool = False) -> Any:
    """A field filled from a file-or-content pair: the text, read and with its environment references replaced."""
    return field(metadata={"source": Source(name, _same, pair=True, required=required)})


def milliseconds(ns: int) -> int:
    """A duration flag as milliseconds."""
    return ns // NS_PER_MS


def comma_labels(values: tuple[str, ...]) -> tuple[str, ...]:
    """Label names given repeatedly or with commas: split, sorted, unique, none empty."""
    return tuple(sorted({name for value in values for name in value.split(",") if name}))


def selector_labels(values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """``name="value"`` pairs, sorted by name."""
    return tuple(sorted(dict(map(_selector_label, values)).items()))


def _selector_label(text: str) -> tuple[str, str]:
    name, equals, quoted = text.partition("=")
    if not equals:
        raise OperatorError(f'unrecognized label "{text}"')
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
        raise OperatorError(f"unsupported format for label {text}")
    if len(quoted) >= 2 and quoted[0] == quoted[-1] == "`" and "`" not in quoted[1:-1]:
        return name, quoted[1:-1]
    if not re.fullmatch(r'"(?:[^"\\\n]|\\[abfnrtv\\"]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4})*"', quoted):
        raise OperatorError("unquote label value: invalid syntax")
    plain = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
    value = re.sub(
        r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))",
        lambda m: plain[m[3]] if m[3] else chr(int(m[1] or m[2], 16)),
        quoted[1:-1],
    )
    return name, value


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalConfig:
    """Flags that every command takes."""

    log_level: str = flag("log.level")
    log_format: str = flag("log.format")
    debug_name: str = flag("debug.name")
    auto_gomemlimit_ratio: float = flag("auto-gomemlimit.ratio")
    """Checked and otherwise unused: its switch is not available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(GlobalConfig):
    """Flags of every role with an HTTP and a gRPC server."""

    http_address: str = flag("http-address")
    http_grace_period_ms: int = flag("http-grace-period", milliseconds)
    http_config_file: str = flag("http.config")
    """File with TLS, users and headers of the HTTP server; "" for none."""
    grpc_address: str = flag("grpc-address")
    grpc_grace_period_ms: int = flag("grpc-grace-period", milliseconds)
    grpc_max_connection_age_ms: int = flag("grpc-server-max-connection-age", milliseconds)


def sources(config: type[GlobalConfig]) -> Iterator[tuple[str, Source]]:
    """(field name, its source) of a configuration class."""
    for item in fields(config):
        source = item.metadata.get("source")
        if source is not None:
            yield item.name, source


def flag_names(config: type[GlobalConfig]) -> frozenset[str]:
    """Every flag that fills a field of the class."""
    names: set[str] = set()
    for _, source in sources(config):
        names.update((source.flag, *source.same_as))
        if source.pair:
            names.add(f"{source.flag}-file")
    return frozenset(names)


def build(config: type[T], parsed: Parsed) -> T:
    """The configuration from the command line; raises OperatorError with the original's texts."""
    values: dict[str, Any] = {}
    for name, source in sources(config):
        if source.pair:
            values[name] = read_pair(parsed, source.flag, required=source.required)
        else:
            spelled = [n for n in parsed.given if n in source.same_as or n == source.flag]
            values[name] = source.convert(parsed.values[spelled[-1] if spelled else source.flag])
    return config(**values)


def default_config(config: type[T], command: str, **changes: Any) -> T:
    """The configuration of a command line without flags, with fields changed; for tests and embedding."""
    parsed = evaluate(Words(command=command), load_table())
    values: dict[str, Any] = {}
    for name, source in sources(config):
        values[name] = "" if source.pair else source.convert(parsed.values[source.flag])
    return config(**{**values, **changes})


def read_pair(parsed: Parsed, name: str, *, required: bool) -> str:
    """The text of a file-or-content pair ``--NAME`` / ``--NAME-file``."""
    path, text = str(parsed.values[f"{name}-file"]), str(parsed.values[name])
    if path and text:
        raise OperatorError(f"both {name}-file and {name} flags set.")
    if path:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as err:
            reason = (err.strerror or str(err)).lower()
            cause = OperatorError(f"open {path}: {reason}")
            raise OperatorError(f"loading file {path} for {name}-file") from cause
    if required and not text:
        raise OperatorError(
            f"flag {name}-file or {name} is required for running this command and content cannot be empty."
        )
    spec = next(f for f in load_table().flags_of(parsed.command) if f.name == name)
    return _ENVIRONMENT_REFERENCE.sub(_environment_value, text) if spec.env_substitution else text


def _environment_value(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if value is None:
        raise OperatorError(f'found reference to unset environment variable "{match[1]}"')
    return value
