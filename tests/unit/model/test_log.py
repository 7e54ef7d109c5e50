"""Log lines: order of fields, quoting, levels."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from athanor.model.log import Logger, format_json, format_logfmt, logfmt_value, timestamp


def make(level: str = "info", **options) -> tuple[Logger, list[str]]:
    lines: list[str] = []
    return Logger(level=level, emit=lines.append, now_ns=lambda: 1_787_396_120_036_900_064, **options), lines


def test_fields_stand_in_the_order_of_thanos():
    log, lines = make(name="dbg")
    log.bind(service="http/server").bind(component="query").info("listening", address="0.0.0.0:10902", err=None)
    head, _, rest = lines[0].partition(" caller=")
    caller, _, tail = rest.partition(" ")
    assert head == "ts=2026-08-22T10:55:20.036900064Z"
    assert caller.startswith("test_log.py:")
    assert tail == (
        "name=dbg level=info service=http/server component=query msg=listening address=0.0.0.0:10902 err=null\n"
    )


def test_lines_below_the_level_are_not_written():
    log, lines = make("warn")
    log.debug("a")
    log.info("b")
    log.warn("c")
    log.error(err="d")
    assert [line.partition("level=")[2] for line in lines] == ["warn msg=c\n", "error err=d\n"]
    assert log.enabled("error")
    assert not log.enabled("info")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ('a"b', '"a\\"b"'),
        ("a=b", '"a=b"'),
        ("a\nb\x01", '"a\\nb\\u0001"'),
        ("null", '"null"'),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ([1], '"unsupported value type"'),
        (timedelta(seconds=1.5), "1.5s"),
        ("\ud800", '"\\ufffd"'),
        ("µ", "µ"),
    ],
)
def test_values_are_quoted_only_where_needed(value: object, text: str):
    assert logfmt_value(value) == text


def test_an_empty_value_is_nothing_and_keys_lose_what_would_confuse():
    assert format_logfmt([("a b=", ""), ("c", 1)]) == "ab= c=1\n"


def test_json_lines_have_sorted_keys_and_keep_types():
    line = format_json(
        [("ts", "t"), ("msg", "a<b>"), ("caller", "x"), ("n", 1), ("caller", "y"), ("e", ValueError("z"))]
    )
    assert line == '{"caller":"y","e":"z","msg":"a<b>","n":1,"ts":"t"}\n'
    assert json.loads(line)["n"] == 1


def test_time_stamps_lose_trailing_zeros():
    assert timestamp(1_000_000_000) == "1970-01-01T00:00:01Z"
    assert timestamp(1_500_000_000) == "1970-01-01T00:00:01.5Z"
