"""Protobuf by hand for a few bytes: the messages of health and reflection, read once in a while.

Data paths use kernels; this is for control messages of at most a few hundred bytes.
"""

from __future__ import annotations

from athanor.model.errors import DataError


def varint(value: int) -> bytes:
    """An unsigned varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def bytes_field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def int_field(number: int, value: int) -> bytes:
    """A varint field; nothing for zero, as proto3 writes it."""
    return varint(number << 3) + varint(value) if value else b""


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise DataError(f"message of {len(data)} bytes: varint at byte {at} does not end")


def fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """(field number, value) in order of the bytes; raises DataError when they end within a field."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _read_varint(data, at)
            found.append((number, value))
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, at = _read_varint(data, at)
        if size is None or at + size > len(data):
            raise DataError(f"message of {len(data)} bytes: field {number} at byte {at} runs past its end")
        found.append((number, data[at : at + size]))
        at += size
    return found
