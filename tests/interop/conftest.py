"""One store and one query over a generated bucket, for the tests that ask them unkind things."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.generate import query_series, write_blocks
from tests.interop.pair import Pair

N_SERIES, N_BLOCKS = 1000, 12


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 counters ``c`` and 500 gauges ``g``, 24 h at 15 s in blocks of 2 h."""
    directory = tmp_path_factory.mktemp("bucket")
    for _ in write_blocks(directory, query_series(N_SERIES), N_BLOCKS, {"cluster": "unkind"}):
        pass
    return directory


@pytest.fixture(scope="module")
def pair(bucket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A store over the bucket and a query over the store, fresh for each module."""
    with Pair(bucket, tmp_path_factory.mktemp("pair")) as running:
        yield running
