"""Tables of native histograms: joined, cut, counted, as text; arithmetic lives in the kernels that these wrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import B1, F64, I64, U8
from athanor.model.tables import HISTOGRAM, STALE_NAN_BITS, HistogramLayouts, Histograms, StepBlock
from athanor.promql.floats import general
from athanor.promql.histogram_memory import asked, asked_bytes, n_bytes, pieces
from athanor.promql.histogram_work_kernels import Built, Table

_functions = LazyKernels("athanor.promql.histogram_function_kernels")
_pairs = LazyKernels("athanor.promql.histogram_pair_kernels")
_tables = LazyKernels("athanor.promql.histogram_table_kernels")
_BRACKETS = ("(]", "[)", "()", "[]")


def _writable(array: Any, dtype: Any) -> Any:
    return np.require(array, dtype, ("C", "W"))


def kernel_table(h: Histograms) -> Table:
    """The table as kernels take it: contiguous and writable, though nothing writes it."""
    a = h.layouts
    return Table(
        _writable(a.schema, np.int32), _writable(a.zero_threshold, np.float64), _writable(a.index, np.int32),
        _writable(a.pos_at, np.int64), _writable(a.neg_at, np.int64), _writable(a.bounds, np.float64),
        _writable(a.bounds_at, np.int64), _writable(h.layout, np.int32), _writable(h.hint, np.uint8),
        _writable(h.count, np.float64), _writable(h.sum, np.float64), _writable(h.zero_count, np.float64),
        _writable(h.bucket_at, np.int64), _writable(h.buckets, np.float64),
    )  # fmt: skip


def from_kernel(t: Any) -> Histograms:
    """A `Table` or a finished `Built` as a table of the model."""
    if isinstance(t, Built) or hasattr(t, "n"):
        rows, layouts, indexes, n_bounds, n_buckets = t.n.tolist()
    else:
        rows, layouts, indexes = t.layout.size, t.schema.size, t.index.size
        n_bounds, n_buckets = t.bounds.size, t.buckets.size
    return Histograms(
        HistogramLayouts(
            t.schema[:layouts], t.threshold[:layouts], t.index[:indexes], t.pos_at[: layouts + 1], t.neg_at[:layouts],
            t.bounds[:n_bounds], t.bounds_at[: layouts + 1],
        ),
        t.layout[:rows], t.hint[:rows], t.count[:rows], t.sum[:rows], t.zero[:rows], t.bucket_at[:rows],
        t.buckets[:n_buckets],
    )  # fmt: skip


def n_rows(h: Histograms) -> int:
    return h.layout.size


def room(*tables: Table) -> tuple[int, int]:
    """What kernels need to hold any sum of rows of these tables: buckets on a side, custom bounds."""
    each = [_tables.room(t) for t in tables]
    return max(1, sum(n for n, _ in each)), max(1, *(n for _, n in each))


def take(h: Histograms, rows: I64) -> Histograms:
    """These rows, in this order."""
    t = kernel_table(h)
    with asked("a choice", rows.size, _tables.room(t)[0]) as memory:
        return memory.keep(from_kernel(_tables.take(t, np.ascontiguousarray(rows, np.int64))))


def empty() -> Histograms:
    return from_kernel(Built(
        np.zeros(5, np.int64), np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32), np.zeros(1, np.int64),
        np.empty(0, np.int64), np.empty(0), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.uint8),
        np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty(0),
    ))  # fmt: skip


def _shifted(parts: Sequence[I64], sizes: Sequence[int], last: int) -> I64:
    """Positions in arenas that are now one after the other; with last 1 the end of each list begins the next."""
    starts = np.cumsum([0, *sizes])
    shifted = [part[: part.size - last] + start for part, start in zip(parts, starts.tolist(), strict=False)]
    if last:
        shifted.append(np.array([starts[-1]], np.int64))
    return np.concatenate(shifted).astype(np.int64)


def concat(tables: Sequence[Histograms]) -> Histograms:
    """The rows of all tables, one after the other."""
    if len(tables) == 1:
        return tables[0]
    with asked_bytes(f"{len(tables)} tables of native histograms, joined", sum(map(n_bytes, tables))) as memory:
        return memory.keep(_concatenated(tables))


def _concatenated(tables: Sequence[Histograms]) -> Histograms:
    layouts = [t.layouts for t in tables]
    index_sizes, bounds_sizes = [a.index.size for a in layouts], [a.bounds.size for a in layouts]
    at = np.cumsum([0, *(a.schema.size for a in layouts)])
    return Histograms(
        HistogramLayouts(
            np.concatenate([a.schema for a in layouts]),
            np.concatenate([a.zero_threshold for a in layouts]),
            np.concatenate([a.index for a in layouts]),
            _shifted([a.pos_at for a in layouts], index_sizes, 1),
            _shifted([a.neg_at for a in layouts], index_sizes, 0),
            np.concatenate([a.bounds for a in layouts]),
            _shifted([a.bounds_at for a in layouts], bounds_sizes, 1),
        ),
        np.concatenate([t.layout + np.int32(start) for t, start in zip(tables, at.tolist(), strict=False)]),
        np.concatenate([t.hint for t in tables]),
        np.concatenate([t.count for t in tables]),
        np.concatenate([t.sum for t in tables]),
        np.concatenate([t.zero_count for t in tables]),
        _shifted([t.bucket_at for t in tables], [t.buckets.size for t in tables], 0),
        np.concatenate([t.buckets for t in tables]),
    )


def built_in_pieces(what: str, n_rows: int, n_buckets: int, build: Callable[[slice], Built]) -> Histograms:
    """n_rows histograms of at most n_buckets on a side, some of them in each call of a kernel."""
    parts = []
    for part in pieces(n_rows):
        with asked(what, part.stop - part.start, n_buckets) as memory:
            parts.append(memory.keep(from_kernel(build(part))))
    return concat(parts)


def joined(parts: Sequence[tuple[F64, U8, Histograms | None]]) -> tuple[list[F64], Histograms | None]:
    """Values of several blocks for one table of histograms: cells of kind HISTOGRAM point into the joined table."""
    tables = [h for _, _, h in parts if h is not None]
    if not tables:
        return [values for values, _, _ in parts], None
    if all(h is tables[0] for h in tables):
        return [values for values, _, _ in parts], tables[0]
    out, start = [], 0
    for values, kind, h in parts:
        out.append(np.where(kind == HISTOGRAM, values + start, values) if h is not None and start else values)
        start += 0 if h is None else h.layout.size
    return out, concat(tables)


def has_cells(block: StepBlock) -> bool:
    """Whether any cell is a histogram."""
    return block.histograms is not None and bool((block.kind == HISTOGRAM).any())


def cells(block: StepBlock) -> tuple[B1, I64]:
    """Which cells are histograms, and their rows in order of cells."""
    mask = block.kind == HISTOGRAM
    return mask, block.values[mask].astype(np.int64)


def stale_rows(h: Histograms) -> B1:
    """Rows that end their series."""
    marks: B1 = h.sum.view(np.uint64) == np.uint64(STALE_NAN_BITS)
    return marks


def scaled(h: Histograms, rows: I64, factors: F64, divides: bool = False, compacts: bool = True) -> Histograms:
    """Row p of the result is h[rows[p]] times factors[p], or divided by it."""
    t = kernel_table(h)
    factors = np.ascontiguousarray(factors, np.float64)
    sizes = room(t)

    def scale(part: slice) -> Built:
        built: Built = _pairs.scale_rows(t, rows[part], factors[part], int(divides), int(compacts), *sizes)
        return built

    return built_in_pieces("scaling", rows.size, sizes[0], scale)


def added(a: Histograms, rows: I64, b: Histograms, others: I64, sign: float) -> tuple[Histograms, I64]:
    """a[rows] + sign * b[others], and for each pair what the addition tells (see the kernel `add`)."""
    t, u = kernel_table(a), kernel_table(b)
    sizes, told = room(t, u), []

    def add(part: slice) -> Built:
        built: Built
        built, of_part = _pairs.add_pairs(t, rows[part], u, others[part], sign, *sizes)
        told.append(of_part)
        return built

    table = built_in_pieces("addition", rows.size, sizes[0], add)
    return table, np.concatenate(told)


def equal(a: Histograms, rows: I64, b: Histograms, others: I64) -> B1:
    out = np.empty(rows.size, np.bool_)
    _pairs.equal_pairs(kernel_table(a), rows, kernel_table(b), others, out)
    return out


def bucket_lists(h: Histograms, rows: I64) -> tuple[I64, F64, F64, F64, I64]:
    """(at int64[n+1], lower, upper, count, inclusion) of the populated buckets of each row, ascending.

    inclusion as in JSON: 0 (a, b], 1 [a, b), 2 (a, b), 3 [a, b].
    """
    t = kernel_table(h)
    lists: tuple[I64, F64, F64, F64, I64] = _functions.bucket_lists(t, np.ascontiguousarray(rows, np.int64), *room(t))
    return lists


def texts(h: Histograms, rows: I64) -> list[str]:
    """Each row as Prometheus prints it: `{count:2, sum:3, (0.5,1]:2}`."""
    at, lower, upper, count, codes = bucket_lists(h, rows)
    lists = lower.tolist(), upper.tolist(), count.tolist(), codes.tolist()
    buckets = [
        f", {_BRACKETS[code][0]}{general(low)},{general(high)}{_BRACKETS[code][1]}:{general(n)}"
        for low, high, n, code in zip(*lists, strict=True)
    ]
    heads = zip(h.count[rows].tolist(), h.sum[rows].tolist(), at[:-1].tolist(), at[1:].tolist(), strict=True)
    return [
        f"{{count:{general(n)}, sum:{general(total)}{''.join(buckets[first:last])}}}" for n, total, first, last in heads
    ]
