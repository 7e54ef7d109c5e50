"""Anchored and smoothed selectors, start times and x-functions against plain references of one window at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.tables import Samples
from athanor.model.workspace import Workspace
from athanor.promql.extended import Extended, bounded_samples, evaluate_extended, smoothed_values
from athanor.promql.start_times import overlaps
from athanor.promql.windows import evaluate_windows
from athanor.promql.x_functions import evaluate_x

STALE = float(np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0])
values = st.one_of(st.integers(-20, 100).map(float), st.floats(-1e6, 1e6), st.sampled_from([math.nan, 0.0, STALE]))
LOOKBACK = 40


@st.composite
def series(draw):
    """(time, value, start time or 0) in ascending time, close enough that windows and lookbacks meet their edges."""
    t, out = draw(st.integers(-20, 20)), []
    for gap, value in draw(st.lists(st.tuples(st.integers(1, 25), values), max_size=25)):
        t += gap
        start = draw(st.one_of(st.just(0), st.integers(t - 30, t + 2), st.sampled_from([s for _, _, s in out] or [0])))
        out.append((t, value, start))
    return out


def as_samples(many) -> Samples:
    flat = [sample for one in many for sample in one]
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in many]))).astype(np.int64)
    columns = list(zip(*flat, strict=True)) or [(), (), ()]
    starts = np.array(columns[2], np.int64)
    return Samples(np.array(columns[0], np.int64), np.array(columns[1], np.float64), offsets, start_ms=starts)


def is_stale(value: float) -> bool:
    return np.float64(value).view(np.uint64) == 0x7FF0000000000002


def live(one, after, last):
    return [(t, v, s) for t, v, s in one if after < t <= last and not is_stale(v)]


def same(got: float, wanted: float) -> bool:
    return got == wanted or (math.isnan(got) and math.isnan(wanted))


def check_cells(many, cells, wanted):
    out, kind = cells
    for i, one in enumerate(many):
        for j in range(out.shape[1]):
            want = wanted(one, j)
            assert kind[i, j] == (want is not None), (i, j, want, out[i, j])
            assert want is None or same(out[i, j], want), (i, j, want, out[i, j])


def new_cells(many, n):
    return np.empty((len(many), n)), np.empty((len(many), n), np.uint8)


def between(p, q, t, counter):
    y1 = 0.0 if counter and q[1] < p[1] else p[1]
    return y1 + (q[1] - y1) * (t - p[0]) / (q[0] - p[0])


def first_where(items, condition):
    """The first index before the last one that meets the condition, else the last one."""
    return next((i for i in range(len(items) - 1) if condition(items[i])), len(items) - 1)


def ref_difference(one, a, b, smoothed, mode, range_s):
    w = live(one, a - LOOKBACK, b + (LOOKBACK if smoothed else 0))
    if not w:
        return None
    first = max(0, first_where(w, lambda s: s[0] > a) - 1)
    last = first_where(w, lambda s: s[0] >= b) if smoothed else len(w) - 1
    if w[last][0] <= a or (smoothed and w[first][0] > b):
        return None
    counter = mode > 0
    left, right = w[first][1], w[last][1]
    if smoothed and w[first][0] < a:
        left = between(w[first], w[first + 1], a, counter)
    if smoothed and last > 0 and w[last][0] > b:
        right = between(w[last - 1], w[last], b, counter)
    result = right - left
    if counter:
        inside = w[first + (w[first][0] <= a) : last + (w[last][0] < b)]
        correction, previous = 0.0, left
        for _, value, _ in inside:
            if value < previous:
                correction += previous
            previous = value
        result += correction + (previous if right < previous else 0.0)
    return result / range_s if mode == 2 else result


def ref_events(one, a, b, name):
    w = live(one, a - LOOKBACK, b)
    inside = [s for s in w if s[0] > a]
    if not inside:
        return None
    w = [s for s in w if s[0] <= a][-1:] + inside
    if name == "resets":
        return float(sum(is_reset(p, q) for p, q in itertools.pairwise(w)))
    pairs = [(p[1], q[1]) for p, q in itertools.pairwise(w)]
    return float(sum(p != q and not (math.isnan(p) and math.isnan(q)) for p, q in pairs))


def is_reset(p, q):
    began = q[2] != 0 and q[2] < q[0] and (q[2] > p[0] or (q[2] == p[0] and p[2] != 0 and p[2] < p[0]))
    return q[1] < p[1] or began


grids = st.tuples(st.integers(-50, 300), st.integers(0, 60), st.integers(1, 12), st.integers(1, 90))


@pytest.mark.parametrize("extension", ["anchored", "smoothed"])
@pytest.mark.parametrize("name", ["rate", "increase", "delta", "changes", "resets"])
@settings(max_examples=60)
@given(many=st.lists(series(), min_size=1, max_size=3), grid=grids)
def test_a_function_over_an_extended_selector_equals_its_reference(extension, name, many, grid):
    if extension == "smoothed" and name in ("changes", "resets"):
        return
    first, step, n, range_ms = grid
    cells = new_cells(many, n)
    evaluate_extended(name, Extended(extension, LOOKBACK), as_samples(many), grid, *cells, Workspace(), lambda: None)
    modes = {"rate": 2, "increase": 1, "delta": 0}

    def wanted(one, j):
        b = first + j * step
        if name in modes:
            return ref_difference(one, b - range_ms, b, extension == "smoothed", modes[name], range_ms * 1e6 / 1e9)
        return ref_events(one, b - range_ms, b, name)

    check_cells(many, cells, wanted)


@settings(max_examples=100)
@given(many=st.lists(series(), min_size=1, max_size=3), grid=grids)
def test_a_smoothed_selector_equals_its_reference(many, grid):
    first, step, n, _ = grid
    cells = new_cells(many, n)
    smoothed_values(as_samples(many), first, step, n, LOOKBACK, *cells, Workspace())

    def wanted(one, j):
        t = first + j * step
        before, after = live(one, t - LOOKBACK, t)[-1:], live(one, t, t + LOOKBACK)[:1]
        if not before:
            return None
        return between(before[0], after[0], t, False) if after and before[0][0] < t else before[0][1]

    check_cells(many, cells, wanted)


@pytest.mark.parametrize("extension", ["anchored", "smoothed"])
@settings(max_examples=60)
@given(many=st.lists(series(), min_size=1, max_size=3), b=st.integers(-50, 300), range_ms=st.integers(1, 90))
def test_an_extended_range_has_a_sample_at_both_ends(extension, many, b, range_ms):
    a, smoothed = b - range_ms, extension == "smoothed"
    got = bounded_samples(as_samples(many), Extended(extension, LOOKBACK), a, b, Workspace())
    for i, one in enumerate(many):
        part = slice(got.offsets[i], got.offsets[i + 1])
        points = list(zip(got.ts_ms[part].tolist(), got.values[part].tolist(), strict=True))
        w = live(one, a - LOOKBACK, b + (LOOKBACK if smoothed else 0))
        first = max(0, first_where(w, lambda s: s[0] > a) - 1)
        last = first_where(w, lambda s: s[0] >= b) if smoothed else len(w) - 1
        if not w or w[last][0] <= a:
            assert points == []
            continue
        left, right = w[first][1], w[last][1]
        if smoothed and w[first][0] < a:
            left = between(w[first], w[first + 1], a, False)
        if smoothed and last > 0 and w[last][0] > b:
            right = between(w[last - 1], w[last], b, False)
        wanted = [(a, left), *((t, v) for t, v, _ in w if a < t < b), (b, right)]
        assert [t for t, _ in points] == [t for t, _ in wanted]
        assert all(same(g, v) for (_, g), (_, v) in zip(points, wanted, strict=True))


def ref_rate_from_starts(w, a, b, range_s, is_rate):
    began = bool(w) and w[0][2] != 0 and a < w[0][2] < w[0][0]
    if len(w) < 2 and not began:
        return None
    r = w[-1][1] - w[0][1]
    for p, q in itertools.pairwise(w):
        if is_reset(p, q):
            r += p[1]
    start, end, sampled = (w[0][0] - a) / 1000, (b - w[-1][0]) / 1000, (w[-1][0] - w[0][0]) / 1000
    average = sampled / (len(w) - 1) if len(w) > 1 else 0.0
    if began:
        start, sampled, r = 0.0, (w[-1][0] - w[0][2]) / 1000, r + w[0][1]
    else:
        if start >= average * 1.1:
            start = average / 2
        if r > 0 and w[0][1] >= 0:
            start = min(start, sampled * (w[0][1] / r))
    if end >= average * 1.1:
        end = average / 2
    factor = (sampled + start + end) / sampled
    return r * (factor / range_s if is_rate else factor)


@pytest.mark.parametrize("name", ["rate", "increase", "irate", "resets"])
@settings(max_examples=80)
@given(many=st.lists(series(), min_size=1, max_size=3), grid=grids)
def test_counters_that_say_when_they_began_are_read_as_the_reference_does(name, many, grid):
    first, step, n, range_ms = grid
    cells = new_cells(many, n)
    evaluate_windows(name, as_samples(many), first, step, n, range_ms, (), *cells, Workspace())

    def wanted(one, j):
        b = first + j * step
        w = live(one, b - range_ms, b)
        if name == "resets":
            return float(sum(is_reset(p, q) for p, q in itertools.pairwise(w))) if w else None
        if name != "irate":
            return ref_rate_from_starts(w, b - range_ms, b, range_ms * 1e6 / 1e9, name == "rate")
        if len(w) < 2:
            return None
        rise = w[-1][1] if is_reset(w[-2], w[-1]) else w[-1][1] - w[-2][1]
        return rise / ((w[-1][0] - w[-2][0]) / 1000)

    check_cells(many, cells, wanted)


@settings(max_examples=80)
@given(one=series(), grid=grids)
def test_windows_with_overlapping_start_times_are_counted(one, grid):
    one = [sample for sample in one if not is_stale(sample[1])]
    first, step, n, range_ms = grid
    wanted = 0
    for b in (first + j * step for j in range(n)):
        pairs = itertools.pairwise(live(one, b - range_ms, b))
        wanted += any(q[2] != 0 and q[2] < p[0] and q[2] != p[2] for p, q in pairs)
    assert overlaps(as_samples([one]), first, step, n, range_ms).tolist() == [wanted]


def ref_x_windows(one, first, step, n, range_ms):
    """The samples of each window, by the reading loop."""
    left = live(one, -(10**9), 10**9)
    buffer, held, found = [], None, []
    for b in (first + j * step for j in range(n)):
        a = b - range_ms
        old = [s for s in buffer if s[0] <= a]
        buffer = [s for s in old[-1:] if s[0] >= a - 3_599_999] + buffer[len(old) :]
        if held is None or held[0] <= b:
            m = max(a, buffer[-1][0] + 1) if buffer else a
            if held is not None and held[0] > m:
                buffer.append(held)
                m = max(m, held[0] + 1)
            held = None
            while left:
                sample = left.pop(0)
                if sample[0] > b:
                    held = sample
                    break
                if sample[0] > m or not buffer:
                    buffer.append(sample)
                else:
                    buffer[-1] = sample
        found.append((list(buffer), a, b))
    return found


def ref_x(name, w, a, b, range_ms, appeared):
    if not w:
        return None
    ts, vs = [float(t) for t, _, _ in w], [v for _, v, _ in w]
    if name == "xincrease" and all(p == q for p, q in itertools.pairwise(vs)) and b <= range_ms + appeared:
        return vs[0]
    p, sampled = 0, ts[-1] - ts[0]
    average = sampled / (len(w) - 1) if len(w) > 1 else math.nan
    if name != "xincrease" and a - ts[0] > average:
        if len(w) < 3:
            return 0.0
        p, sampled = 1, ts[-1] - ts[1]
        average = sampled / (len(w) - 2)
    correction, before = 0.0, 0.0
    for value in vs[p:] if name != "xdelta" else []:
        correction += before if value < before else 0.0
        before = value
    r = vs[-1] - vs[p] + correction
    seconds = np.float64(range_ms // 1000)
    with np.errstate(all="ignore"):
        if name != "xincrease" and ts[p] <= a and b - ts[-1] < average:
            r *= seconds / np.float64(sampled / 1000)
        return float(r / seconds) if name == "xrate" else float(r)


@pytest.mark.parametrize("name", ["xrate", "xincrease", "xdelta"])
@settings(max_examples=80)
@given(many=st.lists(series(), min_size=1, max_size=3), grid=grids, scale=st.sampled_from([1, 1000, 200_000]))
def test_an_x_function_equals_its_reference(name, many, grid, scale):
    many = [[(t * scale, v, s) for t, v, s in one] for one in many]
    first, step, n, range_ms = grid[0] * scale, grid[1] * scale, grid[2], grid[3] * scale
    cells = new_cells(many, n)
    evaluate_x(name, as_samples(many), (first, step, n, range_ms), *cells, Workspace(), lambda: None)
    windows = {id(one): ref_x_windows(one, first, step, n, range_ms) for one in many}

    def wanted(one, j):
        w, a, b = windows[id(one)][j]
        appeared = live(one, -(10**9), 10**9)[:1]
        return ref_x(name, w, a, b, range_ms, appeared[0][0] if appeared else 0)

    check_cells(many, cells, wanted)
