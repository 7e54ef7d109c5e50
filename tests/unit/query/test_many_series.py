"""What a query holds does not grow with the series that it reads, where its operators need no more than a tile of them.

Whole way: blocks, a store, frames, the fan-out, the engine; the peak is that of the query's budget.
"""

from __future__ import annotations

import numpy as np
import pytest

from athanor.block.meta import BlockMeta, Compaction, ThanosMeta
from athanor.block.writer import encode_samples, write_block
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.tables import Samples, label_table
from athanor.promql.engine import Engine
from athanor.query.storage import FanoutStorage, QuerierOptions
from athanor.store.service import services
from athanor.storeapi.proxy import Proxy

from .conftest import FIRST_MS, LAST_MS, LocalStore, open_gateway

STEP_MS = 30_000
HOUR_MS = 3_600_000
BEGIN_MS = FIRST_MS - FIRST_MS % HOUR_MS + HOUR_MS


def open_series(directory, n_series, interval_ms, hours, is_counter) -> FanoutStorage:
    """n series: counters that rise by one with each sample, or gauges of which number i always says i."""
    n_samples = hours * HOUR_MS // interval_ms
    ts_ms = np.tile(BEGIN_MS + np.arange(n_samples, dtype=np.int64) * interval_ms, n_series)
    if is_counter:
        values = np.tile(np.arange(n_samples, dtype=np.float64), n_series)
    else:
        values = np.repeat(np.arange(n_series, dtype=np.float64), n_samples)
    labels = label_table([[("__name__", "x_total"), ("i", f"{i:06}")] for i in range(n_series)])
    chunks = encode_samples(Samples(ts_ms, values, np.arange(n_series + 1, dtype=np.int64) * n_samples))
    ulid = "01HF0000000000000000000000"
    thanos = ThanosMeta(labels={"cluster": "a"}, segment_files=("000001",))
    end_ms = BEGIN_MS + hours * HOUR_MS
    write_block(
        directory / "bucket",
        labels,
        chunks,
        BlockMeta(ulid, BEGIN_MS, end_ms, compaction=Compaction(1, (ulid,)), thanos=thanos),
    )
    gateway = open_gateway(directory / "bucket", directory / "store")
    store = LocalStore(services(gateway, lambda: FIRST_MS, lambda: LAST_MS))
    return FanoutStorage(Proxy(lambda: [store]), QuerierOptions(replica_labels=("replica",)), CancelToken())


def peak_and_answer(storage, query, n_steps, budget_bytes):
    engine = Engine(n_threads=2)
    try:
        with Budget(budget_bytes) as budget:
            first_ms = BEGIN_MS + 300_000
            result = engine.range(storage, query, first_ms, first_ms + (n_steps - 1) * STEP_MS, STEP_MS, budget=budget)
            return budget.peak_bytes, result.block.values
    finally:
        engine.close()


def test_the_peak_of_a_sum_of_rates_does_not_grow_with_the_series(tmp_path):
    peaks = []
    for n_series in (5_000, 20_000):
        directory = tmp_path / str(n_series)
        directory.mkdir()
        storage = open_series(directory, n_series, 15_000, 2, is_counter=True)
        peak, values = peak_and_answer(storage, "sum(rate(x_total[5m]))", 221, 1 << 30)
        assert values[0] == pytest.approx([n_series / 15] * 221)
        peaks.append(peak)
    assert peaks[1] <= 1.2 * peaks[0], peaks


@pytest.mark.long
def test_a_quantile_over_a_hundred_thousand_series_and_2881_steps_fits_into_a_gibibyte(tmp_path):
    storage = open_series(tmp_path, 100_000, 300_000, 25, is_counter=False)
    peak, values = peak_and_answer(storage, "quantile(0.9, x_total)", 2_881, 1 << 30)
    assert values[0] == pytest.approx([0.9 * 99_999] * 2_881)
    assert peak <= 1 << 30
