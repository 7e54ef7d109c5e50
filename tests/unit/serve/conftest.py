"""A runtime without a process, for servers under test."""

from __future__ import annotations

import pytest

from athanor.model.log import Logger
from athanor.serve.process import Runtime, make_runtime


@pytest.fixture
def lines() -> list[str]:
    """What was logged."""
    return []


@pytest.fixture
def runtime(lines: list[str]) -> Runtime:
    return make_runtime("query", Logger(level="debug", emit=lines.append))
