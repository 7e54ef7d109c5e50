"""The process group: order, failure, signals; the probes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from athanor.model.cancel import CancelToken
from athanor.model.errors import OperatorError
from athanor.serve.process import ProcessGroup, Runtime, error_chain, short_reason


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def group(runtime: Runtime) -> ProcessGroup:
    return runtime.group


def part(group: ProcessGroup, events: list[str], name: str, start=lambda: None) -> None:
    def begin() -> None:
        start()
        events.append(f"+{name}")

    group.add(name, begin, lambda reason: events.append(f"-{name} {short_reason(reason)}"))


def later(action, delay_s: float = 0.1) -> None:
    threading.Timer(delay_s, action).start()


def kill(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_parts_start_in_order_and_stop_in_reverse(group: ProcessGroup, events: list[str], lines: list[str]):
    for name in "abc":
        part(group, events, name)
    later(lambda: kill(signal.SIGTERM))
    group.run()
    assert events == ["+a", "+b", "+c", "-c None", "-b None", "-a None"]
    assert 'msg="caught signal. Exiting." signal=terminated' in lines[0]
    assert "msg=exiting" in lines[-1]


def test_a_part_that_cannot_start_ends_the_group_with_its_reason(group: ProcessGroup, events: list[str]):
    def fail() -> None:
        raise OperatorError("serve HTTP and metrics") from OperatorError("listen tcp: busy")

    part(group, events, "a")
    part(group, events, "b", fail)
    part(group, events, "c")
    with pytest.raises(OperatorError) as caught:
        group.run()
    assert events == ["+a", "-a serve HTTP and metrics: listen tcp: busy"]
    assert error_chain(caught.value) == ["listen tcp: busy", "serve HTTP and metrics"]


def test_a_loop_that_fails_ends_the_group(group: ProcessGroup, events: list[str]):
    def loop(cancel: CancelToken) -> None:
        raise ValueError("broken")

    part(group, events, "a")
    group.add_loop("loop", loop)
    with pytest.raises(ValueError, match="broken"):
        group.run()
    assert events == ["+a", "-a broken"]


def test_a_loop_that_returns_ends_the_group_cleanly(group: ProcessGroup, events: list[str]):
    part(group, events, "a")
    group.add_loop("loop", lambda cancel: None)
    group.run()
    assert events == ["+a", "-a None"]


def test_loops_are_told_to_stop_and_waited_for(group: ProcessGroup, events: list[str]):
    def loop(cancel: CancelToken) -> None:
        cancel.wait(30)
        time.sleep(0.05)
        events.append("done")
        cancel.check()

    group.add_loop("loop", loop)
    later(lambda: kill(signal.SIGINT))
    group.run()
    assert events == ["done"]


def test_a_long_start_gives_up_when_the_process_ends(group: ProcessGroup, events: list[str]):
    def wait() -> None:
        group.stopping.wait(30)
        group.stopping.check()

    part(group, events, "a")
    part(group, events, "b", wait)
    later(lambda: kill(signal.SIGTERM))
    started_at = time.monotonic()
    group.run()
    assert time.monotonic() - started_at < 5
    assert events == ["+a", "-a None"]


def test_hangup_reloads_and_goes_on(group: ProcessGroup, events: list[str], lines: list[str]):
    group.on_reload(lambda: events.append("reload"))
    part(group, events, "a")
    later(lambda: kill(signal.SIGHUP), 0.1)
    later(lambda: kill(signal.SIGTERM), 0.3)
    group.run()
    assert events == ["+a", "reload", "-a None"]
    assert 'msg="caught signal. Reloading." signal=hangup' in lines[0]
    assert 'msg="reload dispatched."' in lines[1]


def test_the_switch_interval_is_short_while_a_process_runs(group: ProcessGroup):
    before = sys.getswitchinterval()
    seen: list[float] = []
    group.add_loop("loop", lambda cancel: seen.append(sys.getswitchinterval()))
    try:
        group.run()
    finally:
        sys.setswitchinterval(before)
    assert seen == [pytest.approx(0.0001)]


def test_probe_changes_are_logged_on_change(runtime: Runtime, lines: list[str]):
    probes = runtime.probes
    probes.healthy()
    probes.ready()
    probes.ready()
    probes.not_ready("sync failed")
    probes.not_ready()
    assert [line.partition("level=")[2].strip() for line in lines] == [
        'info msg="changing probe status" status=healthy',
        'info msg="changing probe status" status=ready',
        'warn msg="changing probe status" status=not-ready reason="sync failed"',
    ]


def test_after_not_healthy_grpc_health_stays_down(runtime: Runtime):
    probes = runtime.probes
    probes.healthy()
    assert probes.grpc_status == 1
    probes.not_healthy()
    probes.ready()
    assert probes.grpc_status == 2
