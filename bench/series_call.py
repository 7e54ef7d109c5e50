"""One large Series call: 50,000 of 100,000 series x 2 h, ten label pairs each, in batches of 1,000.

    python -m bench.series_call [--rounds 5]

The client is a bare loop of grpcio over raw bytes; frames are counted while they arrive and decoded after the clock has
stopped.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from pathlib import Path

import grpc

from athanor.storeapi.messages import RE, encode, thanos
from bench.generate import BLOCK_MS, FIRST_MS, SEED, wide_series, write_blocks
from bench.measure import reset_peak, rss_mb
from bench.servers import start_store
from demo import programs

N_SERIES, N_ASKED = 100_000, 50_000
BATCH = 1_000
RECEIVE_LIMIT = [("grpc.max_receive_message_length", -1)]


def measure_series_call(blocks: Path, work: Path, n_rounds: int) -> dict[str, float]:
    """Series per second (median, and of the first call) and the store's peak memory (MB)."""
    if len(list(blocks.glob("*/meta.json"))) != 1:
        shutil.rmtree(blocks, ignore_errors=True)
        for _ in write_blocks(blocks, wide_series(N_SERIES), 1, {"cluster": "wide"}, SEED + 1):
            pass
    store, _, port, _ = start_store(blocks, work)
    try:
        reset_peak(store.pid)
        rates = [_one_call(port) for _ in range(n_rounds + 1)]
        peak_mb = rss_mb(store.pid, "VmHWM")
    finally:
        store.stop()
    return {"first_per_s": rates[0], "per_s": statistics.median(rates[1:] or rates), "peak_mb": peak_mb}


def _one_call(port: int) -> float:
    request = thanos.SeriesRequest(
        min_time=FIRST_MS,
        max_time=FIRST_MS + BLOCK_MS - 1,
        matchers=[thanos.LabelMatcher(type=RE, name="__name__", value="container_requests_0[0-9]_total")],
        response_batch_size=BATCH,
    )
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=RECEIVE_LIMIT) as channel:
        call = channel.unary_stream("/thanos.Store/Series")
        grpc.channel_ready_future(channel).result(10)
        start = time.perf_counter()
        frames = list(call(encode(request), timeout=120))
        elapsed_s = time.perf_counter() - start
    n_series = 0
    for frame in frames:
        response = thanos.SeriesResponse.FromString(frame)
        n_series += len(response.batch.series) if response.WhichOneof("result") == "batch" else 1
    if n_series != N_ASKED:
        raise AssertionError(f"{n_series} series came, {N_ASKED} were asked for")
    return n_series / elapsed_s


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.series_call")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path, default=programs.ROOT / "bench-data")
    options = parser.parse_args()
    directory = options.data_dir.resolve()
    found = measure_series_call(directory / "wide", directory / "work" / "series", options.rounds)
    print(
        f"{found['per_s']:,.0f} series/s (first call {found['first_per_s']:,.0f}), "
        f"store's peak {found['peak_mb']:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
