"""Range functions against plain references written from the documented formulas, one window at a time."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.select import Workspace
from athanor.model.tables import Samples
from athanor.promql.windows import WINDOW_FUNCTIONS, evaluate_windows, latest_samples

NAN, INF = math.nan, math.inf
STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]


def inc(x, s, c):
    t = s + x
    if math.isinf(t):
        return t, 0.0
    return (t, c + ((s - t) + x)) if abs(s) >= abs(x) else (t, c + ((x - t) + s))


def ref_extrapolated(ts, vs, a, b, range_s, mode):
    if len(vs) < 2:
        return None
    r = vs[-1] - vs[0]
    if mode:
        for before, after in itertools.pairwise(vs):
            if after < before:
                r += before
    start, end, sampled = (ts[0] - a) / 1000, (b - ts[-1]) / 1000, (ts[-1] - ts[0]) / 1000
    average = sampled / (len(vs) - 1)
    if start >= average * 1.1:
        start = average / 2
    if mode and r > 0 and vs[0] >= 0:
        zero = sampled * (vs[0] / r)
        start = min(start, zero)
    if end >= average * 1.1:
        end = average / 2
    factor = (sampled + start + end) / sampled
    return r * (factor / range_s if mode == 2 else factor)


def ref_sum(vs):
    s = c = 0.0
    for v in vs:
        s, c = inc(v, s, c)
    return s if math.isinf(s) else s + c


def ref_avg(vs):
    s, c, mean, incremental = vs[0], 0.0, 0.0, False
    for n, v in enumerate(vs[1:], 2):
        if not incremental:
            s2, c2 = inc(v, s, c)
            if not math.isinf(s2):
                s, c = s2, c2
                continue
            incremental, mean, c = True, s / (n - 1), c / (n - 1)
        q = (n - 1) / n
        mean, c = inc(v / n, q * mean, q * c)
    return mean + c if incremental else s / len(vs) + c / len(vs)


def ref_extreme(vs, pick):
    real = [v for v in vs if not math.isnan(v)]
    return pick(real) if real else NAN


def ref_quantile(q, vs):
    if math.isnan(q) or not vs:
        return NAN
    if q < 0:
        return -INF
    if q > 1:
        return INF
    ordered = sorted(vs, key=lambda v: (not math.isnan(v), v))
    rank = q * (len(vs) - 1)
    low = max(0, math.floor(rank))
    high = min(len(vs) - 1, low + 1)
    w = rank - math.floor(rank)
    return ordered[low] * (1 - w) + ordered[high] * w


def ref_mad(vs):
    if any(math.isnan(v) for v in vs):
        return NAN
    m = ref_quantile(0.5, vs)
    return ref_quantile(0.5, [abs(v - m) for v in vs])


def ref_variance(vs):
    exact = [Fraction(v) for v in vs]
    mean = sum(exact) / len(exact)
    return float(sum((v - mean) ** 2 for v in exact) / len(exact))


def ref_slope(ts, vs):
    """By exact arithmetic; None marks that all values are equal."""
    xs, ys = [Fraction(t) / 1000 for t in ts], [Fraction(v) for v in vs]
    n = len(xs)
    cov = sum(x * y for x, y in zip(xs, ys, strict=True)) - sum(xs) * sum(ys) / n
    var = sum(x * x for x in xs) - sum(xs) ** 2 / n
    return cov / var, sum(ys) / n - cov / var * sum(xs) / n


def reference(name, ts, vs, a, b, arg, range_s):
    if not vs:
        return None
    simple = {
        "count_over_time": lambda: float(len(vs)),
        "present_over_time": lambda: 1.0,
        "first_over_time": lambda: vs[0],
        "last_over_time": lambda: vs[-1],
        "ts_of_first_over_time": lambda: ts[0] / 1000,
        "ts_of_last_over_time": lambda: ts[-1] / 1000,
        "changes": lambda: float(
            sum(x != y and not (math.isnan(x) and math.isnan(y)) for x, y in itertools.pairwise(vs))
        ),
        "resets": lambda: float(sum(y < x for x, y in itertools.pairwise(vs))),
        "sum_over_time": lambda: ref_sum(vs),
        "avg_over_time": lambda: ref_avg(vs),
        "max_over_time": lambda: ref_extreme(vs, max),
        "min_over_time": lambda: ref_extreme(vs, min),
        "quantile_over_time": lambda: ref_quantile(arg, vs),
        "mad_over_time": lambda: ref_mad(vs),
        "rate": lambda: ref_extrapolated(ts, vs, a, b, range_s, 2),
        "increase": lambda: ref_extrapolated(ts, vs, a, b, range_s, 1),
        "delta": lambda: ref_extrapolated(ts, vs, a, b, range_s, 0),
        "idelta": lambda: vs[-1] - vs[-2] if len(vs) > 1 else None,
        "irate": lambda: (
            None if len(vs) < 2 else (vs[-1] if vs[-1] < vs[-2] else vs[-1] - vs[-2]) / ((ts[-1] - ts[-2]) / 1000)
        ),
    }
    return simple[name]()


def windows(ts, vs, first, step, n, range_ms):
    for j in range(n):
        b = first + j * step
        a = b - range_ms
        inside = [k for k, t in enumerate(ts) if a < t <= b]
        yield [ts[k] for k in inside], [vs[k] for k in inside], a, b


def run(name, series, first, step, n, range_ms, args=()):
    ts = np.array([t for s in series for t, _ in s], np.int64)
    values = np.array([v for s in series for _, v in s], np.float64)
    offsets = np.cumsum([0] + [len(s) for s in series]).astype(np.int64)
    out, kind = np.full((len(series), n), 99.0), np.full((len(series), n), 9, np.uint8)
    arrays = [np.full(n, a, np.float64) for a in args]
    evaluate_windows(name, Samples(ts, values, offsets), first, step, n, range_ms, arrays, out, kind, Workspace())
    return out, kind


def close(got, want, relative=1e-12):
    if math.isnan(want):
        return math.isnan(got)
    if math.isinf(want):
        return got == want
    return abs(got - want) <= relative * max(abs(got), abs(want), 1e-300)


plain = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))
awkward = st.sampled_from([NAN, INF, -INF, 0.0, -0.0, 1e308, -1e308, 1e-300])
deltas = st.integers(1, 30_000)


@st.composite
def series(draw, values):
    gaps = draw(st.lists(st.tuples(deltas, values), max_size=60))
    t, out = 1_000_000, []
    for gap, v in gaps:
        t += gap
        out.append((t, v))
    return out


EXACT = [n for n in WINDOW_FUNCTIONS if n in {
    "count_over_time", "present_over_time", "first_over_time", "last_over_time", "ts_of_first_over_time",
    "ts_of_last_over_time", "changes", "resets", "sum_over_time", "avg_over_time", "max_over_time", "min_over_time",
    "quantile_over_time", "mad_over_time", "rate", "increase", "delta", "idelta", "irate",
}]  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=40)
@given(data=st.data())
def test_a_range_function_equals_its_reference_in_every_window(name, data):
    values = data.draw(st.sampled_from([plain, st.one_of(plain, awkward)]))
    many = data.draw(st.lists(series(values), min_size=1, max_size=3))
    first, step = data.draw(st.integers(900_000, 1_200_000)), data.draw(st.integers(1, 60_000))
    n, range_ms = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 600_000))
    q = data.draw(st.sampled_from([-1.0, 0.0, 0.3, 0.5, 1.0, 2.0, NAN]))
    range_s = float(range_ms // 1000) + (range_ms % 1000) * 1_000_000 / 1e9
    out, kind = run(name, many, first, step, n, range_ms, [q])
    for i, s in enumerate(many):
        ts, vs = [t for t, _ in s], [v for _, v in s]
        for j, (wts, wvs, a, b) in enumerate(windows(ts, vs, first, step, n, range_ms)):
            want = reference(name, wts, wvs, a, b, q, range_s)
            assert kind[i, j] == (want is not None)
            # Compensated sums in another order differ in what cancels, so they are judged by the size of the terms.
            scale = sum(abs(v) for v in wvs if math.isfinite(v)) if "sum" in name or "avg" in name else 0.0
            assert want is None or close(out[i, j], want) or abs(out[i, j] - want) <= 1e-15 * scale


@settings(max_examples=60)
@given(st.data())
def test_moments_agree_with_exact_arithmetic(data):
    s = data.draw(series(plain))
    first, step = data.draw(st.integers(900_000, 1_200_000)), data.draw(st.integers(1, 60_000))
    range_ms = data.draw(st.integers(1, 600_000))
    ts, vs = [t for t, _ in s], [v for _, v in s]
    slope, slope_kind = run("deriv", [s], first, step, 20, range_ms)
    ahead, _ = run("predict_linear", [s], first, step, 20, range_ms, [60.0])
    variance, variance_kind = run("stdvar_over_time", [s], first, step, 20, range_ms)
    for j, (wts, wvs, _, b) in enumerate(windows(ts, vs, first, step, 20, range_ms)):
        assert slope_kind[0, j] == (len(wvs) > 1)
        assert variance_kind[0, j] == (len(wvs) > 0)
        size = max((abs(v) for v in wvs), default=0.0)
        if wvs:
            want = ref_variance(wvs)
            assert abs(variance[0, j] - want) <= 1e-12 * want + 1e-15 * size * size
        if len(wvs) > 1:
            want, level = ref_slope(wts, wvs)
            span_s = (wts[-1] - wts[0]) / 1000
            assert abs(slope[0, j] - float(want)) <= 1e-12 * abs(want) + 1e-13 * size / span_s
            there = float(level + want * (Fraction(b) / 1000 + 60))
            # Prometheus' formula cancels the square of (distance / span of the samples) in its variance; so does ours
            # in short windows, which take the same steps.
            away_s = (b - wts[0]) / 1000
            cancelled = 64 * 2.3e-16 * (1 + away_s / span_s) ** 2 * size / span_s * (60 + away_s)
            assert abs(ahead[0, j] - there) <= 1e-12 * (abs(there) + size) + cancelled


def test_equal_values_have_slope_zero_exactly():
    out, kind = run("deriv", [[(t * 1000, 0.1) for t in range(1, 200)]], 100_000, 1000, 90, 60_000)
    assert (kind == 1).all() and (out == 0.0).all()


def test_rate_extrapolates_as_the_documented_example():
    # Value = index every 10 s from t = 0: rate[1m] at t = 100 s is 0.1; increase is 6.
    samples = [(t * 10_000, float(t)) for t in range(11)]
    assert run("rate", [samples], 100_000, 1, 1, 60_000)[0][0, 0] == pytest.approx(0.1, rel=1e-15)
    assert run("increase", [samples], 100_000, 1, 1, 60_000)[0][0, 0] == pytest.approx(6.0, rel=1e-15)


def test_smoothing_follows_level_and_trend():
    # sf = tf = 0.5 over 1, 2, 4: s1 = 1, b = 1 -> 0.5*2 + 0.5*(1+1) = 2; b = 0.5*(2-1) + 0.5*1 = 1; 0.5*4 +
    # 0.5*(2+1) = 3.5
    out, _ = run("double_exponential_smoothing", [[(1, 1.0), (2, 2.0), (3, 4.0)]], 3, 1, 1, 10, [0.5, 0.5])
    assert out[0, 0] == 3.5


def test_the_last_extreme_gives_the_time():
    samples = [(1000, 3.0), (2000, NAN), (3000, 3.0), (4000, 1.0)]
    assert run("ts_of_max_over_time", [samples], 4000, 1, 1, 4000)[0][0, 0] == 3.0
    assert run("ts_of_min_over_time", [samples], 3000, 1, 1, 3000)[0][0, 0] == 3.0


def test_stale_markers_are_no_samples_of_a_range():
    out, kind = run("count_over_time", [[(1, 1.0), (2, STALE), (3, NAN)]], 3, 1, 1, 10)
    assert out[0, 0] == 2.0 and kind[0, 0] == 1


@given(series(st.one_of(plain, st.just(STALE), st.just(NAN))), st.integers(1, 60_000), st.integers(1, 300_000))
def test_an_instant_selector_takes_the_newest_sample_inside_lookback(s, step, lookback):
    ts, values = np.array([t for t, _ in s], np.int64), np.array([v for _, v in s], np.float64)
    out, kind = np.zeros((1, 30)), np.zeros((1, 30), np.uint8)
    samples = Samples(ts, values, np.array([0, len(s)], np.int64))
    latest_samples(samples, 990_000, step, 30, lookback, out, kind)
    for j in range(30):
        t = 990_000 + j * step
        newest = [k for k in range(len(s)) if t - lookback < ts[k] <= t][-1:]
        present = bool(newest) and values[newest].view(np.uint64)[0] != 0x7FF0000000000002
        assert kind[0, j] == present
        if present:
            assert out[0, j] == values[newest[0]] or (math.isnan(out[0, j]) and math.isnan(values[newest[0]]))
