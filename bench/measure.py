"""Times, CPU seconds and memory of servers, from outside.

A request is one connection, read with large ``recv`` calls into one reused buffer: the client costs every server the
same, whatever the size of its pieces. Decoding comes after the clock has stopped.
"""

from __future__ import annotations

import gzip
import os
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlencode

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
RECEIVE_BYTES = 1 << 20
RECEIVE_BUFFER_BYTES = 4 << 20
TIMEOUT_S = 120


class AnswerError(Exception):
    """A server answered with something other than 200 and a whole body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: the time until its last byte, the bytes on the wire, the body as text."""

    elapsed_s: float
    n_wire_bytes: int
    body: bytes


_buffer = bytearray(64 << 20)


def get(port: int, path: str, parameters: dict[str, str], *, is_gzip: bool = False) -> Answer:
    """One GET from connect to the end of the body."""
    encoding = "gzip" if is_gzip else "identity"
    request = (
        f"GET {path}?{urlencode(parameters)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Accept-Encoding: {encoding}\r\n\r\n"
    ).encode()
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        connection.sendall(request)
        n_bytes = _read_to_end(connection)
    elapsed_s = time.perf_counter() - start
    return Answer(elapsed_s, n_bytes, _body(bytes(memoryview(_buffer)[:n_bytes])))


def _read_to_end(connection: socket.socket) -> int:
    n_bytes = 0
    while True:
        if len(_buffer) - n_bytes < RECEIVE_BYTES:
            _buffer.extend(bytes(len(_buffer)))
        with memoryview(_buffer) as whole, whole[n_bytes : n_bytes + RECEIVE_BYTES] as free:
            received = connection.recv_into(free)
        if received == 0:
            return n_bytes
        n_bytes += received


def _body(raw: bytes) -> bytes:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if b"chunked" in headers.get(b"transfer-encoding", b""):
        body = _joined(body)
    elif len(body) != int(headers.get(b"content-length", len(body))):
        raise AnswerError(f"body of {len(body)} bytes, announced were {headers[b'content-length'].decode()}")
    if headers.get(b"content-encoding") == b"gzip":
        body = gzip.decompress(body)
    if b" 200 " not in status + b" ":
        raise AnswerError(f"{status.decode(errors='replace')}: {body[:500].decode(errors='replace')}")
    return body


def _joined(chunked: bytes) -> bytes:
    pieces: list[bytes] = []
    at = 0
    while True:
        end = chunked.find(b"\r\n", at)
        if end < 0:
            raise AnswerError(f"the body breaks off after {at} bytes")
        size = int(chunked[at:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(chunked[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, of all its threads."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory now, or with ``VmHWM`` its peak since ``reset_peak``; in 10**6 bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError(f"BUG: no {field} of process {pid}")


def reset_peak(pid: int) -> None:
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as control:
        control.write("5")
