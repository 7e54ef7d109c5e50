# mypy: ignore-errors
"""Whole words out of byte arrays: big endian for TSDB files, little endian for hashes.

The caller has checked that the bytes are there. Positions are unsigned, so that no negative index has to be excluded
and the compiler makes one load of eight byte reads.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline


@inline
def be64(data, at):
    p = np.uint64(at)
    return (
        (np.uint64(data[p]) << np.uint64(56))
        | (np.uint64(data[p + np.uint64(1)]) << np.uint64(48))
        | (np.uint64(data[p + np.uint64(2)]) << np.uint64(40))
        | (np.uint64(data[p + np.uint64(3)]) << np.uint64(32))
        | (np.uint64(data[p + np.uint64(4)]) << np.uint64(24))
        | (np.uint64(data[p + np.uint64(5)]) << np.uint64(16))
        | (np.uint64(data[p + np.uint64(6)]) << np.uint64(8))
        | np.uint64(data[p + np.uint64(7)])
    )


@inline
def le64(data, at):
    p = np.uint64(at)
    return (
        np.uint64(data[p])
        | (np.uint64(data[p + np.uint64(1)]) << np.uint64(8))
        | (np.uint64(data[p + np.uint64(2)]) << np.uint64(16))
        | (np.uint64(data[p + np.uint64(3)]) << np.uint64(24))
        | (np.uint64(data[p + np.uint64(4)]) << np.uint64(32))
        | (np.uint64(data[p + np.uint64(5)]) << np.uint64(40))
        | (np.uint64(data[p + np.uint64(6)]) << np.uint64(48))
        | (np.uint64(data[p + np.uint64(7)]) << np.uint64(56))
    )


@inline
def be32(data, at):
    """As int64: 0..2**32-1."""
    p = np.uint64(at)
    return np.int64(
        (np.uint64(data[p]) << np.uint64(24))
        | (np.uint64(data[p + np.uint64(1)]) << np.uint64(16))
        | (np.uint64(data[p + np.uint64(2)]) << np.uint64(8))
        | np.uint64(data[p + np.uint64(3)])
    )


@inline
def le32(data, at):
    p = np.uint64(at)
    return (
        np.uint64(data[p])
        | (np.uint64(data[p + np.uint64(1)]) << np.uint64(8))
        | (np.uint64(data[p + np.uint64(2)]) << np.uint64(16))
        | (np.uint64(data[p + np.uint64(3)]) << np.uint64(24))
    )


@inline
def put_be32(out, at, value):
    """Write the low 32 bits of an int64; returns the position after."""
    p = np.uint64(at)
    word = np.uint64(value)
    out[p] = np.uint8(word >> np.uint64(24))
    out[p + np.uint64(1)] = np.uint8(word >> np.uint64(16))
    out[p + np.uint64(2)] = np.uint8(word >> np.uint64(8))
    out[p + np.uint64(3)] = np.uint8(word)
    return at + 4


@inline
def put_be64(out, at, word):
    """Write a uint64; returns the position after."""
    p = np.uint64(at)
    out[p] = np.uint8(word >> np.uint64(56))
    out[p + np.uint64(1)] = np.uint8(word >> np.uint64(48))
    out[p + np.uint64(2)] = np.uint8(word >> np.uint64(40))
    out[p + np.uint64(3)] = np.uint8(word >> np.uint64(32))
    out[p + np.uint64(4)] = np.uint8(word >> np.uint64(24))
    out[p + np.uint64(5)] = np.uint8(word >> np.uint64(16))
    out[p + np.uint64(6)] = np.uint8(word >> np.uint64(8))
    out[p + np.uint64(7)] = np.uint8(word)
    return at + 8
