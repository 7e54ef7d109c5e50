"""Names for the array types that cross packages."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]
U32: TypeAlias = NDArray[np.uint32]
U64: TypeAlias = NDArray[np.uint64]
I32: TypeAlias = NDArray[np.int32]
I64: TypeAlias = NDArray[np.int64]
F64: TypeAlias = NDArray[np.float64]
B1: TypeAlias = NDArray[np.bool_]


def as_bytes(buffer: object) -> U8:
    """A uint8 view of any bytes-like object, without a copy; read-only where the buffer is."""
    return np.frombuffer(buffer, np.uint8)  # type: ignore[call-overload,no-any-return]
