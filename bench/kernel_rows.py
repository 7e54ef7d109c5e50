"""Work for the kernels of labels, postings, windows, aggregations, operators and replicas; run by bench/kernels.py.

Every row is well below a second: 1,000 series with the samples of two hours, or as many cells as these have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numba
import numpy as np

from athanor.block import postings, select_kernels
from athanor.block.reader import REF_UNIT_BYTES, LocalBlock
from athanor.kernel import label_kernels, labels
from athanor.kernel.types import I64 as I64_TYPE
from athanor.kernel.types import RU8, U8, i64
from athanor.kernel.varint_kernels import read_uvarint, write_uvarint
from athanor.model.arrays import F64, I64, U32
from athanor.model.arrays import U8 as Bytes
from athanor.model.tables import LabelTable, Samples, StepBlock, StepGrid, label_table
from athanor.model.workspace import Workspace
from athanor.promql import binary_kernels, classic_histogram_kernels, function_kernels, window_kernels
from athanor.promql.aggregate import REDUCTIONS, Reduction
from athanor.promql.notes import Notes
from athanor.promql.selection import select_aggregate
from athanor.promql.windows import WINDOW_FUNCTIONS, evaluate_windows, latest_samples
from athanor.query import dedup_kernels
from athanor.store import entry_kernels
from athanor.store.label_overlay import LabelOverlay
from athanor.storeapi.merge import join_rows
from athanor.storeapi.rows import join
from generate import sorted_labels, wide_series
from storeapi import series_tables

N_SERIES, N_SAMPLES, N_GROUPS = 1_000, 500, 20
FIRST_MS, SCRAPE_MS, RANGE_MS = 1_700_006_400_000, 15_000, 300_000
GRID = StepGrid(FIRST_MS + RANGE_MS, 60_000, 120)
CELL_GRID = StepGrid(FIRST_MS, SCRAPE_MS, N_SAMPLES)
N_CELLS = N_SERIES * N_SAMPLES


@dataclass(frozen=True)
class Row:
    """One line of the table: ``work`` handles ``amount`` units."""

    kernel: str
    unit: str
    amount: int
    work: Callable[[], object]


@numba.njit(i64(RU8, i64))
def _read_all(data, n):  # type: ignore[no-untyped-def]
    at = np.int64(0)
    for _ in range(n):
        _, at = read_uvarint(data, at, data.size)
    return at


@numba.njit(i64(I64_TYPE, U8))
def _write_all(values, out):  # type: ignore[no-untyped-def]
    at = np.int64(0)
    for i in range(values.size):
        at = write_uvarint(out, at, np.uint64(values[i]))
    return at


def varint_rows() -> Iterator[Row]:
    rng = np.random.default_rng(11)
    for name, bits in (("1 byte", 7), ("1 to 4 bytes", 28), ("1 to 9 bytes", 63)):
        n = 1_000_000
        values = rng.integers(0, 1 << 62, n) >> rng.integers(62 - bits if bits < 62 else 0, 62, n)
        out = np.empty(10 * n, np.uint8)
        data = out[: _write_all(values, out)].copy()
        yield Row(f"varint read: {name}", "numbers", n, lambda d=data, n=n: _read_all(d, n))
        yield Row(f"varint write: {name}", "numbers", n, lambda v=values, o=out: _write_all(v, o))


def label_rows() -> Iterator[Row]:
    n = 20_000
    table, _ = sorted_labels(wide_series(n))
    rng = np.random.default_rng(12)
    mixed = labels.take(table, rng.permutation(n))
    codes = (np.arange(n) % 50).astype(np.int32)
    values = [f"value-{i}".encode() for i in range(50)]
    index = labels.SetIndex(table)
    works: dict[str, Callable[[], object]] = {
        "compare neighbours": lambda: label_kernels.first_unsorted(table.arena, table.offsets),
        "sort": lambda: labels.sort_order(mixed),
        "hash": lambda: labels.hashes(table),
        "unique": lambda: labels.unique(table),
        "find in an index": lambda: index.find(mixed),
        "group by 2": lambda: labels.group(table, ["code", "cluster_zone"], by=True),
        "group without 2": lambda: labels.group(table, ["code", "cluster_zone"], by=False),
        "project to 2": lambda: labels.keep(table, ["code", "cluster_zone"]),
        "project, less 2": lambda: labels.drop(table, ["code", "cluster_zone"]),
        "column": lambda: labels.column(table, "code"),
        "set column": lambda: labels.set_column(table, "code", codes, values),
        "take": lambda: labels.take(mixed, np.arange(n)),
    }
    for name, work in works.items():
        yield Row(f"label sets of 10: {name}", "sets", n, work)


def posting_rows() -> Iterator[Row]:
    rng = np.random.default_rng(13)

    def ascending(n: int) -> U32:
        return np.sort(rng.choice(4_000_000, n, replace=False)).astype(np.uint32)

    half, other, few = ascending(1_000_000), ascending(1_000_000), ascending(10_000)
    lists = [ascending(50_000) for _ in range(20)]
    refs, offsets = np.concatenate(lists), np.arange(21, dtype=np.int64) * 50_000
    yield Row("postings: intersect, equal sizes", "references", 2_000_000, lambda: postings.intersection([half, other]))
    yield Row("postings: intersect, 1 to 100", "references", 1_010_000, lambda: postings.intersection([half, few]))
    yield Row("postings: union of 20", "references", refs.size, lambda: postings.union(refs.copy(), offsets.copy()))
    yield Row("postings: difference", "references", 2_000_000, lambda: postings.difference(half, other))


def _packed(texts: list[str]) -> tuple[Bytes, I64]:
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    return np.frombuffer("".join(texts).encode(), np.uint8), offsets


def value_rows() -> Iterator[Row]:
    n = 100_000
    arena, offsets = _packed([f"pod-{i:06}-container" for i in range(n)])
    table = arena, offsets[:-1].copy(), np.diff(offsets), 0, n
    keys = _packed([f"pod-{i:06}-container" for i in range(0, n, 10)])
    found = np.empty(n // 10, np.int64)
    prefix, _ = _packed(["pod-05"])
    bounds = np.empty(2, np.int64)
    pieces, gaps, accepted = _packed(["pod-", "77", "-container"]), np.zeros(2, np.int64), np.empty(n, np.bool_)

    def prefixes() -> None:
        for _ in range(1_000):
            select_kernels.prefix_rows(*table, prefix, bounds)

    yield Row(
        "values of a set, in 100,000", "keys", found.size, lambda: select_kernels.find_values(*table, *keys, found)
    )
    yield Row("values of a prefix, in 100,000", "searches", 1_000, prefixes)
    yield Row("values of a pattern of 3 pieces", "values", n,
              lambda: select_kernels.match_pieces(*table, *pieces, gaps, accepted))  # fmt: skip
    long_arena, long_offsets = _packed([f"a{i:043}{'b' if i % 2 else 'c'}" for i in range(n)])
    long_table = long_arena, long_offsets[:-1].copy(), np.diff(long_offsets), 0, n
    ends, gap = _packed(["a", "b"]), np.zeros(1, np.int64)
    yield Row("values of 45 bytes, a.*b", "values", n,
              lambda: select_kernels.match_pieces(*long_table, *ends, gap, accepted))  # fmt: skip


def store_rows(block: LocalBlock) -> Iterator[Row]:
    refs = block.series_refs()
    at = refs.astype(np.int64) * REF_UNIT_BYTES
    end = np.append(at[1:], block.header.toc.series_end)
    needed = np.empty_like(at)
    entries = block.entries(refs)
    yield Row("store: entries measured", "entries", at.size,
              lambda: entry_kernels.measure_entries(block.index, at, end, needed))  # fmt: skip
    for name, external, without in (
        ("2 external labels", [("cluster", "a"), ("replica", "b")], ()),
        ("2 external labels, one left out", [("cluster", "a"), ("replica", "b")], ("replica", "code")),
    ):
        overlay = LabelOverlay(block.header, external, without)
        yield Row(f"store: label sets, {name}", "sets", at.size, lambda o=overlay: o.labels(entries, "x"))


def _counters(n_series: int = N_SERIES) -> Samples:
    rng = np.random.default_rng(14)
    ts_ms = np.tile(FIRST_MS + SCRAPE_MS * np.arange(N_SAMPLES, dtype=np.int64), n_series)
    values = np.cumsum(rng.integers(0, 100, (n_series, N_SAMPLES)), axis=1).astype(np.float64)
    return Samples(ts_ms, values.ravel(), np.arange(n_series + 1, dtype=np.int64) * N_SAMPLES)


def window_rows() -> Iterator[Row]:
    """Windows of 20 samples, a step of 4."""
    samples, workspace = _counters(), Workspace()
    n = samples.values.size
    values, kind = np.empty((N_SERIES, GRID.n)), np.empty((N_SERIES, GRID.n), np.uint8)
    grid = GRID.first_ms, GRID.step_ms, GRID.n
    half = np.full(GRID.n, 0.5)

    def windows(name: str) -> None:
        evaluate_windows(name, samples, *grid, RANGE_MS, [half, half], values, kind, workspace)

    yield Row("instant selector", "samples", n, lambda: latest_samples(samples, *grid, RANGE_MS, values, kind))
    for name in WINDOW_FUNCTIONS:
        yield Row(name, "samples", n, lambda name=name: windows(name))
    present = np.zeros(GRID.n, np.bool_)
    stale = Samples(samples.ts_ms, samples.values.copy(), samples.offsets)
    stale.values.view(np.uint64)[::100] = 0x7FF0000000000002
    out = np.empty(n, np.int64), np.empty(n), np.empty_like(samples.offsets)
    times = samples.ts_ms, samples.offsets
    yield Row("absent_over_time", "samples", n,
              lambda: window_kernels.any_in_window(*times, *grid, RANGE_MS, present))  # fmt: skip
    yield Row("stale markers left out", "samples", n,
              lambda: window_kernels.drop_stale(stale.ts_ms, stale.values, stale.offsets, *out))  # fmt: skip


def _cells(table: LabelTable, values: F64) -> StepBlock:
    n = len(table)
    return StepBlock(CELL_GRID, values, np.ones(values.shape, np.uint8), table, np.zeros(n, np.bool_))


def _series_block() -> StepBlock:
    table = label_table(
        [[("__name__", "m"), ("group", f"g{i % N_GROUPS:02}"), ("i", f"{i:04}")] for i in range(N_SERIES)]
    )
    return _cells(table, np.random.default_rng(15).random((N_SERIES, N_SAMPLES)) * 100 + 1)


def aggregation_rows() -> Iterator[Row]:
    """1,000 series in 20 groups."""
    block, grouping = _series_block(), ("group",)

    def reduce(op: str) -> None:
        reduction = Reduction(op, grouping, False, CELL_GRID)
        reduction.add(block)
        reduction.finish()

    for op in sorted(REDUCTIONS):
        yield Row(f"{op} by group", "cells", N_CELLS, lambda op=op: reduce(op))
    whole = _cells(block.labels, np.floor(block.values / 10))
    chosen: list[tuple[str, StepBlock, F64 | str]] = [
        ("topk", block, np.array(5.0)), ("bottomk", block, np.array(5.0)), ("quantile", block, np.array(0.9)),
        ("limitk", block, np.array(5.0)), ("limit_ratio", block, np.array(0.5)), ("count_values", whole, "value"),
    ]  # fmt: skip
    for op, source, parameter in chosen:
        yield Row(f"{op} by group", "cells", N_CELLS, lambda op=op, s=source, p=parameter: select_aggregate(
            op, s, p, grouping, False, Notes(), 0, 0, 0))  # fmt: skip


def operator_rows() -> Iterator[Row]:
    left, right = _series_block(), np.random.default_rng(16).random((N_SERIES, N_SAMPLES)) * 5
    rows, scalar = np.arange(N_SERIES), np.full(N_SAMPLES, 50.0)
    out, kind = np.empty_like(left.values), np.empty_like(left.kind)
    sides = left.values, left.kind, rows, right, left.kind, rows
    for op, name in enumerate(binary_kernels.OPERATORS):
        yield Row(
            f"vector {name} vector", "cells", N_CELLS, lambda op=op: binary_kernels.pair_rows(op, 0, *sides, out, kind)
        )
    for name in ("*", ">"):
        op = binary_kernels.OPERATORS.index(name)
        yield Row(f"vector {name} scalar", "cells", N_CELLS, lambda op=op: binary_kernels.scalar_rows(
            op, 0, left.values, left.kind, scalar, 0, out, kind))  # fmt: skip
    there = np.zeros_like(left.kind)
    yield Row("and: presence of the right", "cells", N_CELLS, lambda: binary_kernels.presence(left.kind, rows, there))
    yield Row("and: cells kept", "cells", N_CELLS, lambda: binary_kernels.mask_rows(left.kind, rows, there, 1, kind))
    yield Row("or: rows merged", "cells", N_CELLS,
              lambda: binary_kernels.merge_rows(left.values, left.kind, rows, out, kind))  # fmt: skip


def function_rows() -> Iterator[Row]:
    block = _series_block()
    kind, out, out_kind = block.kind.ravel(), np.empty_like(block.values), np.empty_like(block.kind)
    unit = block.values.ravel() / 101  # where every function but acosh has a value
    times = FIRST_MS / 1000 + block.values.ravel() * 1e6
    for number, name in enumerate(function_kernels.ELEMENTWISE):
        values = block.values.ravel() if name == "acosh" else unit
        yield Row(name, "cells", N_CELLS, lambda f=number, v=values: function_kernels.apply(f, v, kind, out.ravel()))
    for number, name in enumerate(function_kernels.DATE_FIELDS):
        yield Row(name, "cells", N_CELLS, lambda f=number: function_kernels.date_field(f, times, kind, out.ravel()))
    low, high = np.full(N_SAMPLES, 25.0), np.full(N_SAMPLES, 75.0)
    cells, target = (block.values, block.kind), (out, out_kind)
    yield Row("round", "cells", N_CELLS, lambda: function_kernels.round_to(*cells, low, *target))
    yield Row("clamp", "cells", N_CELLS, lambda: function_kernels.clamp_plain(*cells, low, high, *target))
    yield Row("clamp, bounds of NaN or -0", "cells", N_CELLS,
              lambda: function_kernels.clamp_exact(*cells, low, high, *target))  # fmt: skip


def histogram_rows() -> Iterator[Row]:
    """100 classic histograms of ten buckets."""
    n_groups, n_buckets = N_SERIES // 10, 10
    rng = np.random.default_rng(17)
    counts = np.cumsum(rng.random((n_groups, n_buckets, N_SAMPLES)) + 0.1, axis=1).reshape(N_SERIES, N_SAMPLES)
    kind = np.ones(counts.shape, np.uint8)
    bounds = np.tile(np.append(2.0 ** np.arange(n_buckets - 1), np.inf), n_groups)
    source = np.arange(N_SERIES), np.arange(n_groups + 1) * n_buckets, bounds, counts, kind
    shape = n_groups, N_SAMPLES
    out, out_kind, forced = np.empty(shape), np.empty(shape, np.uint8), np.zeros(shape, np.uint8)
    repairs = np.full(n_groups, np.inf), np.full(n_groups, -np.inf), np.zeros(n_groups)
    scratch = np.empty(n_buckets), np.empty(n_buckets)
    q, low, high = (np.full(N_SAMPLES, value) for value in (0.9, 3.0, 100.0))
    yield Row("histogram_quantile, 10 buckets", "cells", N_CELLS, lambda: classic_histogram_kernels.quantiles(
        *source, q, 0, n_groups, out, out_kind, forced, *repairs, *scratch))  # fmt: skip
    yield Row("histogram_fraction, 10 buckets", "cells", N_CELLS, lambda: classic_histogram_kernels.fractions(
        *source, low, high, 0, n_groups, out, out_kind, *scratch))  # fmt: skip


def replica_rows() -> Iterator[Row]:
    """Two replicas of 1,000 series, the second scraped 4 s later, the first with a hole of 90 s."""
    first = _counters(2 * N_SERIES)
    ts_ms = first.ts_ms.reshape(N_SERIES, 2, N_SAMPLES).copy()
    ts_ms[:, 1] += 4_000
    ts_ms[:, 0, N_SAMPLES // 2 :] += 90_000
    values = np.repeat(first.values.reshape(2, N_SERIES, N_SAMPLES)[0][:, None], 2, axis=1).ravel()
    starts = np.arange(N_SERIES + 1, dtype=np.int64) * 2
    chunks = ts_ms[:, :, 0].ravel().copy(), ts_ms[:, :, -1].ravel().copy()
    n, most = values.size, 2 * N_SAMPLES
    scratch = (
        np.empty(2, np.int32), np.empty(2, np.int64), np.empty(2, np.int64), np.empty(2, np.int64), np.empty(2),
        np.empty(most, np.int64), np.empty(most), np.empty(2 * dedup_kernels.NODE_FIELDS, np.int64),
    )  # fmt: skip
    out = np.empty(n, np.int64), np.empty(n), np.empty(N_SERIES + 1, np.int64)
    flat, span_ms = ts_ms.ravel(), (FIRST_MS, FIRST_MS + 86_400_000)
    counter = dedup_kernels.LOSES_RESETS | dedup_kernels.LIFTS
    for name, mode in (("gauges", 0), ("counters", counter)):
        yield Row(f"two replicas deduplicated: {name}", "samples", n, lambda m=mode: dedup_kernels.deduplicate(
            starts, *chunks, first.offsets, flat, values, m, *span_ms, *scratch, *out))  # fmt: skip
    halves = np.arange(4 * N_SERIES + 1) * (N_SAMPLES // 2)
    half = np.arange(0, 4 * N_SERIES, 2)
    taken_at = np.empty(half.size + 1, np.int64)
    yield Row("chunks of one selection taken: half of them", "samples", n // 2, lambda: dedup_kernels.take_sequences(
        half, halves, first.ts_ms, first.values, *out[:2], taken_at))  # fmt: skip
    pairs, offsets = np.arange(2 * N_SERIES + 1) * 2, np.empty(2 * N_SERIES + 1, np.int64)
    yield Row("chunks joined: counters", "samples", n, lambda: dedup_kernels.join_sequences(
        pairs, halves, first.ts_ms, first.values, counter, *span_ms, *out[:2], offsets))  # fmt: skip


def merge_rows() -> Iterator[Row]:
    for name, shifts in (("3 stores, other chunks", (0, 7, 11)), ("3 stores, the same chunks", (0, 0, 0))):
        tables = join([series_tables(N_SERIES, 12, shift) for shift in shifts])
        yield Row(f"ordered merge: {name}", "chunks", len(tables[1]), lambda t=tables: join_rows(*t))


def rows(block: LocalBlock) -> Iterator[Row]:
    """All rows, each made when it is asked for."""
    yield from varint_rows()
    yield from label_rows()
    yield from posting_rows()
    yield from value_rows()
    yield from store_rows(block)
    yield from window_rows()
    yield from aggregation_rows()
    yield from operator_rows()
    yield from function_rows()
    yield from histogram_rows()
    yield from replica_rows()
    yield from merge_rows()
