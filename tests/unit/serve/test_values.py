"""Value grammars: what is read, how it shows, which text an error has."""

from __future__ import annotations

import pytest

from athanor.serve.durations import (
    ValueTextError,
    format_go_duration,
    format_prom_duration,
    parse_duration_ns,
    parse_prom_duration_ns,
)
from athanor.serve.timestamps import format_go_time, parse_rfc3339_ms, parse_time_or_duration
from athanor.serve.values import (
    format_bytes,
    format_float,
    parse_address,
    parse_bytes,
    parse_float,
    parse_int64,
    parse_int_as_float,
    parse_uint64,
    parse_url,
)

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h45m", 9900), ("90d", 7_776_000), ("1.5h", 5400), ("1d2h", 93_600), ("-5m", -300), ("0", 0), ("+.5s", 0.5)],
)
def test_kingpin_durations(text: str, seconds: float):
    assert parse_duration_ns(text) == int(seconds * S)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", 'time: invalid duration "x"'),
        ("", 'time: invalid duration ""'),
        ("90", 'time: missing unit in duration "90"'),
        ("1y", 'time: unknown unit "y" in duration "1y"'),
    ],
)
def test_kingpin_duration_errors(text: str, message: str):
    with pytest.raises(ValueTextError) as caught:
        parse_duration_ns(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "seconds"), [("90d", 7_776_000), ("2h45m", 9900), ("1y2w", 32_745_600), ("0", 0)])
def test_prom_durations(text: str, seconds: int):
    assert parse_prom_duration_ns(text) == seconds * S


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty duration string"),
        ("x", 'not a valid duration string: "x"'),
        ("1x", 'unknown unit "x" in duration "1x"'),
        ("1.5m", 'unknown unit "." in duration "1.5m"'),
        ("1s1m", 'not a valid duration string: "1s1m"'),
        ("1m1m", 'not a valid duration string: "1m1m"'),
        ("999999y", "duration out of range"),
    ],
)
def test_prom_duration_errors(text: str, message: str):
    with pytest.raises(ValueTextError) as caught:
        parse_prom_duration_ns(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("ns", "text"),
    [(120 * S, "2m0s"), (86_400 * S, "24h0m0s"), (0, "0s"), (1_500_000, "1.5ms"), (S // 4, "250ms"), (-S, "-1s")],
)
def test_durations_show_as_go_prints_them(ns: int, text: str):
    assert format_go_duration(ns) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(120, "2m"), (172_800, "2d"), (0, "0s"), (7 * 86_400, "1w"), (90 * 86_400, "90d"), (5400, "1h30m")],
)
def test_durations_show_as_prometheus_prints_them(seconds: int, text: str):
    assert format_prom_duration(seconds * S) == text


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("250MB", 262_144_000),
        ("1.5GiB", 1_610_612_736),
        ("1GB500MB", 1_598_029_824),
        ("0", 0),
        ("-1KB", -1024),
        ("7B", 7),
    ],
)
def test_bytes_are_powers_of_1024(text: str, n_bytes: int):
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "units: invalid x"),
        ("100", "units: unknown unit  in 100"),
        ("5kB", "units: unknown unit kB in 5kB"),
        ("9K", "units: unknown unit K in 9K"),
        ("99EB", "units: overflow parsing unit"),
    ],
)
def test_bytes_errors(text: str, message: str):
    with pytest.raises(ValueTextError) as caught:
        parse_bytes(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("n", "text"), [(262_144_000, "250MiB"), (0, "0B"), (2 << 30, "2GiB"), (1025, "1KiB1B")])
def test_bytes_show_in_binary_units(n: int, text: str):
    assert format_bytes(n) == text


def test_integers_take_go_literals():
    assert parse_int_as_float("1e3") == 1000
    assert parse_int_as_float("1.9") == 1
    assert parse_int64("0x10") == 16
    assert parse_int64("-0b11") == -3
    assert parse_uint64("017") == 15
    assert parse_uint64("1_000") == 1000
    with pytest.raises(ValueTextError, match=r'strconv\.ParseUint: parsing "-1": invalid syntax'):
        parse_uint64("-1")
    with pytest.raises(ValueTextError, match="value out of range"):
        parse_uint64("18446744073709551616")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e6, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (100000.0, "100000"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (123456.789, "123456.789"),
        (-2.5, "-2.5"),
        (float("inf"), "+Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_floats_show_as_go_prints_them(value: float, text: str):
    assert format_float(value) == text


def test_floats_read_special_values():
    assert parse_float("-Inf") == float("-inf")
    assert parse_float("+inf") == float("inf")
    with pytest.raises(ValueTextError):
        parse_float("--1")
    with pytest.raises(ValueTextError):
        parse_float("1e999")


def test_addresses_need_a_port_or_a_scheme():
    assert parse_address("dnssrv+_grpc._tcp.x") == "dnssrv+_grpc._tcp.x"
    with pytest.raises(ValueTextError, match=r"Address is empty\."):
        parse_address("")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://[::1", "missing ']' in host"),
        (":x", "missing protocol scheme"),
        ("http://a:b/", 'invalid port ":b" after host'),
        ("http://a/%zz", 'invalid URL escape "%zz"'),
    ],
)
def test_urls_that_are_refused(text: str, problem: str):
    with pytest.raises(ValueTextError) as caught:
        parse_url(text)
    assert str(caught.value) == f'invalid URL: parse "{text}": {problem}'


def test_urls_that_are_taken():
    for text in ("http://localhost:9090", "http://u:p@[::1]:9090/x?y=%20", "/relative", ""):
        assert parse_url(text) == text


def test_times_are_fixed_or_relative_to_now():
    assert parse_rfc3339_ms("1970-01-01T00:00:01.5Z") == 1500
    assert parse_rfc3339_ms("1970-01-01T01:00:00+01:00") == 0
    assert parse_rfc3339_ms("2023-02-29T00:00:00Z") is None
    assert parse_time_or_duration("-2w").at_ms(now_ms=14 * 86_400_000) == 0
    assert parse_time_or_duration("2h").at_ms(now_ms=0) == 7_200_000
    assert str(parse_time_or_duration("0000-01-01T00:00:00Z")) == "0000-01-01 00:00:00 +0000 UTC"
    assert format_go_time(1_704_153_600_500) == "2024-01-02 00:00:00.5 +0000 UTC"
