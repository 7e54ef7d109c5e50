"""Metric instruments and their registry."""

from __future__ import annotations

import sys
import threading

import pytest

from athanor.model.metrics import Registry


def shown(registry: Registry) -> dict[str, dict[str, float]]:
    return {
        family.name: {
            suffix + "".join(f"{{{k}={v}}}" for k, v in labels): value for suffix, labels, value in family.samples
        }
        for family in registry.families()
    }


def test_counters_and_gauges():
    registry = Registry()
    counter, gauge = registry.counter("b_total", "h"), registry.gauge("a", "h")
    counter.inc()
    counter.inc(2.5)
    gauge.set(7)
    gauge.dec(2)
    assert shown(registry) == {"a": {"": 5.0}, "b_total": {"": 3.5}}
    assert [family.name for family in registry.families()] == ["a", "b_total"]


def test_histogram_bounds_are_inclusive_and_buckets_cumulative():
    registry = Registry()
    histogram = registry.histogram("h", "h", (1, 2.5))
    for value in (0.5, 1.0, 2.0, 9.0):
        histogram.observe(value)
    assert shown(registry)["h"] == {
        "_bucket{le=1}": 2.0,
        "_bucket{le=2.5}": 3.0,
        "_bucket{le=+Inf}": 4.0,
        "_sum": 12.5,
        "_count": 4.0,
    }


def test_families_keep_one_instrument_per_label_values_and_hide_when_empty():
    registry = Registry()
    family = registry.counter_family("c_total", "h", ("code", "method"))
    assert registry.families() == []
    family.of("200", "get").inc()
    assert family.of("200", "get") is family.of("200", "get")
    assert shown(registry)["c_total"] == {"{code=200}{method=get}": 1.0}
    family.remove("200", "get")
    assert registry.families() == []


def test_a_name_is_registered_once_and_labels_are_complete():
    registry = Registry()
    registry.gauge("a", "h")
    with pytest.raises(AssertionError, match="BUG: metric a is registered twice"):
        registry.counter("a", "h")
    with pytest.raises(AssertionError, match="BUG: labels"):
        registry.gauge_family("g", "h", ("x",)).of()


def test_values_may_be_read_when_somebody_looks():
    registry = Registry()
    values = iter((1.0, 2.0))
    registry.gauge_function("f", "h", lambda: next(values))
    registry.info("i", "h", version="1")
    assert shown(registry) == {"f": {"": 1.0}, "i": {"{version=1}": 1.0}}
    assert shown(registry)["f"] == {"": 2.0}


def test_updates_from_many_threads_are_not_lost():
    registry = Registry()
    counter, histogram = registry.counter("c_total", "h"), registry.histogram("h", "h", (1,))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work() -> None:
        for _ in range(20_000):
            counter.inc()
            histogram.observe(0.5)

    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert counter.value == 80_000
    assert histogram.counts == [80_000, 0]
    assert histogram.sum == 40_000
