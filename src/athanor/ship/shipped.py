"""``thanos.shipper.json``: which local blocks the bucket already has.

    {"version": 1, "uploaded": ["<ULID>", ...] or null}      TAB-indented, with a newline at the end

It only saves requests: what it does not list is looked up in the bucket. Prometheus itself reads ``uploaded`` where
it is told to delay its compaction until blocks are shipped.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from athanor.model.errors import DataError

VERSION = 1


@dataclass(frozen=True, slots=True)
class ShippedBlocks:
    """The blocks' ULIDs, in the order of their times."""

    uploaded: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> ShippedBlocks:
        """Raises FileNotFoundError, or DataError with the original's texts."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DataError(f"failed to read {path}: {error}") from error
        try:
            decoded = json.loads(content)
            version, uploaded = decoded.get("version", 0), decoded.get("uploaded") or []
            known = tuple(str(ulid) for ulid in uploaded)
        except (ValueError, AttributeError, TypeError) as error:
            shown = content.decode("utf-8", "replace")
            raise DataError(f'failed to parse {path} as JSON: "{shown}": {error}') from error
        if version != VERSION:
            raise DataError(f"unexpected meta file version {version}")
        return cls(known)

    def write(self, path: Path) -> None:
        encoded = {"version": VERSION, "uploaded": list(self.uploaded) or None}
        replace_file(path, (json.dumps(encoded, indent="\t") + "\n").encode())


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file so that a crash leaves the old or the new content: temporary name, fsync, rename, fsync."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
