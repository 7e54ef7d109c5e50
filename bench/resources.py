"""Memory at rest and the time from exec to ready, with 100 blocks."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from bench.generate import query_series, write_blocks
from bench.measure import rss_mb
from bench.servers import start_query, start_store

N_BLOCKS = 100
N_SERIES = 100
SETTLE_S = 2.0


def measure_resources(blocks: Path, work: Path) -> dict[str, float]:
    """Figures by name: seconds to ready of a store that builds its index headers, of one that has them, of a query;
    resident memory (MB) of both at rest."""
    if len(list(blocks.glob("*/meta.json"))) != N_BLOCKS:
        shutil.rmtree(blocks, ignore_errors=True)
        for _ in write_blocks(blocks, query_series(N_SERIES), N_BLOCKS, {"cluster": "hundred"}):
            pass
    first, _, _, first_ready_s = start_store(blocks, work)
    first.stop()
    store, _, grpc, ready_s = start_store(blocks, work)
    query, _, query_ready_s = start_query([grpc], work)
    time.sleep(SETTLE_S)
    found = {
        "store_first_ready_s": first_ready_s,
        "store_ready_s": ready_s,
        "query_ready_s": query_ready_s,
        "store_idle_mb": rss_mb(store.pid),
        "query_idle_mb": rss_mb(query.pid),
    }
    query.stop()
    store.stop()
    return found
