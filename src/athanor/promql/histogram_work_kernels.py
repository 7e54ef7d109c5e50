# mypy: ignore-errors
"""Native histograms inside kernels: a row of a table unpacked, changed, and written to a table that grows.

`Table` is `model.tables.Histograms` as kernels take it. `Work` is one histogram spread out: bucket indexes with counts
and the compensations of counts, both sides apart. `Built` is a table under construction; rows that share a layout with
the row before them share its entry. Rules: Prometheus 3.14 model/histogram/float_histogram.go.
"""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

import numpy as np
from numba import types

from athanor.kernel.compile import inline
from athanor.kernel.types import F64, I32, I64, U8
from athanor.promql.histogram_code_kernels import (
    BOUNDS,
    BUCKETS,
    COUNT,
    COUNT_C,
    GAUGE,
    HINT,
    INDEXES,
    LAYOUTS,
    N_BOUNDS,
    N_NEG,
    N_POS,
    ROWS,
    SCHEMA,
    SUM,
    SUM_C,
    THRESHOLD,
    UNKNOWN,
    ZERO,
    ZERO_C,
)

LARGEST = 1.7976931348623157e308

# How far the table of fractions lies from the nearest doubles, in units of the last place downwards; + is upwards.
_DEVIATIONS = (
    "00000010001000000012001111111111001000100111001100110+1100110011"
    "0000001111221021001000100001000000010+00102200110111001010221111"
    "1010112211211011111111212122212200110010112210221122101121221121"
    "1132112122322232222222333344324311211222213311222132112222432233"
)


def _fractions():
    """2**(k/256 - 1) for k = 0..255 as Prometheus has them."""
    out = np.empty(256, np.float64)
    for k, deviation in enumerate(_DEVIATIONS):
        root = 1 << k + 256 * 120
        for _ in range(8):
            root = isqrt(root)
        mantissa = (root + (1 << 67)) >> 68
        out[k] = (mantissa - (-1 if deviation == "+" else int(deviation))) * 2.0**-53
    return out


FRACTIONS = _fractions()


class Table(NamedTuple):
    schema: object
    threshold: object
    index: object
    pos_at: object
    neg_at: object
    bounds: object
    bounds_at: object
    layout: object
    hint: object
    count: object
    sum: object
    zero: object
    bucket_at: object
    buckets: object


class Built(NamedTuple):
    n: object
    schema: object
    threshold: object
    index: object
    pos_at: object
    neg_at: object
    bounds: object
    bounds_at: object
    layout: object
    hint: object
    count: object
    sum: object
    zero: object
    bucket_at: object
    buckets: object


class Work(NamedTuple):
    meta: object
    scalars: object
    pos: object
    pos_v: object
    pos_c: object
    neg: object
    neg_v: object
    neg_c: object
    bounds: object


_COLUMNS = (I32, F64, I32, I64, I64, F64, I64, I32, U8, F64, F64, F64, I64, F64)
TABLE = types.NamedTuple(_COLUMNS, Table)
BUILT = types.NamedTuple((I64, *_COLUMNS), Built)


@inline
def new_work(room, n_bounds):
    """room: buckets on each side."""
    return Work(
        np.zeros(5, np.int64),
        np.zeros(7, np.float64),
        np.empty(room, np.int64),
        np.empty(room, np.float64),
        np.empty(room, np.float64),
        np.empty(room, np.int64),
        np.empty(room, np.float64),
        np.empty(room, np.float64),
        np.empty(n_bounds, np.float64),
    )


@inline
def load(t, row, w):
    layout = t.layout[row]
    meta, scalars = w.meta, w.scalars
    first, middle, end = t.pos_at[layout], t.neg_at[layout], t.pos_at[layout + 1]
    bounds_at, bounds_end = t.bounds_at[layout], t.bounds_at[layout + 1]
    meta[SCHEMA] = t.schema[layout]
    meta[HINT] = t.hint[row]
    meta[N_POS] = middle - first
    meta[N_NEG] = end - middle
    meta[N_BOUNDS] = bounds_end - bounds_at
    scalars[THRESHOLD] = t.threshold[layout]
    scalars[COUNT] = t.count[row]
    scalars[SUM] = t.sum[row]
    scalars[ZERO] = t.zero[row]
    scalars[COUNT_C] = 0.0
    scalars[SUM_C] = 0.0
    scalars[ZERO_C] = 0.0
    at = t.bucket_at[row]
    for k in range(middle - first):
        w.pos[k] = t.index[first + k]
        w.pos_v[k] = t.buckets[at + k]
        w.pos_c[k] = 0.0
    at += middle - first
    for k in range(end - middle):
        w.neg[k] = t.index[middle + k]
        w.neg_v[k] = t.buckets[at + k]
        w.neg_c[k] = 0.0
    for k in range(bounds_end - bounds_at):
        w.bounds[k] = t.bounds[bounds_at + k]


