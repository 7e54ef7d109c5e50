"""Rates of every kind of kernel, per core, as a table; this file has those of chunks, frames, blocks and texts.

    python bench/kernels.py [rounds]

Generated data (bench/generate.py), fixed seed. CPU time of one thread, the best of the rounds counts: run it on an
otherwise idle machine and state the machine beside the numbers.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from athanor.block import segments, series
from athanor.block.header import build_header, parse_header
from athanor.block.index_writer import write_index
from athanor.block.meta import BlockMeta
from athanor.block.reader import LocalBlock, open_block
from athanor.block.writer import encode_samples, write_block
from athanor.chunk import xor_kernels
from athanor.kernel import checksum_kernels
from athanor.kernel.float_text_kernels import MAX_BYTES, SLACK, float_texts
from athanor.model.arrays import F64
from athanor.model.tables import Samples, StepBlock, StepGrid, label_table
from athanor.model.workspace import Workspace
from athanor.promql.engine import Result
from athanor.promql.notes import Notes
from athanor.query.dedup import Reading, read_series
from athanor.query.json_result import result_pieces
from athanor.storeapi.frames import read_series_frame, write_series_frames
from athanor.storeapi.rows import chunk_starts
from generate import sorted_labels, wide_series
from kernel_rows import Row
from kernel_rows import rows as other_rows
from query_rows import rows as query_rows
from stream_rows import rows as stream_rows

N_SERIES, N_SAMPLES = 200, 5760
STEP_MS, FIRST_MS = 15_000, 1_700_006_400_000
ULID = "01HF8B9V80Z9RGXZBDFTQVYN52"


def rate(row: Row, rounds: int) -> float:
    """Units a second of CPU time."""
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        row.work()
        best = min(best, time.thread_time() - start)
    return row.amount / best


def shapes() -> dict[str, Samples]:
    """Series of one day in the shapes that matter to a decoder."""
    rng = np.random.default_rng(1)
    ts_ms = np.tile(FIRST_MS + STEP_MS * np.arange(N_SAMPLES, dtype=np.int64), N_SERIES)
    offsets = np.arange(N_SERIES + 1, dtype=np.int64) * N_SAMPLES
    shape = N_SERIES, N_SAMPLES

    def samples(values: F64) -> Samples:
        return Samples(ts_ms, values.astype(np.float64).ravel(), offsets)

    counters = np.cumsum(rng.integers(0, 100, shape), axis=1)
    jitter = rng.integers(-3, 4, ts_ms.size)
    return {
        "counters, random increments": samples(counters),
        "gauges, walk of 3 decimals": samples(np.round(50 + np.cumsum(rng.normal(0, 0.5, shape), axis=1), 3)),
        "gauges, random 3 decimals": samples(np.round(rng.random(shape) * 100, 3)),
        "constants": samples(np.ones(shape)),
        "counters, 3 ms of jitter": replace(samples(counters), ts_ms=ts_ms + jitter),
    }


def chunk_rows() -> list[Row]:
    rows, workspace = [], Workspace()
    for name, samples in shapes().items():
        n = samples.values.size
        chunks = encode_samples(samples)
        m = len(chunks)
        counts, bad_at = np.empty(m, np.int64), np.empty(m, np.int64)
        xor_kernels.count_samples(chunks.arena, chunks.at, chunks.size, counts)
        out_at = np.cumsum(counts) - counts
        ts_ms, bits = workspace.i64("ts_ms", n), workspace.take("bits", n, np.uint64)
        arguments = chunks.arena, chunks.at, chunks.size, out_at, ts_ms, bits, bad_at
        rows.append(Row(f"XOR decode: {name}", "samples", n, lambda a=arguments: xor_kernels.decode(*a)))
        rows.append(Row(f"XOR encode: {name}", "samples", n, lambda s=samples: encode_samples(s)))
    return rows


def frame_rows() -> list[Row]:
    """The whole way of a query: frames as they come from a store, parsed, read, deduplicated to samples."""
    rows, workspace = [], Workspace()
    reading = Reading(FIRST_MS, FIRST_MS + N_SAMPLES * STEP_MS, is_counter=True, deduplicate=True)
    for name, samples in shapes().items():
        table = encode_samples(samples)
        labels = label_table([[("__name__", "c"), ("instance", f"i-{i:04}")] for i in range(samples.n_series)])
        frames = list(write_series_frames(labels, table, 45))

        def decode(frames: list[bytes] = frames) -> None:
            for data in frames:
                frame = read_series_frame(data)
                read_series(frame.chunks, chunk_starts(frame.chunks, len(frame)), reading, workspace)

        rows.append(Row(f"frames to samples: {name}", "samples", samples.values.size, decode))
    return rows


def checksum_rows() -> list[Row]:
    data = np.random.default_rng(2).integers(0, 256, 16 << 20, dtype=np.uint8)
    at = np.arange(0, data.size, 256, dtype=np.int64)
    size = np.full(at.size, 256, np.int64)
    crcs, hashes = np.empty(at.size, np.uint32), np.empty(at.size, np.uint64)
    return [
        Row("CRC-32C, one span", "bytes", data.size, lambda: checksum_kernels.crc32c(data, 0, data.size)),
        Row("CRC-32C, spans of 256", "bytes", data.size, lambda: checksum_kernels.crc32c_spans(data, at, size, crcs)),
        Row("xxHash64, one span", "bytes", data.size, lambda: checksum_kernels.xxhash64(data, 0, data.size)),
        Row(
            "xxHash64, spans of 256",
            "bytes",
            data.size,
            lambda: checksum_kernels.xxhash64_spans(data, at, size, hashes),
        ),
    ]


def wide_block(directory: Path, n_series: int) -> LocalBlock:
    """Series of ten label pairs with four chunks each."""
    labels, _ = sorted_labels(wide_series(n_series))
    steps = FIRST_MS + STEP_MS * np.arange(480, dtype=np.int64)
    values = np.cumsum(np.random.default_rng(3).integers(0, 100, (n_series, 480)), axis=1).astype(np.float64)
    samples = Samples(np.tile(steps, n_series), values.ravel(), np.arange(n_series + 1, dtype=np.int64) * 480)
    write_block(directory, labels, encode_samples(samples), BlockMeta(ULID, FIRST_MS, FIRST_MS + 7_200_000))
    return open_block(directory / ULID)


def block_rows(directory: Path, block: LocalBlock) -> list[Row]:
    refs = block.series_refs()
    entries = block.entries(refs)
    labels, header = block.labels(entries), block.header
    index = block.index.data
    file = build_header(lambda at, n: index[at : at + n], block.index.size, "index")
    record_at = entries.refs & 0xFFFFFFFF
    symbols = header.arena, header.symbol_at, header.symbol_size
    columns = entries.chunk_at, entries.first_ms, entries.last_ms, entries.refs
    return [
        Row("series entries, 10 labels, 4 chunks", "entries", len(entries), lambda: block.entries(refs)),
        Row("label sets from symbols, 10 labels", "sets", len(entries),
            lambda: series.label_sets(*symbols, entries, "x")),
        Row("chunk records found, checksums", "chunks", entries.refs.size,
            lambda: segments.read_records(block.segments[0], record_at, "x")),
        Row("index header parsed", "bytes", len(file), lambda: parse_header(file, "x")),
        Row("index written, 10 labels, 4 chunks", "series", len(entries),
            lambda: write_index(directory / "index", labels, *columns)),
    ]  # fmt: skip


def text_rows() -> list[Row]:
    """Numbers as text, alone and as the answer of a range query."""
    rng = np.random.default_rng(2)
    values = rng.random((N_SERIES, N_SAMPLES))
    flat = {
        "17 digits": values.reshape(-1),
        "3 decimals": np.round(values * 100, 3).reshape(-1),
        "whole numbers": np.floor(values * 1e6).reshape(-1),
    }
    ends = np.empty(values.size, np.int64)
    out = np.empty(values.size * MAX_BYTES + SLACK, np.uint8)
    rows = [
        Row(f"float text: {name}", "numbers", values.size, lambda v=v: float_texts(v, ends, out))
        for name, v in flat.items()
    ]
    table = label_table([[("__name__", "c"), ("i", f"{i:04d}")] for i in range(N_SERIES)])
    grid = StepGrid(FIRST_MS, STEP_MS, N_SAMPLES)
    block = StepBlock(grid, values, np.ones(values.shape, np.uint8), table, np.zeros(N_SERIES, np.bool_))
    result = Result("matrix", grid, Notes(), b"", parts=(block,))
    rows.append(Row("JSON matrix: 17 digits", "points", values.size, lambda: [None for _ in result_pieces(result)]))
    return rows


def all_rows(directory: Path, n_series: int = 20_000) -> Iterator[Row]:
    """Every row, each made when it is asked for. n_series: of the block that some of them read."""
    block = wide_block(directory, n_series)
    own = chunk_rows(), frame_rows(), block_rows(directory, block), checksum_rows(), text_rows()
    return chain(*own, other_rows(block), stream_rows(block), query_rows())


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print("| kernel | unit | a second, one core |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for row in all_rows(Path(directory)):
            found = rate(row, rounds)
            text = f"{found / 1e9:.2f} G" if found >= 1e9 else f"{found / 1e6:.1f} M"
            print(f"| {row.kernel} | {row.unit} | {text} |", flush=True)


if __name__ == "__main__":
    main()
