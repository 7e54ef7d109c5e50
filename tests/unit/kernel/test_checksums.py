"""Checksums equal their published check values and the xxhash library."""

from __future__ import annotations

import random

import numpy as np
import pytest
import xxhash

from athanor.kernel import checksum_kernels as kernels
from athanor.model.arrays import as_bytes


def reference_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_crc32c_of_the_standard_check_string() -> None:
    assert int(kernels.crc32c(as_bytes(b"123456789"), 0, 9)) == 0xE3069283
    assert int(kernels.crc32c_by_tables(as_bytes(b"123456789"), 0, 9)) == 0xE3069283


@pytest.mark.parametrize("size", [*range(70), 255, 1000])
def test_every_length_and_alignment_equals_the_bitwise_crc_and_the_xxhash_library(size: int) -> None:
    data = random.Random(size).randbytes(size + 3)
    for at in range(3):
        span = data[at : at + size]
        assert int(kernels.crc32c(as_bytes(data), at, at + size)) == reference_crc32c(span)
        assert int(kernels.crc32c_by_tables(as_bytes(data), at, at + size)) == reference_crc32c(span)
        assert int(kernels.xxhash64(as_bytes(data), at, at + size)) == xxhash.xxh64_intdigest(span)


def test_many_spans_in_one_call_and_a_span_outside_is_named() -> None:
    data = random.Random(1).randbytes(300)
    at, size = np.array([0, 10, 299, 300]), np.array([10, 200, 1, 0])
    crcs, hashes = np.zeros(4, np.uint32), np.zeros(4, np.uint64)
    assert kernels.crc32c_spans(as_bytes(data), at, size, crcs) == -1
    assert kernels.xxhash64_spans(as_bytes(data), at, size, hashes) == -1
    spans = [data[a : a + s] for a, s in zip(at, size, strict=True)]
    assert crcs.tolist() == [reference_crc32c(s) for s in spans]
    assert hashes.tolist() == [xxhash.xxh64_intdigest(s) for s in spans]
    for bad_at, bad_size in ((-1, 2), (299, 2), (2**62, 2**62), (0, -1)):
        bad = np.array([0, bad_at]), np.array([1, bad_size])
        assert kernels.crc32c_spans(as_bytes(data), *bad, crcs) == 1
        assert kernels.xxhash64_spans(as_bytes(data), *bad, hashes) == 1
