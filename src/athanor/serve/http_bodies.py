"""Bodies of answers: pulled piece by piece in a worker thread, compressed where the client asked for it."""

from __future__ import annotations

import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future

from athanor.serve.http_types import HttpReply

GZIP_FROM_BYTES = 1024  # smaller API answers go out plain (klauspost gzhttp's default, as Thanos uses it)
GZIP_LEVEL = 1
GZIP_PIECES_AHEAD = 4
_GZIP_WINDOW = 31  # zlib: 15 bits of window, 16 for a gzip header
_RAW_WINDOW = -15  # zlib: 15 bits of window, no header
_GZIP_HEADER = bytes.fromhex("1f8b08000000000004ff")  # deflate, no name, no time, fastest, unknown system
_LAST_BLOCK = b"\x03\x00"


def accepts_gzip(header: str) -> bool:
    """Whether Accept-Encoding names gzip with a weight above zero; a star does not count."""
    for item in header.lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() == "gzip":
            q = weight.strip().removeprefix("q=")
            try:
                return not q or float(q) > 0
            except ValueError:
                return False
    return False


def gzip_whole(data: bytes) -> bytes:
    """The data as one gzip member."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(data) + packer.flush()


def gzip_pieces(pieces: Iterator[bytes], workers: Executor) -> Iterator[bytes]:
    """The same bytes as one gzip member, pieces deflated side by side.

    Each piece becomes a run of deflate blocks that ends at a byte boundary (a sync flush), so runs made by different
    threads join into one stream; an empty last block ends it.
    """
    ahead: deque[Future[bytes]] = deque()
    crc = size = 0
    yield _GZIP_HEADER
    try:
        for piece in pieces:
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            ahead.append(workers.submit(_deflate, piece))
            if len(ahead) > GZIP_PIECES_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()
    yield _LAST_BLOCK + struct.pack("<II", crc, size & 0xFFFFFFFF)


def _deflate(piece: bytes) -> bytes:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _RAW_WINDOW)
    return packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)


class Body:
    """What is left to send: whole (``whole`` holds it) or in pieces."""

    __slots__ = ("_lock", "compressed", "pieces", "whole")

    def __init__(self, reply: HttpReply, gzip_workers: Executor | None) -> None:
        """gzip_workers: None leaves the body plain.

        Runs in a worker thread: a whole body is compressed here, a body of pieces yields its first ones here.
        """
        self._lock = threading.Lock()  # a client may leave while another thread makes the next piece
        self.compressed = False
        self.pieces: Iterator[bytes] | None = None
        if isinstance(reply.body, bytes):
            self._hold_whole(reply.body, gzip_workers)
            return
        source = iter(reply.body)
        first, second = next(source, b""), next(source, None)
        if second is None:  # one write instead of three turns of the event loop
            self._hold_whole(first, gzip_workers)
            return
        self.whole = b""
        pieces = _chain(iter((first, second)), source)
        self.compressed = gzip_workers is not None
        self.pieces = pieces if gzip_workers is None else gzip_pieces(pieces, gzip_workers)

    def _hold_whole(self, data: bytes, gzip_workers: Executor | None) -> None:
        self.compressed = gzip_workers is not None and len(data) >= GZIP_FROM_BYTES
        self.whole = gzip_whole(data) if self.compressed else data

    def next_piece(self) -> bytes | None:
        """The next piece, or None at the end. Runs in a worker thread."""
        with self._lock:
            return None if self.pieces is None else next(self.pieces, None)

    def close(self) -> None:
        """Nobody reads the rest: let the generator release what it holds. Runs in a worker thread."""
        with self._lock:
            close = getattr(self.pieces, "close", None)
            if close is not None:
                close()


def _chain(known: Iterator[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from known
        yield from rest
    finally:
        close = getattr(rest, "close", None)
        if close is not None:
            close()
