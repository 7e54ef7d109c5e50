"""What this package needs of the bytes of a file: an object in a bucket, a local file, bytes in a test."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Protocol

from athanor.model.arrays import U8, as_bytes


class ByteSource(Protocol):
    """A file of known size that is read in ranges."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, at: int, length: int) -> bytes | memoryview:
        """Exactly ``length`` bytes from position ``at``; the caller stays within the file."""
        ...


class MemorySource:
    """Bytes at hand."""

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = memoryview(content)

    @property
    def size_bytes(self) -> int:
        return len(self._content)

    def read(self, at: int, length: int) -> memoryview:
        return self._content[at : at + length]


def map_file(path: Path) -> U8:
    """A file as a read-only array; pages are read when touched. The mapping lives as long as the array."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return as_bytes(b"")
        return as_bytes(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
