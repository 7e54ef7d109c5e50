"""Short names for the Numba types of kernel signatures.

Scalars are lower case (``i64``), one-dimensional C-contiguous arrays that a kernel writes are upper case (``I64``), and
arrays that it only reads carry an R (``RI64``): a read-only declaration accepts writable arrays as well, while a
writable one refuses ``np.frombuffer(bytes)``. ``F64x2`` is a C-contiguous matrix.
"""

from __future__ import annotations

from typing import Any

from numba import types

u8 = types.uint8
u32 = types.uint32
u64 = types.uint64
i32 = types.int32
i64 = types.int64
f64 = types.float64
b1 = types.boolean
void = types.void


def _array(dtype: Any, n_dims: int, readonly: bool) -> Any:
    return types.Array(dtype, n_dims, "C", readonly=readonly)


U8, U16, U32, U64 = (_array(t, 1, False) for t in (types.uint8, types.uint16, types.uint32, types.uint64))
I8, I32, I64, F64 = (_array(t, 1, False) for t in (types.int8, types.int32, types.int64, types.float64))
B1 = _array(types.boolean, 1, False)
RU8, RU16, RU32, RU64 = (_array(t, 1, True) for t in (types.uint8, types.uint16, types.uint32, types.uint64))
RI8, RI32, RI64, RF64 = (_array(t, 1, True) for t in (types.int8, types.int32, types.int64, types.float64))
RB1 = _array(types.boolean, 1, True)
U8x2, I64x2, F64x2 = (_array(t, 2, False) for t in (types.uint8, types.int64, types.float64))
RU8x2, RI64x2, RF64x2 = (_array(t, 2, True) for t in (types.uint8, types.int64, types.float64))


def tup(*members: Any) -> Any:
    """The type of a tuple that a kernel returns."""
    if len(set(members)) > 1:
        return types.Tuple(members)  # type: ignore[no-untyped-call]
    return types.UniTuple(members[0], len(members))  # type: ignore[no-untyped-call]
