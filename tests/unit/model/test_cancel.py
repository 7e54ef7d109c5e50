"""Cancellation tokens."""

from __future__ import annotations

import threading
import time

import pytest

from athanor.model.cancel import Cancelled, CancelToken


def test_a_fresh_token_lets_work_go_on():
    token = CancelToken()
    token.check()
    assert not token.cancelled
    assert token.remaining_s() is None


def test_a_cancelled_token_raises_with_its_first_reason():
    token = CancelToken()
    token.cancel("client left")
    token.cancel("too late")
    with pytest.raises(Cancelled, match="client left") as caught:
        token.check()
    assert not caught.value.deadline


def test_a_passed_deadline_cancels_and_says_so():
    token = CancelToken(timeout_s=0.0)
    with pytest.raises(Cancelled, match="deadline exceeded") as caught:
        token.check()
    assert caught.value.deadline


def test_callbacks_run_once_on_cancel_and_at_once_afterwards():
    token, calls = CancelToken(), []
    token.on_cancel(lambda: calls.append("a"))
    token.cancel()
    token.cancel()
    token.on_cancel(lambda: calls.append("b"))
    assert calls == ["a", "b"]


def test_a_forgotten_callback_never_runs():
    token, calls = CancelToken(), []
    token.on_cancel(lambda: calls.append("a"))()
    token.cancel()
    assert calls == []


def test_a_child_follows_its_parent_but_not_the_reverse():
    parent = CancelToken()
    one, two = parent.child(), parent.child(timeout_s=60)
    one.cancel("alone")
    assert not parent.cancelled
    parent.cancel("all")
    assert two.cancelled
    assert two.reason == "all"
    assert one.reason == "alone"


def test_waiting_ends_when_another_thread_cancels():
    token = CancelToken()
    threading.Timer(0.02, token.cancel).start()
    started = time.monotonic()
    assert token.wait(5)
    assert time.monotonic() - started < 2
