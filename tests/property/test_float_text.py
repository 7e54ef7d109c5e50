"""Shortest float text against Python's repr, over all bit patterns, and against recorded texts."""

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


# Bits of the value, its text: recorded from Prometheus' answers to vector(X).
RECORDED = [
    (0x0000000000000000, "0"),
    (0x8000000000000000, "-0"),
    (0xBFF8000000000000, "-1.5"),
    (0x419D6F3454000000, "123456789"),
    (0x41D954FC4007DF3B, "1700000000.123"),
    (0x4340000000000000, "9007199254740992"),
    (0x43F0000000000000, "18446744073709552000"),
    (0x444B1AE4D6E2EF4F, "999999999999999900000"),
    (0x444B1AE4D6E2EF50, "1e+21"),
    (0xC44B1AE4D6E2EF50, "-1e+21"),
    (0x4454542BA12A337C, "1.5e+21"),
    (0x54B249AD2594C37D, "1e+100"),
    (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"),
    (0x3FB999999999999A, "0.1"),
    (0x3FD3333333333334, "0.30000000000000004"),
    (0x3F50624DD2F1A9FC, "0.001"),
    (0x3EE9E0FCAF9380FC, "0.00001234"),
    (0x3EB0C6F7A0B5ED8D, "0.000001"),
    (0x3EB0C6F7A0AEB8E0, "9.999999998999999e-07"),
    (0x3EAE32F0EE144531, "9e-07"),
    (0x3E7AD7F29ABCAF48, "1e-07"),
    (0xBE7AD7F29ABCAF48, "-1e-07"),
    (0x3E8421F5F40D8376, "1.5e-07"),
    (0x2B2BFF2EE48E0530, "1e-100"),
    (0x0010000000000000, "2.2250738585072014e-308"),
    (0x0000000000000002, "1e-323"),
    (0x0000000000000001, "5e-324"),
    (0x7FF0000000000000, "+Inf"),
    (0xFFF0000000000000, "-Inf"),
    (0x7FF8000000000001, "NaN"),
    (0xFFF8000000000000, "NaN"),
    (0x7FF0000000000002, "NaN"),
]

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


def test_the_recorded_texts_of_prometheus_are_met():
    assert texts([from_bits(bits) for bits, _ in RECORDED]) == [text for _, text in RECORDED]


@given(st.lists(bit_patterns | borders | decimals | short, min_size=1, max_size=60))
def test_the_text_parses_back_to_the_same_bits(values):
    found = np.array([float(text) for text in texts(values)]).view(np.uint64)
    nan = np.isnan(values)
    assert np.array_equal(np.isnan(found.view(np.float64)), nan)
    assert found[~nan].tolist() == np.array(values).view(np.uint64)[~nan].tolist()


@given(st.lists(bit_patterns | borders | decimals, min_size=1, max_size=60))
def test_an_exponent_stands_outside_of_1e_minus_6_to_1e21_and_has_two_digits_at_least(values):
    for value, text in zip(values, texts(values), strict=True):
        mantissa, e, power = text.partition("e")
        if math.isfinite(value) and value != 0 and not 1e-6 <= abs(value) < 1e21:
            assert e and power[0] in "+-" and len(power) >= 3 and len(mantissa.lstrip("-").partition(".")[0]) == 1
        else:
            assert not e
