"""Gives memory back that only loading needed: the compiler's code, and freed heap.

Once the kernels of a role are loaded, LLVM's code (about 40 MB of resident pages) is never run again. The pages are
clean copies of a file, so the system can drop them at once and would read them again if they were ever needed.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

MADV_DONTNEED = 4
COMPILER_LIBRARY = "libllvmlite"


def release_loading_memory() -> None:
    """Called once by a server when its role is loaded; does nothing where the system lacks what it takes."""
    gc.collect()
    gc.freeze()
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        # Only code: other read-only mappings may hold relocated, so private, pages.
        if len(fields) == 6 and COMPILER_LIBRARY in fields[5] and fields[1] == "r-xp":
            first, end = (int(part, 16) for part in fields[0].split("-"))
            libc.madvise(first, end - first, MADV_DONTNEED)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
