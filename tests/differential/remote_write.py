"""The data as a remote write request (prompb.WriteRequest 1.0): what loads it into the original."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tests.conformance.values import Buckets, Histogram
from tests.differential.data import Series

_HINTS = {"unknown": 0, "reset": 1, "not_reset": 2, "gauge": 3}


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _zigzag(value: int) -> bytes:
    return _varint((value << 1) ^ (value >> 63))


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _doubles(number: int, values: Iterable[float]) -> bytes:
    return _bytes(number, b"".join(struct.pack("<d", value) for value in values))


def _span(number: int, buckets: Buckets) -> bytes:
    if not buckets.counts:
        return b""
    return _bytes(number, _varint(1 << 3) + _zigzag(buckets.offset) + _number(2, len(buckets.counts)))


def _histogram(at_ms: int, h: Histogram) -> bytes:
    """With float counts."""
    return (
        _double(2, h.count) + _double(3, h.sum) + _varint(4 << 3) + _zigzag(h.schema) + _double(5, h.zero_threshold)
        + _double(7, h.zero_count) + _span(8, h.negative) + _doubles(10, h.negative.counts)
        + _span(11, h.positive) + _doubles(13, h.positive.counts) + _number(14, _HINTS[h.hint]) + _number(15, at_ms)
        + _doubles(16, h.custom_values)
    )  # fmt: skip


def write_request(series: Iterable[Series]) -> bytes:
    """The protobuf bytes, before Snappy."""
    out = []
    for one in series:
        labels = b"".join(
            _bytes(1, _bytes(1, name.encode()) + _bytes(2, value.encode()))
            for name, value in sorted(one.labels.items())
        )
        floats, natives = [], []
        for at_ms, value in sorted(one.samples.items()):
            if isinstance(value, Histogram):
                natives.append(_bytes(4, _histogram(at_ms, value)))
            else:
                floats.append(_bytes(2, _double(1, value) + _number(2, at_ms)))
        out.append(_bytes(1, labels + b"".join(floats) + b"".join(natives)))
    return b"".join(out)
