"""What every object storage offers to the rest of Athanor.

Names are ``/``-separated, relative to the root of the bucket (below the configured prefix), and never begin with ``/``.
All calls are synchronous, may be made from several threads at once, and raise

    ObjectNotFound   the object does not exist (get, get_range, get_ranges, attributes)
    TransientError   network, throttling, a server that restarts: worth another try later
    OperatorError    the storage refuses: credentials, permissions, a bucket that does not exist

A buffer that a read returns is read-only, belongs to the caller and is not copied on the way (``numpy.frombuffer`` on
it is free). Semantics of the originals' providers: objstore objstore.go; where they differ from each other, one rule is
kept here and the conformance suite (tests/unit/bucket/test_contract.py) holds every provider to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from athanor.model.errors import AthanorError


class ObjectNotFound(AthanorError):
    """The bucket has no object of that name."""

    def __init__(self, bucket: str, name: str) -> None:
        super().__init__(f"bucket {bucket}: object {name!r} does not exist")
        self.bucket = bucket
        self.object_name = name


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """Size and age of one object."""

    size_bytes: int
    last_modified_ms: int


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One entry of a listing. A directory ends in ``/`` and carries no size and no time."""

    name: str
    size_bytes: int | None = None
    last_modified_ms: int | None = None

    @property
    def is_directory(self) -> bool:
        return self.name.endswith("/")


class Bucket(Protocol):
    """Object storage."""

    @property
    def name(self) -> str:
        """What logs and the ``bucket`` label of the metrics call it; without the prefix."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether reads wait for a network, so that many at once pay; local ones keep a core busy each."""
        ...

    def get(self, name: str) -> memoryview:
        """The whole object."""
        ...

    def get_range(self, name: str, at: int, length: int) -> memoryview:
        """Bytes ``at`` to ``at + length`` (length > 0); cut at the end of the object, empty beyond it."""
        ...

    def get_ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """One buffer for each (at, length), in their order; read in parallel where that pays; each is a request."""
        ...

    def exists(self, name: str) -> bool:
        """Whether an object has that name; a directory is none."""
        ...

    def attributes(self, name: str) -> ObjectAttributes: ...

    def iter(self, directory: str = "", *, recursive: bool = False) -> Iterator[ListedObject]:
        """Entries below a directory (with or without its trailing ``/``); nothing when it does not exist.

        Without ``recursive``: the direct children, sub-directories once. With it: all objects, no directories. Names
        are full names, not relative to the directory. The order is the provider's: do not rely on it.
        """
        ...

    def upload(self, name: str, source: bytes | memoryview | Path) -> None:
        """Writes or overwrites an object; readers see the old one or the new one, never a part."""
        ...

    def delete(self, name: str) -> None:
        """Removes an object; one that does not exist is no error."""
        ...

    def close(self) -> None: ...


def as_directory(directory: str) -> str:
    """A directory's name as the prefix of its children: empty, or with exactly one ``/`` at its end."""
    trimmed = directory.rstrip("/")
    return f"{trimmed}/" if trimmed else ""
