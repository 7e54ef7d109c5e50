"""Gives memory back that only loading needed: the compiler's pages, and freed heap.

Once the kernels of a role are loaded, LLVM is never run again. Pages of its file that nobody changed (code and
constants, about 60 MB resident) can be dropped at once; the system would read them again if they were ever needed.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MADV_DONTNEED = 4
M_ARENA_MAX = -8  # glibc's malloc.h
MAX_HEAPS = 2
M_MMAP_THRESHOLD = -3
MAPPED_FROM_BYTES = 4 << 20
M_TRIM_THRESHOLD = -1
KEPT_BYTES = 32 << 20  # of each heap; a page that was given back costs a fault and its zeroes at the next query
COMPILER_LIBRARY = "libllvmlite"


def limit_heaps() -> None:
    """Called before a server starts threads, so that memory which was given back is not kept by the allocator.

    Each heap keeps what was freed in it, and glibc makes eight a core; threads of ours allocate few and large arrays,
    so two heaps do. They keep KEPT_BYTES of what was freed for the next query (with 4 MiB a sum over 500 series x 24 h
    met 4,000 page faults more, 15 % of its time); `give_back` ends that. Arrays from a size on are mappings of their
    own that end when they are freed; glibc would raise that size to that of the largest array it saw. An operator's
    own MALLOC_* variables stay.
    """
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"):
        return
    mallopt = ctypes.CDLL(None).mallopt
    if "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(M_ARENA_MAX, MAX_HEAPS)
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)


def release_loading_memory() -> None:
    """Called once by a server when its role is loaded; does nothing where the system lacks what it takes."""
    gc.collect()
    gc.freeze()
    drop_compiler_pages()
    give_back()


def give_back() -> None:
    """Freed memory that the allocator keeps goes back to the system."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)


def drop_compiler_pages() -> None:
    """Pages of the compiler's file leave memory until they are read again."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for first, end in _clean_mappings(Path("/proc/self/smaps").read_text()):
        libc.madvise(first, end - first, MADV_DONTNEED)


def _clean_mappings(smaps: str) -> Iterator[tuple[int, int]]:
    """Read-only mappings of the compiler without a page of our own: relocated tables are dirty, and must stay."""
    place: tuple[int, int] | None = None
    for line in smaps.splitlines():
        fields = line.split()
        if "-" in fields[0] and len(fields) >= 5:
            wanted = len(fields) == 6 and COMPILER_LIBRARY in fields[5] and fields[1] in ("r-xp", "r--p")
            first, end = (int(part, 16) for part in fields[0].split("-"))
            place = (first, end) if wanted else None
        elif fields[0] == "Anonymous:" and place is not None:
            if fields[1] == "0":
                yield place
            place = None
