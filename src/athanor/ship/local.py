"""Blocks in a TSDB directory: finding them, judging whether they are complete, putting them aside for upload."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from athanor.block.meta import META_FILE, BlockMeta
from athanor.model.errors import DataError

ULID_CHARACTERS = 26
INDEX_FILE, CHUNKS_DIRECTORY = "index", "chunks"
INDEX_MAGIC = bytes.fromhex("baaad700")  # prometheus tsdb/docs/format/index.md
SEGMENT_MAGIC = bytes.fromhex("85bd40dd")  # prometheus tsdb/docs/format/chunks.md
INDEX_TOC_BYTES = 52
STAGING_MODE = 0o750


@dataclass(frozen=True, slots=True)
class LocalBlock:
    """A block directory with its readable meta.json."""

    directory: Path
    meta: BlockMeta


def is_block_name(name: str) -> bool:
    """compat: 26 characters whose first is at most 7; the others are not checked (oklog/ulid Parse)."""
    return len(name) == ULID_CHARACTERS and name[0] <= "7"


def block_directories(data_dir: Path) -> list[Path]:
    """Directories named by a ULID, in the order of their names. Raises OSError when the directory is unreadable."""
    with os.scandir(data_dir) as found:
        return sorted(Path(entry.path) for entry in found if is_block_name(entry.name) and entry.is_dir())


def read_block(directory: Path) -> LocalBlock:
    """Raises DataError when its meta.json is missing or broken."""
    path = directory / META_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"block {directory.name}: read {path}: {error.strerror}; delete the block's directory"
        ) from error
    return LocalBlock(directory, BlockMeta.from_json(content, str(path)))


def segment_files(directory: Path) -> list[Path]:
    """The files of ``chunks/``, sorted; none when the directory is missing."""
    try:
        return sorted(path for path in (directory / CHUNKS_DIRECTORY).iterdir() if path.is_file())
    except OSError:
        return []


def missing_parts(block: LocalBlock) -> list[str]:
    """What keeps a block from being complete; empty when nothing does.

    An index with its first bytes and room for its table of contents; chunk segments numbered from 1 without a gap, each
    with its first bytes, at least one where there are chunks; every file that meta.json lists, in its size.
    """
    problems: list[str] = []
    if block.meta.ulid != block.directory.name:
        problems.append(f"meta.json names block {block.meta.ulid}")
    index = block.directory / INDEX_FILE
    if (size := _size_of(index)) is None or size < INDEX_TOC_BYTES or _first_bytes(index) != INDEX_MAGIC:
        problems.append("index is missing or cut")
    segments = segment_files(block.directory)
    if not segments and block.meta.stats.n_chunks:
        problems.append("chunks are missing")
    for number, path in enumerate(segments, 1):
        if path.name != f"{number:06d}":
            problems.append(f"chunks/{number:06d} is missing")
            break
        if _first_bytes(path) != SEGMENT_MAGIC:
            problems.append(f"chunks/{path.name} is cut")
    for listed in block.meta.thanos.files if block.meta.thanos else ():
        size = _size_of(block.directory / listed.rel_path)
        if size is None or (listed.size_bytes and size != listed.size_bytes):
            problems.append(f"{listed.rel_path} has {size or 0} bytes, meta.json says {listed.size_bytes}")
    return problems


def stage(block: LocalBlock, staging: Path) -> None:
    """Hard links of the block's files in a fresh directory, so that Prometheus may delete the block meanwhile."""
    shutil.rmtree(staging, ignore_errors=True)
    staging.parent.mkdir(mode=STAGING_MODE, parents=True, exist_ok=True)
    (staging / CHUNKS_DIRECTORY).mkdir(mode=STAGING_MODE, parents=True)
    for path in segment_files(block.directory):
        os.link(path, staging / CHUNKS_DIRECTORY / path.name)
    for name in (META_FILE, INDEX_FILE):
        os.link(block.directory / name, staging / name)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(4)
    except OSError:
        return b""