@inline
def load_compensation(t, row, w):
    """Reads the compensations of a histogram that is loaded: row has its layout."""
    w.scalars[COUNT_C] = t.count[row]
    w.scalars[SUM_C] = t.sum[row]
    w.scalars[ZERO_C] = t.zero[row]
    at = t.bucket_at[row]
    for k in range(w.meta[N_POS]):
        w.pos_c[k] = t.buckets[at + k]
    at += w.meta[N_POS]
    for k in range(w.meta[N_NEG]):
        w.neg_c[k] = t.buckets[at + k]


@inline
def copy_shape(source, w):
    """An empty histogram with the schema and the bounds of another."""
    w.meta[SCHEMA] = source.meta[SCHEMA]
    w.meta[HINT] = UNKNOWN
    w.meta[N_POS] = 0
    w.meta[N_NEG] = 0
    w.meta[N_BOUNDS] = source.meta[N_BOUNDS]
    w.scalars[:] = 0.0
    for k in range(source.meta[N_BOUNDS]):
        w.bounds[k] = source.bounds[k]


@inline
def new_built(rows, buckets):
    return Built(
        np.zeros(5, np.int64),
        np.empty(4, np.int32),
        np.empty(4, np.float64),
        np.empty(64, np.int32),
        np.zeros(5, np.int64),
        np.empty(4, np.int64),
        np.empty(16, np.float64),
        np.zeros(5, np.int64),
        np.empty(rows, np.int32),
        np.empty(rows, np.uint8),
        np.empty(rows, np.float64),
        np.empty(rows, np.float64),
        np.empty(rows, np.float64),
        np.empty(rows, np.int64),
        np.empty(buckets, np.float64),
    )


@inline
def grown(array, used, wanted):
    if wanted <= array.size:
        return array
    out = np.empty(2 * wanted, array.dtype)
    out[:used] = array[:used]
    return out


@inline
def _room_for(b, n_buckets, n_bounds):
    """The same table with room for one row more."""
    n = b.n
    rows, layouts = n[ROWS] + 1, n[LAYOUTS] + 1
    if (
        rows <= b.layout.size
        and layouts <= b.schema.size
        and n[INDEXES] + n_buckets <= b.index.size
        and n[BOUNDS] + n_bounds <= b.bounds.size
        and n[BUCKETS] + n_buckets <= b.buckets.size
    ):
        return b
    return Built(
        n,
        grown(b.schema, n[LAYOUTS], layouts),
        grown(b.threshold, n[LAYOUTS], layouts),
        grown(b.index, n[INDEXES], n[INDEXES] + n_buckets),
        grown(b.pos_at, n[LAYOUTS] + 1, layouts + 1 if layouts <= b.schema.size else 2 * layouts + 1),
        grown(b.neg_at, n[LAYOUTS], layouts),
        grown(b.bounds, n[BOUNDS], n[BOUNDS] + n_bounds),
        grown(b.bounds_at, n[LAYOUTS] + 1, layouts + 1 if layouts <= b.schema.size else 2 * layouts + 1),
        grown(b.layout, n[ROWS], rows),
        grown(b.hint, n[ROWS], rows),
        grown(b.count, n[ROWS], rows),
        grown(b.sum, n[ROWS], rows),
        grown(b.zero, n[ROWS], rows),
        grown(b.bucket_at, n[ROWS], rows),
        grown(b.buckets, n[BUCKETS], n[BUCKETS] + n_buckets),
    )


@inline
def _same_floats(a, at, n_a, b, n_b):
    if n_a != n_b:
        return False
    for k in range(n_a):
        if a[at + k] != b[k]:
            return False
    return True


@inline
def _same_indexes(a, at, n_a, b, n_b):
    if n_a != n_b:
        return False
    for k in range(n_a):
        if np.int64(a[at + k]) != b[k]:
            return False
    return True


@inline
def _is_layout(b, layout, w):
    meta = w.meta
    if b.schema[layout] != meta[SCHEMA] or b.threshold[layout] != w.scalars[THRESHOLD]:
        return False
    first, middle, end = b.pos_at[layout], b.neg_at[layout], b.pos_at[layout + 1]
    bounds_at = b.bounds_at[layout]
    return (
        _same_indexes(b.index, first, middle - first, w.pos, meta[N_POS])
        and _same_indexes(b.index, middle, end - middle, w.neg, meta[N_NEG])
        and _same_floats(b.bounds, bounds_at, b.bounds_at[layout + 1] - bounds_at, w.bounds, meta[N_BOUNDS])
    )


