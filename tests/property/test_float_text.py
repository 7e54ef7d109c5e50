"""Shortest float text against Python's repr, over all bit patterns."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from itertools import pairwise

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from athanor.kernel.float_text_kernels import MAX_BYTES, SLACK, float_texts


def texts(values: list[float]) -> list[str]:
    array = np.array(values, np.float64)
    ends, out = np.zeros(array.size, np.int64), np.full(array.size * MAX_BYTES + SLACK, 0xAA, np.uint8)
    size = float_texts(array, ends, out)
    assert (out[size + SLACK :] == 0xAA).all()
    data, begins = out.tobytes(), [0, *ends.tolist()]
    return [data[a:b].decode() for a, b in pairwise(begins)]


def reference(value: float) -> str:
    """As the JSON of Prometheus shows it; repr has the shortest digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value != 0 and not 1e-6 <= abs(value) < 1e21:
        return repr(value).replace(".0e", "e")
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def from_bits(bits: int) -> float:
    return struct.unpack("<d", bits.to_bytes(8, "little"))[0]


bit_patterns = st.integers(0, 2**64 - 1).map(from_bits)
borders = st.builds(lambda power, step: from_bits((power << 52) + step), st.integers(1, 2045), st.integers(-3, 3))
decimals = st.builds(lambda m, e: float(f"{m}e{e}"), st.integers(-(10**17), 10**17), st.integers(-30, 30))
short = st.builds(lambda m, e: m / 10**e, st.integers(-(10**15), 10**15), st.integers(0, 6))


@settings(max_examples=300)
@given(st.lists(bit_patterns | borders | decimals | short, min_size=1, max_size=60))
@example([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308])
@example([1e-6, math.nextafter(1e-6, 0), 1e21, math.nextafter(1e21, 0), -1.2345678901234567e-06])
@example([9007199254740992.0, 9007199254740994.0, 2.0**63, 1e15, 1e15 + 0.5, 999999999999999.9])
@example([0.001, 0.0015, 0.3, 0.1 + 0.2, 99999999999.999, 123.456, 1e22, 1e23, 9.5e-323])
def test_the_text_is_that_of_the_shortest_decimal(values):
    assert texts(values) == [reference(value) for value in values]


def test_powers_of_two_and_ten_are_written_shortest():
    values = [2.0**k for k in range(-1074, 1024)] + [float(f"1e{k}") for k in range(-323, 309)]
    assert texts(values) == [reference(value) for value in values]


def test_random_bit_patterns_are_written_shortest():
    values = np.random.default_rng(7).integers(0, 2**64, 30_000, np.uint64).view(np.float64).tolist()
    assert texts(values) == [reference(value) for value in values]
