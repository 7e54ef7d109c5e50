"""Functions over instant vectors against plain references, one cell or one histogram at a time."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.tables import StepBlock, StepGrid, label_table
from athanor.promql import blocks
from athanor.promql.function_kernels import DATE_FIELDS, ELEMENTWISE
from athanor.promql.functions import FUNCTIONS, ROWWISE, FunctionCall, scalar_of
from athanor.promql.notes import Notes

NAN, INF = math.nan, math.inf
anything = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 1.0, NAN, INF, -INF])


def make(rows, cells):
    """cells: a list for each row, None where the row has no sample."""
    n = len(cells[0]) if cells else 1
    kind = np.array([[c is not None for c in row] for row in cells], np.uint8).reshape(len(cells), n)
    values = np.array([[77.0 if c is None else c for c in row] for row in cells]).reshape(len(cells), n)
    return blocks.block(StepGrid(0, 1000, n), label_table(rows), values, kind)


def run(name, source, scalars=(), notes=None):
    spread = tuple(np.broadcast_to(np.asarray(s, np.float64), (source.grid.n,)).copy() for s in scalars)
    call = FunctionCall(name, source.grid, (source,), spread, (), notes or Notes(), 0, (1, 2, 3)[: 1 + len(scalars)])
    return FUNCTIONS[name](call)


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=1e-13)


@st.composite
def matrices(draw, cell=anything):
    n_rows, n = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    cells = [[draw(st.none() | cell) for _ in range(n)] for _ in range(n_rows)]
    return make([[("i", str(i))] for i in range(n_rows)], cells), cells


@given(matrices(), st.sampled_from(sorted(ROWWISE)), st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_rowwise_functions_do_not_depend_on_how_rows_are_cut(data, name, cut):
    source, _ = data
    scalars = {"clamp": (-1.0, 2.0), "clamp_min": (0.5,), "clamp_max": (0.5,), "round": (0.3,)}.get(name, ())
    whole = run(name, source, scalars)
    n = len(source.labels)
    parts = [run(name, blocks.take_rows(source, np.arange(*r)), scalars) for r in ((0, min(cut, n)), (min(cut, n), n))]
    joined = blocks.concat_blocks(source.grid, parts)
    there = whole.kind == 1
    assert np.array_equal(joined.kind, whole.kind)
    assert np.array_equal(joined.values[there], whole.values[there], equal_nan=True)
    assert np.array_equal(there, source.kind == 1)


SIMPLE = {
    "abs": abs, "sgn": lambda v: math.copysign(1, v) if v else v, "deg": lambda v: v * 180 / math.pi,
    "rad": lambda v: v * math.pi / 180, "atan": math.atan, "tanh": math.tanh, "asinh": math.asinh,
    "ceil": lambda v: float(np.ceil(v)), "floor": lambda v: float(np.floor(v)),
    "sqrt": lambda v: NAN if v < 0 else math.sqrt(v),
    "acos": lambda v: math.acos(v) if abs(v) <= 1 else NAN, "asin": lambda v: math.asin(v) if abs(v) <= 1 else NAN,
    "acosh": lambda v: math.acosh(v) if v >= 1 else NAN,
    "ln": lambda v: math.log(v) if v > 0 else (-INF if v == 0 else NAN),
    "log10": lambda v: math.log10(v) if v > 0 else (-INF if v == 0 else NAN),
    "sin": lambda v: math.sin(v) if math.isfinite(v) else NAN,
    "cos": lambda v: math.cos(v) if math.isfinite(v) else NAN,
}  # fmt: skip


@given(matrices(), st.sampled_from(sorted(SIMPLE)))
@settings(max_examples=300, deadline=None)
def test_elementwise_functions_match_the_plain_ones(data, name):
    source, cells = data
    assert name in ELEMENTWISE
    result = run(name, source)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            if cell is not None:
                expected = NAN if math.isnan(cell) else SIMPLE[name](cell)
                assert same(result.values[i, j], expected), (name, cell)


def go_max(x, y):
    if INF in (x, y):
        return INF
    return NAN if math.isnan(x) or math.isnan(y) else max(x, y)


def go_min(x, y):
    return -go_max(-x, -y)


@given(matrices(), anything, anything)
@settings(max_examples=300, deadline=None)
def test_clamp_matches_go_min_and_max(data, low, high):
    source, cells = data
    result = run("clamp", source, (low, high))
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            assert result.kind[i, j] == (cell is not None and not high < low)
            if cell is not None and not high < low:
                assert same(result.values[i, j], go_max(low, go_min(high, cell)))


@given(st.lists(st.integers(-62_135_596_800, 253_402_300_799), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_calendar_fields_match_the_gregorian_calendar_of_the_standard_library(times):
    source = make([[]], [[float(t) for t in times]])
    answers = {name: run(name, source).values[0].tolist() for name in DATE_FIELDS}
    for i, t in enumerate(times):
        d = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=t)
        following = (d.year + d.month // 12, d.month % 12 + 1)
        in_month = 31 if following[0] > 9999 else (datetime(*following, 1) - datetime(d.year, d.month, 1)).days
        expected = {
            "minute": d.minute, "hour": d.hour, "day_of_week": d.isoweekday() % 7, "day_of_month": d.day,
            "day_of_year": d.timetuple().tm_yday, "days_in_month": in_month, "month": d.month, "year": d.year,
        }  # fmt: skip
        assert {name: int(answers[name][i]) for name in DATE_FIELDS} == expected


@given(matrices())
@settings(max_examples=200, deadline=None)
def test_scalar_is_the_only_float(data):
    source, cells = data
    got = scalar_of(source)
    for j in range(source.grid.n):
        there = [row[j] for row in cells if row[j] is not None]
        assert same(got[j], there[0] if len(there) == 1 else NAN)


# ---- classic histograms


def almost(a, b):
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    size, distance = abs(a) + abs(b), abs(a - b)
    if a == 0 or b == 0 or size < 2.2250738585072014e-308:
        return distance < 1e-12 * 2.2250738585072014e-308
    return distance / min(size, 1.7976931348623157e308) < 1e-12


def merged(pairs):
    """Buckets in order of bounds, equal bounds added; None without an infinite one."""
    pairs = sorted(pairs, key=lambda p: p[0])
    if pairs[-1][0] != INF:
        return None
    out = []
    for bound, count in pairs:
        if out and out[-1][0] == bound:
            out[-1][1] += count
        else:
            out.append([bound, count])
    return out


def ref_quantile(q, pairs):
    """(value, whether counts were raised)"""
    if math.isnan(q):
        return NAN, False
    if not 0 <= q <= 1:
        return (-INF if q < 0 else INF), False
    found = merged(pairs)
    if found is None:
        return NAN, False
    forced, previous = False, found[0][1]
    for bucket in found[1:]:
        if almost(previous, bucket[1]):
            bucket[1] = previous
        elif bucket[1] < previous:
            bucket[1], forced = previous, True
        else:
            previous = bucket[1]
    if len(found) < 2 or found[-1][1] == 0:
        return NAN, forced
    rank = q * found[-1][1]
    b = next((i for i, (_, count) in enumerate(found[:-1]) if count >= rank), len(found) - 1)
    if b == len(found) - 1:
        return found[-2][0], forced
    if b == 0 and found[0][0] <= 0:
        return found[0][0], forced
    start, before = (found[b - 1][0], found[b - 1][1]) if b else (0.0, 0.0)
    with np.errstate(all="ignore"):
        share = float(np.float64(rank - before) / np.float64(found[b][1] - before))
    return start + (found[b][0] - start) * share, forced


def ref_fraction(lower, upper, pairs):
    found = merged(pairs)
    if found is None or found[-1][1] == 0 or math.isnan(lower) or math.isnan(upper):
        return NAN
    if lower >= upper:
        return 0.0
    total = found[-1][1]

    def rank_of(limit):
        low, rank = (0.0 if found[0][0] > 0 else -INF), 0.0
        for high, count in found:
            if low >= limit:
                return rank
            if high > limit:
                return count if low == -INF else rank + (count - rank) * (limit - low) / (high - low)
            low, rank = high, count
        return total

    return (min(rank_of(upper), total) - min(rank_of(lower), total)) / total


BOUNDS = ["-1", "0", "0.5", "1", "1.0", "2.5", "10", "1e1", "+Inf", "inf"]
counts = st.none() | st.integers(0, 20).map(float) | st.sampled_from([5.0 + 1e-13, 5.0 - 1e-13, 1e300])


@st.composite
def histograms(draw):
    n_groups, n = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rows, cells = [], []
    for g in range(n_groups):
        if draw(st.booleans()):  # as they should be: every bucket there, counts that never fall
            total = [0.0] * n
            for le in sorted({"+Inf", *draw(st.sets(st.sampled_from(["-1", "0", "0.5", "1", "10"])))}, key=float):
                total = [t + draw(st.integers(0, 5)) for t in total]
                rows.append([("__name__", "h"), ("g", str(g)), ("le", le)])
                cells.append(total)
            continue
        for le in draw(st.lists(st.sampled_from(BOUNDS), unique=True, min_size=1)):
            rows.append([("__name__", "h"), ("g", str(g)), ("le", le)])
            cells.append([draw(counts) for _ in range(n)])
    order = draw(st.permutations(range(len(rows))))
    return [rows[i] for i in order], [cells[i] for i in order]


def classic(rows, cells, j):
    groups = {}
    for row, values in zip(rows, cells, strict=True):
        if values[j] is not None:
            groups.setdefault(dict(row)["g"], []).append((float(dict(row)["le"]), values[j]))
    return groups


def by_group(result, j):
    return {
        dict(result.labels.pairs(i))["g"]: result.values[i, j] for i in range(len(result.labels)) if result.kind[i, j]
    }


@given(histograms(), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0, -1.0, 2.0, NAN]) | st.floats(0, 1))
@settings(max_examples=500, deadline=None)
def test_quantiles_of_classic_histograms_match_the_plain_ones(data, q):
    rows, cells = data
    notes = Notes()
    result = run("histogram_quantile", make(rows, cells), (q,), notes)
    forced = False
    for j in range(len(cells[0])):
        expected = {g: ref_quantile(q, pairs) for g, pairs in classic(rows, cells, j).items()}
        got = by_group(result, j)
        assert got.keys() == expected.keys()
        for g, (value, raised) in expected.items():
            assert same(got[g], value), (g, j, got[g], value)
            forced |= raised
    assert any("monotonicity" in note.text for note in notes) == forced


limits = st.sampled_from([-INF, -2.0, -1.0, 0.0, 0.25, 1.0, 2.0, 10.0, 11.0, INF, NAN]) | st.floats(-3, 12)


@given(histograms(), limits, limits)
@settings(max_examples=500, deadline=None)
def test_fractions_of_classic_histograms_match_the_plain_ones(data, lower, upper):
    rows, cells = data
    result = run("histogram_fraction", make(rows, cells), (lower, upper))
    for j in range(len(cells[0])):
        expected = {g: ref_fraction(lower, upper, pairs) for g, pairs in classic(rows, cells, j).items()}
        got = by_group(result, j)
        assert got.keys() == expected.keys()
        assert all(same(got[g], value) for g, value in expected.items()), (got, expected)


@given(histograms())
@settings(max_examples=100, deadline=None)
def test_a_step_invariant_block_answers_like_its_spread_form(data):
    rows, cells = data
    wide = make(rows, [[row[0]] * 3 for row in cells])
    narrow = StepBlock(wide.grid, wide.values[:, :1], wide.kind[:, :1], wide.labels, wide.drop_name)
    a, b = run("histogram_quantile", wide, (0.5,)), run("histogram_quantile", narrow, (0.5,))
    assert np.array_equal(a.kind, b.kind)
    assert np.array_equal(a.values, b.values, equal_nan=True)
