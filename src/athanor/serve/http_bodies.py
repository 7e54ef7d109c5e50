"""Bodies of answers: pulled piece by piece in a worker thread, compressed where the client asked for it."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator

from athanor.serve.http_types import HttpReply

GZIP_FROM_BYTES = 1024  # smaller API answers go out plain (klauspost gzhttp's default, as Thanos uses it)
GZIP_LEVEL = 1
_GZIP_WINDOW = 31  # zlib: 15 bits of window, 16 for a gzip header


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


def gzip_pieces(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes as one gzip member."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for piece in pieces:
        packed = packer.compress(piece)
        if packed:
            yield packed
    yield packer.flush()


class Body:
    """What is left to send: whole (``whole`` holds it) or in pieces."""

    __slots__ = ("_lock", "compressed", "pieces", "whole")

    def __init__(self, reply: HttpReply, *, gzip: bool) -> None:
        """Runs in a worker thread: a whole body is compressed here, a body of pieces yields its first one here."""
        self._lock = threading.Lock()  # a client may leave while another thread makes the next piece
        self.compressed = False
        self.pieces: Iterator[bytes] | None = None
        if isinstance(reply.body, bytes):
            self.whole = reply.body
            if gzip and len(self.whole) >= GZIP_FROM_BYTES:
                self.compressed = True
                self.whole = b"".join(gzip_pieces(iter((self.whole,))))
            return
        source = iter(reply.body)
        first, second = next(source, b""), next(source, None)
        if second is None and len(first) < GZIP_FROM_BYTES:
            self.whole = first
            return
        self.whole = b""
        known = iter((first,) if second is None else (first, second))
        pieces = _chain(known, source)
        self.compressed = gzip
        self.pieces = gzip_pieces(pieces) if gzip else pieces

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