@inline
def _add_layout(b, w):
    n, meta = b.n, w.meta
    layout = n[LAYOUTS]
    b.schema[layout] = meta[SCHEMA]
    b.threshold[layout] = w.scalars[THRESHOLD]
    at = n[INDEXES]
    for k in range(meta[N_POS]):
        b.index[at + k] = w.pos[k]
    at += meta[N_POS]
    b.neg_at[layout] = at
    for k in range(meta[N_NEG]):
        b.index[at + k] = w.neg[k]
    at += meta[N_NEG]
    b.pos_at[layout + 1] = at
    n[INDEXES] = at
    at = n[BOUNDS]
    for k in range(meta[N_BOUNDS]):
        b.bounds[at + k] = w.bounds[k]
    n[BOUNDS] = at + meta[N_BOUNDS]
    b.bounds_at[layout + 1] = n[BOUNDS]
    n[LAYOUTS] = layout + 1


@inline
def emit(b, w, compensations):
    """Appends a histogram, or its compensations in its layout; use the table that is returned from here on."""
    meta, scalars = w.meta, w.scalars
    n_buckets = meta[N_POS] + meta[N_NEG]
    b = _room_for(b, n_buckets, meta[N_BOUNDS])
    n = b.n
    if n[LAYOUTS] == 0 or not _is_layout(b, n[LAYOUTS] - 1, w):
        _add_layout(b, w)
    row = n[ROWS]
    b.layout[row] = n[LAYOUTS] - 1
    b.hint[row] = meta[HINT]
    at = n[BUCKETS]
    b.bucket_at[row] = at
    if compensations:
        b.count[row] = scalars[COUNT_C]
        b.sum[row] = scalars[SUM_C]
        b.zero[row] = scalars[ZERO_C]
        b.buckets[at : at + meta[N_POS]] = w.pos_c[: meta[N_POS]]
        b.buckets[at + meta[N_POS] : at + n_buckets] = w.neg_c[: meta[N_NEG]]
    else:
        b.count[row] = scalars[COUNT]
        b.sum[row] = scalars[SUM]
        b.zero[row] = scalars[ZERO]
        b.buckets[at : at + meta[N_POS]] = w.pos_v[: meta[N_POS]]
        b.buckets[at + meta[N_POS] : at + n_buckets] = w.neg_v[: meta[N_NEG]]
    n[BUCKETS] = at + n_buckets
    n[ROWS] = row + 1
    return b


@inline
def _compact_side(index, values, compensations, n):
    m = np.int64(0)
    for k in range(n):
        if values[k] != 0.0:
            index[m] = index[k]
            values[m] = values[k]
            compensations[m] = compensations[k]
            m += 1
    return m


@inline
def compact(w):
    """Leaves out empty buckets."""
    w.meta[N_POS] = _compact_side(w.pos, w.pos_v, w.pos_c, w.meta[N_POS])
    w.meta[N_NEG] = _compact_side(w.neg, w.neg_v, w.neg_c, w.meta[N_NEG])


@inline
def scale(w, factor):
    scalars = w.scalars
    for k in range(COUNT, ZERO_C + 1):
        scalars[k] *= factor
    for k in range(w.meta[N_POS]):
        w.pos_v[k] *= factor
        w.pos_c[k] *= factor
    for k in range(w.meta[N_NEG]):
        w.neg_v[k] *= factor
        w.neg_c[k] *= factor
    if factor < 0.0:
        w.meta[HINT] = GAUGE


@inline
def divide(w, factor):
    """Division by zero leaves no buckets."""
    scalars = w.scalars
    for k in range(COUNT, ZERO_C + 1):
        scalars[k] /= factor
    if factor == 0.0:
        w.meta[N_POS] = 0
        w.meta[N_NEG] = 0
    for k in range(w.meta[N_POS]):
        w.pos_v[k] /= factor
        w.pos_c[k] /= factor
    for k in range(w.meta[N_NEG]):
        w.neg_v[k] /= factor
        w.neg_c[k] /= factor
    if factor < 0.0:
        w.meta[HINT] = GAUGE


@inline
def add_compensations(w):
    """The compensated histogram: every count and its compensation added."""
    scalars = w.scalars
    for k in range(3):
        scalars[COUNT + k] += scalars[COUNT_C + k]
        scalars[COUNT_C + k] = 0.0
    for k in range(w.meta[N_POS]):
        w.pos_v[k] += w.pos_c[k]
        w.pos_c[k] = 0.0
    for k in range(w.meta[N_NEG]):
        w.neg_v[k] += w.neg_c[k]
        w.neg_c[k] = 0.0


@inline
def bound(index, schema):
    """The upper bound of a positive exponential bucket."""
    if schema < 0:
        exponent = index << np.int64(-schema)
        if exponent >= 1024:
            return LARGEST if exponent == 1024 else np.inf
        return np.ldexp(1.0, np.int32(max(exponent, -1100)))
    k = index & ((np.int64(1) << schema) - 1)
    fraction = FRACTIONS[k << (8 - schema)]
    exponent = (index >> schema) + 1
    if fraction == 0.5 and exponent == 1025:
        return LARGEST
    return np.ldexp(fraction, np.int32(min(max(exponent, -1100), 1100)))
