"""Bodies as they come over the wire, and what the kernel says about a process."""

from __future__ import annotations

import gzip
import os
import socket
import threading

import pytest

from bench.measure import AnswerError, cpu_s, get, rss_mb


def answer_once(raw: bytes) -> int:
    """A server that gives these bytes to its first client. Returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(65_536)
        connection.sendall(raw)
        connection.close()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def test_chunked_bodies_are_joined():
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\nA;x=y\r\npedia\r\n in\r\n0\r\n\r\n"
    answer = get(answer_once(raw), "/", {})
    assert answer.body == b"wikipedia\r\n in"
    assert answer.n_wire_bytes == len(raw)


def test_gzip_bodies_are_unpacked_after_the_clock():
    packed = gzip.compress(b"hello" * 100)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    answer = get(answer_once(head + packed), "/", {}, is_gzip=True)
    assert answer.body == b"hello" * 100


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n",
        b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_half_an_answer_is_none(raw):
    with pytest.raises(AnswerError):
        get(answer_once(raw), "/", {})


def test_a_process_has_used_time_and_memory():
    assert cpu_s(os.getpid()) > 0
    assert 5 < rss_mb(os.getpid()) <= rss_mb(os.getpid(), "VmHWM")
