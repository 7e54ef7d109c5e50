"""Log lines for systemd's journal: its native protocol, one datagram for each event.

A field is ``NAME=value\\n``; one with a line break in its value is ``NAME\\n``, the length as 8 bytes little-endian,
the value, ``\\n``.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from athanor.model.errors import OperatorError
from athanor.model.log import Fields, plain_text

SOCKET = Path("/run/systemd/journal/socket")
PRIORITIES = {"error": "3", "warn": "4", "info": "6", "debug": "7"}


def _text(value: object) -> str:
    return "null" if value is None else plain_text(value)


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" in data:
        return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def format_journal(fields: Fields) -> str:
    """One datagram, as latin-1 text so that it passes through the logger's writer unchanged."""
    record = dict(fields)
    message = _text(record["msg"]) if "msg" in record else _text(record.get("err", "(no message)"))
    parts = [_field("MESSAGE", message), _field("PRIORITY", PRIORITIES.get(str(record.get("level")), "6"))]
    for name, value in record.items():
        if name not in ("msg", "level"):
            parts.append(_field("THANOS_" + re.sub(r"[^A-Z0-9]", "_", name.upper()), _text(value)))
    return b"".join(parts).decode("latin-1")


def journal_writer() -> Callable[[str], None]:
    """A writer of such datagrams; raises OperatorError where there is no journal."""
    if not SOCKET.is_socket():
        raise OperatorError("journald log format requested but systemd journal is not available")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    connection.connect(str(SOCKET))
    return lambda datagram: connection.sendall(datagram.encode("latin-1"))
