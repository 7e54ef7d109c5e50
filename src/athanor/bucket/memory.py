"""A bucket in memory, for tests and short-lived processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from athanor.bucket.contract import ListedObject, ObjectAttributes, ObjectNotFound, as_directory


class MemoryBucket:
    """Objects are values of a dictionary."""

    def __init__(self, name: str = "inmem") -> None:
        self.name = name
        self.is_remote = False
        self._objects: dict[str, tuple[bytes, ObjectAttributes]] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> memoryview:
        return memoryview(self._object(name)[0])

    def get_range(self, name: str, at: int, length: int) -> memoryview:
        return memoryview(self._object(name)[0])[at : at + length]

    def get_ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        return [self.get_range(name, at, length) for at, length in ranges]

    def exists(self, name: str) -> bool:
        return name in self._objects

    def attributes(self, name: str) -> ObjectAttributes:
        return self._object(name)[1]

    def iter(self, directory: str = "", *, recursive: bool = False) -> Iterator[ListedObject]:
        prefix = as_directory(directory)
        with self._lock:
            found = [(name, self._objects[name][1]) for name in sorted(self._objects) if name.startswith(prefix)]
        seen = ""
        for name, attributes in found:
            child, slash, _ = name[len(prefix) :].partition("/")
            if recursive or not slash:
                yield ListedObject(name, attributes.size_bytes, attributes.last_modified_ms)
            elif child != seen:
                seen = child
                yield ListedObject(f"{prefix}{child}/")

    def upload(self, name: str, source: bytes | memoryview | Path) -> None:
        content = source.read_bytes() if isinstance(source, Path) else bytes(source)
        with self._lock:
            self._objects[name] = (content, ObjectAttributes(len(content), time.time_ns() // 1_000_000))

    def delete(self, name: str) -> None:
        with self._lock:
            self._objects.pop(name, None)

    def close(self) -> None:
        """The objects live as long as the bucket."""

    def _object(self, name: str) -> tuple[bytes, ObjectAttributes]:
        held = self._objects.get(name)
        if held is None:
            raise ObjectNotFound(self.name, name)
        return held
