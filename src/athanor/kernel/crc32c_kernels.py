"""CRC-32C (Castagnoli): the checksum of TSDB files and of remote-read frames.

Reflected polynomial 0x82F63B78, initial value and final XOR all ones. Eight bytes a step with eight tables.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import kernel
from athanor.kernel.types import RU8, i64, u32

POLYNOMIAL = 0x82F63B78


def _tables() -> np.ndarray:
    tables = np.zeros((8, 256), np.uint32)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        tables[0, byte] = value
    for k in range(1, 8):
        tables[k] = (tables[k - 1] >> 8) ^ tables[0, tables[k - 1] & 0xFF]
    return tables


TABLES = _tables()


@kernel(u32(RU8, i64, i64))
def crc32c(data, at, end_at):
    """The checksum of ``data[at:end_at]``; the caller has checked the bounds."""
    crc = np.uint32(0xFFFFFFFF)
    position = at
    while position + 8 <= end_at:
        low = crc ^ (
            np.uint32(data[position])
            | (np.uint32(data[position + 1]) << np.uint32(8))
            | (np.uint32(data[position + 2]) << np.uint32(16))
            | (np.uint32(data[position + 3]) << np.uint32(24))
        )
        crc = np.uint32(
            TABLES[7, low & np.uint32(0xFF)]
            ^ TABLES[6, (low >> np.uint32(8)) & np.uint32(0xFF)]
            ^ TABLES[5, (low >> np.uint32(16)) & np.uint32(0xFF)]
            ^ TABLES[4, low >> np.uint32(24)]
            ^ TABLES[3, data[position + 4]]
            ^ TABLES[2, data[position + 5]]
            ^ TABLES[1, data[position + 6]]
            ^ TABLES[0, data[position + 7]]
        )
        position += 8
    while position < end_at:
        crc = np.uint32(TABLES[0, (crc ^ np.uint32(data[position])) & np.uint32(0xFF)] ^ (crc >> np.uint32(8)))
        position += 1
    return np.uint32(crc ^ np.uint32(0xFFFFFFFF))
