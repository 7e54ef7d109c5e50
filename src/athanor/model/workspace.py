"""Arrays that one thread uses again for every tile: fresh large arrays cost page faults."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from athanor.model.arrays import F64, I64, U8

MIN_BYTES = 4096


class Workspace:
    """Named byte buffers that grow and are never given back; not shared between threads."""

    def __init__(self) -> None:
        self._buffers: dict[str, U8] = {}

    def take(self, name: str, n: int, dtype: DTypeLike) -> NDArray[Any]:
        """An uninitialised array of n elements; the next take of this name may hand out the same memory."""
        n_bytes = n * np.dtype(dtype).itemsize
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < n_bytes:
            buffer = np.empty(max(MIN_BYTES, n_bytes + n_bytes // 4), np.uint8)
            self._buffers[name] = buffer
        return buffer[:n_bytes].view(dtype)

    def i64(self, name: str, n: int) -> I64:
        return self.take(name, n, np.int64)

    def f64(self, name: str, n: int) -> F64:
        return self.take(name, n, np.float64)

    def u8(self, name: str, n: int) -> U8:
        return self.take(name, n, np.uint8)

    @property
    def n_bytes(self) -> int:
        """Memory held, for the budget."""
        return sum(buffer.size for buffer in self._buffers.values())

    def release(self) -> None:
        self._buffers.clear()
