"""Log events: one line per change of state, in logfmt or JSON, with the field order that Thanos has.

    ts=2026-01-02T03:04:05.6Z caller=run_store.py:41 level=info component=store msg="starting store node"

Order: ts, caller, name (when set), level, context fields (outermost first), msg, the call's own fields.
JSON lines have sorted keys. The writer is passed in; a line is written with one call, so threads never mix lines.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

LEVELS = {"debug": 0, "info": 1, "warn": 2, "error": 3}
Fields = list[tuple[str, Any]]
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def timestamp(ns: int) -> str:
    """UTC, RFC 3339, up to nine fractional digits without trailing zeros."""
    seconds, rest = divmod(ns, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{text}{fraction}Z"


def logfmt_value(value: Any) -> str:
    """One value: bare where that is unambiguous, else double-quoted."""
    if value is None:
        return "null"
    if isinstance(value, (list, tuple, dict, set)):
        return '"unsupported value type"'
    text = plain_text(value)
    if text == "null" and isinstance(value, str):
        return '"null"'
    if all(c > " " and c not in '="\x7f' and not "\ud800" <= c <= "\udfff" for c in text):
        return text
    return '"' + "".join(_escape(c) for c in text) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if "\ud800" <= char <= "\udfff":
        return "\\ufffd"
    return f"\\u{ord(char):04x}" if char < " " or char == "\x7f" else char


def plain_text(value: Any) -> str:
    """The text of a value, as Go prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.9f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, BaseException):
        return str(value) or type(value).__name__
    return str(value)


def _key(name: str) -> str:
    return "".join(c for c in name if c > " " and c not in '="\x7f')


def format_logfmt(fields: Fields) -> str:
    """One line of ``key=value`` words, in the order given."""
    return " ".join(f"{_key(name)}={logfmt_value(value) if value != '' else ''}" for name, value in fields) + "\n"


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else plain_text(value)
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    return plain_text(value)


def format_json(fields: Fields) -> str:
    """One object with sorted keys; of two equal keys the last wins."""
    record = {name: _json_value(value) for name, value in fields}
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Fields], str]] = {"logfmt": format_logfmt, "json": format_json}


def write_stderr(line: str) -> None:
    """The default writer."""
    sys.stderr.write(line)
    sys.stderr.flush()


class _Sink:
    __slots__ = ("emit", "format", "lock", "name", "now_ns", "threshold")

    def __init__(
        self,
        emit: Callable[[str], None],
        fmt: Callable[[Fields], str],
        threshold: int,
        name: str,
        now_ns: Callable[[], int],
    ) -> None:
        self.emit, self.format, self.threshold, self.name, self.now_ns = emit, fmt, threshold, name, now_ns
        self.lock = threading.Lock()


class Logger:
    """Writes events; ``bind`` makes a logger with more context. Cheap below the level: one comparison."""

    __slots__ = ("_context", "_sink")

    def __init__(
        self,
        *,
        level: str = "info",
        fmt: Callable[[Fields], str] = format_logfmt,
        emit: Callable[[str], None] = write_stderr,
        name: str = "",
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._sink = _Sink(emit, fmt, LEVELS[level], name, now_ns)
        self._context: Fields = []

    def bind(self, **context: Any) -> Logger:
        """A logger whose lines carry these fields after those of this one."""
        child = Logger.__new__(Logger)
        child._sink = self._sink
        child._context = [*self._context, *context.items()]
        return child

    def debug(self, msg: str | None = None, **fields: Any) -> None:
        """Everything that only someone who looks for a fault wants."""
        self._log("debug", msg, fields)

    def info(self, msg: str | None = None, **fields: Any) -> None:
        """Life cycle."""
        self._log("info", msg, fields)

    def warn(self, msg: str | None = None, **fields: Any) -> None:
        """It healed itself."""
        self._log("warn", msg, fields)

    def error(self, msg: str | None = None, **fields: Any) -> None:
        """Someone must act."""
        self._log("error", msg, fields)

    def enabled(self, level: str) -> bool:
        """Whether lines of this level are written."""
        return LEVELS[level] >= self._sink.threshold

    def _log(self, level: str, msg: str | None, fields: dict[str, Any]) -> None:
        sink = self._sink
        if LEVELS[level] < sink.threshold:
            return
        frame = sys._getframe(2)
        caller = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        line: Fields = [("ts", timestamp(sink.now_ns())), ("caller", caller)]
        if sink.name:
            line.append(("name", sink.name))
        line.append(("level", level))
        line += self._context
        if msg is not None:
            line.append(("msg", msg))
        line += fields.items()
        text = sink.format(line)
        with sink.lock:
            sink.emit(text)


def silent() -> Logger:
    """A logger that writes nothing: for tests and libraries."""
    return Logger(level="error", emit=lambda line: None)
