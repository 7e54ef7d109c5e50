"""Numbers, durations and strings as Go reads and prints them."""

from __future__ import annotations

import pytest

from athanor.promql.durations import duration_ns, duration_text, ms_of_ns, ns_of_seconds, round_away
from athanor.promql.floats import general, json_number, plain
from athanor.promql.gostrings import quote, quote_char, unicode_point, unquote
from athanor.promql.tokens import number_value

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1F", 31), ("0X_1f", 31), ("017", 15), ("089", 89), ("0_7", 7), ("1_000.5", 1000.5), ("1_000e3", 1e6),
        ("0.1e1_0", 1e9), ("5.", 5), (".5", 0.5), ("5.e3", 5000), ("9223372036854775808", 9.223372036854775808e18),
        ("1e-400", 0), ("iNF", float("inf")),
    ],
)  # fmt: skip
def test_numbers_are_base_prefixed_integers_or_floats(text: str, value: float) -> None:
    assert number_value(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [("1e400", "value out of range"), ("0x8000000000000000", "invalid syntax"), ("1_", "invalid syntax")],
)
def test_numbers_that_do_not_fit_are_refused_in_go_words(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f'^error parsing number: strconv.ParseFloat: parsing "{text}": {why}$'):
        number_value(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [("5m", 300 * S), ("1h30m", 5400 * S), ("1500ms", 3 * S // 2), ("1y2w3d", 382 * 86_400 * S), ("0", 0)],
)
def test_durations_add_their_units(text: str, ns: int) -> None:
    assert duration_ns(text) == ns


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1m1h", 'not a valid duration string: "1m1h"'),
        ("5m5m", 'not a valid duration string: "5m5m"'),
        ("1.5h", 'unknown unit "." in duration "1.5h"'),
        ("1hs", 'unknown unit "hs" in duration "1hs"'),
        ("300y", "duration out of range"),
        ("", "empty duration string"),
    ],
)
def test_broken_durations_are_refused_in_the_originals_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        duration_ns(text)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"), (365 * 86_400_000, "1y"), (10 * 86_400_000, "10d"), (14 * 86_400_000, "2w"), (5_400_000, "1h30m"),
        (1_500, "1s500ms"), (-60_000, "-1m"), (366 * 86_400_000, "366d"),
    ],
)  # fmt: skip
def test_durations_print_years_and_weeks_only_when_exact(ms: int, text: str) -> None:
    assert duration_text(ms * 1_000_000) == text


def test_seconds_become_nanoseconds_with_halves_away_from_zero() -> None:
    assert ns_of_seconds(0.0000000015) == 2
    assert ns_of_seconds(-0.0000000015) == -2
    assert ns_of_seconds(float("nan")) == -(1 << 63)
    assert round_away(0.49999999999999994) == 0
    assert ms_of_ns(-1_999_999) == -1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (100000.0, "100000"), (999999.0, "999999"), (1000000.0, "1e+06"), (1234567.5, "1.2345675e+06"),
        (0.0001, "0.0001"), (0.00001, "1e-05"), (300.0, "300"), (-0.0, "-0"),
        (float("nan"), "NaN"), (float("-inf"), "-Inf"),
    ],
)  # fmt: skip
def test_go_g_uses_exponents_from_a_million_on(value: float, text: str) -> None:
    assert general(value) == text


def test_plain_floats_have_no_exponent_and_json_floats_a_short_one() -> None:
    assert [plain(value) for value in (1000.0, 1e-10, 1e21, float("inf"))] == [
        "1000", "0.0000000001", "1000000000000000000000", "+Inf",
    ]  # fmt: skip
    assert [json_number(value) for value in (1e21, 1e-7, 0.5, 1e20)] == [
        "1e+21",
        "1e-7",
        "0.5",
        "100000000000000000000",
    ]


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("plain", '"plain"'), ('a"b\\', '"a\\"b\\\\"'), ("\n\x00\x7f", '"\\n\\x00\\x7f"'), ("é😀", '"é😀"'),
        ("\u200b", '"\\u200b"'), ("\U000e0001", '"\\U000e0001"'), ("\udcff", '"\\xff"'), ("\u00a0", '"\\u00a0"'),
    ],
)  # fmt: skip
def test_strings_are_quoted_as_go_does_and_read_back(value: str, literal: str) -> None:
    assert quote(value) == literal
    assert unquote(literal.encode()) == value


def test_characters_in_messages() -> None:
    assert (quote_char("'"), quote_char("\n"), quote_char("")) == ("'\\''", "'\\n'", "'\ufffd'")
    assert unicode_point("q") == "U+0071 'q'"
    assert unicode_point("\n") == "U+000A"
