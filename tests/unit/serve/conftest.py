"""A runtime without a process, for servers under test."""

from __future__ import annotations

import pytest

from athanor.model.log import Logger
from athanor.model.metrics import Registry
from athanor.serve.probes import Probes
from athanor.serve.process import ProcessGroup, Runtime


@pytest.fixture
def lines() -> list[str]:
    """What was logged."""
    return []


@pytest.fixture
def runtime(lines: list[str]) -> Runtime:
    log = Logger(level="debug", emit=lines.append)
    registry = Registry()
    return Runtime(
        component="query",
        log=log,
        registry=registry,
        probes=Probes("query", log, registry),
        group=ProcessGroup(log),
        flags={},
        shown_flags={},
        argv=("athanor", "query"),
        started_at_ms=0,
    )
