"""The shop: its history and its present are one function of time."""

from __future__ import annotations

import urllib.request

import numpy as np

from athanor.block.meta import BlockMeta
from demo.history import BLOCK_MS, OUTAGE_MS, STEP_MS, write_history
from demo.shop import INSTANCES, ShopServer, exposition, instance_series

DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2


def test_counters_never_fall_but_for_a_restart():
    times_s = NOON_MS / 1000 + np.arange(0, 3 * 86_400, 15.0)
    for series in instance_series("shop-1", times_s):
        name = dict(series.labels)["__name__"]
        if name.endswith(("_total", "_bucket", "_count")):
            steps = np.diff(series.values)
            restarts = np.flatnonzero(steps < 0)
            assert restarts.size in (2, 3), name  # 72 hours hold two or three ends of 30
            assert series.values[restarts + 1].max() < 1_000


def test_buckets_grow_with_their_bound():
    found = [s for s in instance_series("shop-2", np.array([NOON_MS / 1000])) if "/cart" in dict(s.labels).values()]
    buckets = [s.values[0] for s in found if dict(s.labels)["__name__"].endswith("_bucket")]
    assert len(buckets) == 6
    assert buckets == sorted(buckets)


def test_a_scrape_says_what_the_history_would():
    at_s = NOON_MS / 1000
    line = next(line for line in exposition("shop-3", at_s).splitlines() if line.startswith("shop_queue_length"))
    (wanted,) = (
        s for s in instance_series("shop-3", np.array([at_s])) if s.labels == (("__name__", "shop_queue_length"),)
    )
    assert float(line.rsplit(" ", 1)[1]) == wanted.values[0]


def test_every_instance_has_a_page():
    server = ShopServer()
    try:
        for instance in INSTANCES:
            with urllib.request.urlopen(f"http://{server.address}/{instance}/metrics", timeout=5) as answer:
                assert b"shop_requests_total{" in answer.read()
    finally:
        server.close()


def test_history_is_blocks_of_a_day_for_each_replica_with_one_outage_a_day(tmp_path):
    metas = list(write_history(tmp_path, NOON_MS, 1, "demo"))
    assert [(m.first_ms, m.end_ms) for m in metas] == [
        (NOON_MS - DAY_MS * 3 // 2, NOON_MS - DAY_MS // 2),
        (NOON_MS - DAY_MS * 3 // 2, NOON_MS - DAY_MS // 2),
        (NOON_MS - DAY_MS // 2, NOON_MS),
        (NOON_MS - DAY_MS // 2, NOON_MS),
    ]
    assert [dict(m.external_labels)["replica"] for m in metas] == ["a", "b", "a", "b"]
    assert metas[0].stats.n_samples == metas[0].stats.n_series * ((BLOCK_MS - OUTAGE_MS) // STEP_MS)
    for meta in metas:
        directory = tmp_path / meta.ulid
        read = BlockMeta.from_json((directory / "meta.json").read_bytes(), meta.ulid)
        assert read.thanos is not None
        for file in read.thanos.files:
            if file.size_bytes:
                assert (directory / file.rel_path).stat().st_size == file.size_bytes
