from __future__ import annotations

from pathlib import Path

import pytest

from athanor.model.errors import OperatorError
from athanor.model.log import Logger
from athanor.sidecar.validate import check_flags

FILE = "thanos.shipper.json"


def checked(flags: dict[str, str], *, ignore: bool = False) -> list[str]:
    """The lines logged while the flags are checked."""
    lines: list[str] = []
    log = Logger(emit=lines.append)
    check_flags(flags, Path("/data"), FILE, ignore_unequal_block_size=ignore, log=log)
    return lines


def durations(shortest: str, longest: str, delay_file: str = "") -> dict[str, str]:
    return {
        "storage.tsdb.min-block-duration": shortest,
        "storage.tsdb.max-block-duration": longest,
        "storage.tsdb.delay-compact-file.path": delay_file,
    }


def test_two_hours_without_compaction_is_what_is_wanted():
    assert checked(durations("2h", "2h")) == []


def test_a_default_prometheus_compacts_and_is_refused():
    with pytest.raises(OperatorError) as raised:
        checked(durations("2h", "1d12h"))
    assert str(raised.value) == (
        "found that TSDB Max time is 1d12h and Min time is 2h. Compaction needs to be disabled "
        "(storage.tsdb.min-block-duration = storage.tsdb.max-block-duration)"
    )


def test_compaction_may_be_ignored_with_a_warning():
    (line,) = checked(durations("2h", "1d12h"), ignore=True)
    assert "level=warn" in line
    assert "found that TSDB Max time is 1d12h and Min time is 2h." in line


def test_compaction_may_stay_on_where_it_waits_for_the_shipper():
    assert checked(durations("2h", "1d12h", "/data//thanos.shipper.json")) == []


def test_the_file_that_delays_compaction_must_be_ours():
    with pytest.raises(OperatorError) as raised:
        checked(durations("2h", "1d12h", "/other/thanos.shipper.json"))
    assert "--storage.tsdb.delay-compact-file.path=/other/thanos.shipper.json" in str(raised.value)
    assert "Thanos will write to /data/thanos.shipper.json" in str(raised.value)


def test_other_block_times_are_warned_about():
    (line,) = checked(durations("1h", "1h"))
    assert "found that TSDB block time is not 2h" in line


def test_the_same_duration_may_be_written_in_two_ways():
    assert checked(durations("2h", "120m")) == []
