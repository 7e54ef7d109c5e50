"""Whether the flags of a Prometheus allow its blocks to be shipped (thanos cmd/thanos/sidecar.go)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from athanor.model.errors import OperatorError
from athanor.model.log import Logger

DELAY_FILE = "storage.tsdb.delay-compact-file.path"
MIN_DURATION, MAX_DURATION = "storage.tsdb.min-block-duration", "storage.tsdb.max-block-duration"
UNITS_S = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
RECOMMENDED_S = 2 * 3_600


def check_flags(
    flags: Mapping[str, str], tsdb_path: Path, meta_file_name: str, *, ignore_unequal_block_size: bool, log: Logger
) -> None:
    """Raises OperatorError with the original's texts."""
    delay_file = flags.get(DELAY_FILE, "")
    if delay_file:
        ours = posixpath.normpath(f"{tsdb_path}/{meta_file_name}")
        if posixpath.normpath(delay_file) != ours:
            raise OperatorError(
                "found that Prometheus and Thanos use different paths for tracking block uploads. Prometheus uses "
                f"--{DELAY_FILE}={posixpath.normpath(delay_file)} while Thanos will write to {ours}, they must both "
                "use the same path."
            )
    shortest, longest = flags.get(MIN_DURATION, "2h"), flags.get(MAX_DURATION, "2h")
    if _seconds(shortest) != _seconds(longest) and not delay_file:
        text = (
            f"found that TSDB Max time is {longest} and Min time is {shortest}. Compaction needs to be disabled "
            f"({MIN_DURATION} = {MAX_DURATION})"
        )
        if not ignore_unequal_block_size:
            raise OperatorError(text)
        log.warn(f"flag to ignore Prometheus min/max block duration flags differing is being used. {text}")
    if _seconds(shortest) != RECOMMENDED_S:
        log.warn("found that TSDB block time is not 2h. Only 2h block time is recommended.", block_time=shortest)


def _seconds(text: str) -> int:
    """A Prometheus duration in whole seconds, years left out as block durations never reach them."""
    return sum(int(number) * UNITS_S[unit] for number, unit in re.findall(r"(\d+)([wdhms])(?!s)", text))
