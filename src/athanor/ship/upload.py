"""One block directory to the bucket (thanos pkg/block/block.go, Upload).

Order: the chunk segments, the index, and ``meta.json`` last: its presence is the commit. Nothing is cleaned up on
failure; leftovers without ``meta.json`` are a partial block, which the compactor removes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from athanor.block.meta import META_FILE, BlockFile, BlockMeta, ThanosMeta
from athanor.bucket import Bucket
from athanor.model.errors import OperatorError
from athanor.model.log import timestamp
from athanor.ship.local import CHUNKS_DIRECTORY, INDEX_FILE, is_block_name, segment_files


def upload_block(
    bucket: Bucket,
    directory: Path,
    meta: BlockMeta,
    *,
    with_hashes: bool = False,
    concurrency: int = 1,
    now_ns: Callable[[], int] = time.time_ns,
) -> BlockMeta:
    """Uploads a block and returns the meta that the bucket now has: with its files and the time of the upload.

    directory is named by the block's ULID; meta is what its meta.json is to say, with external labels. concurrency:
    segments uploaded at once; 0 means 1.
    """
    if not directory.is_dir() or not is_block_name(directory.name):
        raise OperatorError(f"not a block dir: {directory}")
    thanos = meta.thanos or ThanosMeta()
    if not thanos.labels:
        raise OperatorError("empty external labels are not allowed for Thanos block.")
    files = list_files(directory, with_hashes=with_hashes)
    segments = segment_files(directory)
    with ThreadPoolExecutor(max(1, concurrency)) as pool:
        # list(): the first failure is raised here, after the uploads under way have ended
        list(pool.map(lambda path: bucket.upload(f"{meta.ulid}/{CHUNKS_DIRECTORY}/{path.name}", path), segments))
    bucket.upload(f"{meta.ulid}/{INDEX_FILE}", directory / INDEX_FILE)
    complete = replace(meta, thanos=replace(thanos, files=tuple(files), upload_time=timestamp(now_ns())))
    bucket.upload(f"{meta.ulid}/{META_FILE}", complete.to_json())
    return complete


def list_files(directory: Path, *, with_hashes: bool) -> list[BlockFile]:
    """What ``thanos.files`` lists: segments, index, meta.json, sorted by path; no size and no hash for meta.json."""
    paths = [*segment_files(directory), directory / INDEX_FILE]
    files = [
        BlockFile(str(path.relative_to(directory)), path.stat().st_size, _sha256(path) if with_hashes else "")
        for path in paths
    ]
    return sorted([*files, BlockFile(META_FILE)], key=lambda entry: entry.rel_path)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
