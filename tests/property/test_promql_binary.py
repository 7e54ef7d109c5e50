"""Binary operators against a plain reference that goes step by step over single samples."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from athanor.kernel import labels
from athanor.model.tables import FLOAT, HISTOGRAM, HistogramLayouts, Histograms, StepBlock, StepGrid, label_table
from athanor.promql import blocks
from athanor.promql.ast import Matching
from athanor.promql.binary import Room, scalar_scalar, unary_minus, vector_scalar, vector_vector
from athanor.promql.errors import QueryError
from athanor.promql.notes import Notes
from tests.conformance.histogram_rows import table_of
from tests.conformance.values import Buckets, Histogram

NAN, INF = math.nan, math.inf
RESERVED = ("__name__", "__type__", "__unit__")
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 2.0, 2.0, -3.5, 0.5, NAN, INF, -INF, 1e308, 5e-324]), st.floats(-50, 50)
)
COMPARISONS = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt,
}  # fmt: skip
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
OPERATORS = (*ARITHMETIC, *COMPARISONS)


def divide(a, b):
    if b == 0:
        return NAN if a == 0 or math.isnan(a) else math.copysign(INF, a) * math.copysign(1.0, b)
    return a / b


def remainder(a, b):
    if math.isnan(a) or math.isnan(b) or math.isinf(a) or b == 0:
        return NAN
    return math.fmod(a, b)


def power(a, b):
    try:
        return math.pow(a, b)
    except OverflowError:
        return -INF if a < 0 and b % 2 == 1 else INF
    except ValueError:  # zero to a negative power, or a negative number to a broken one
        if a == 0:
            return math.copysign(INF, a) if b % 2 == 1 else INF
        return NAN


FUNCTIONS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": divide, "%": remainder, "^": power,
    "atan2": math.atan2,
}  # fmt: skip


def element(op, a, b):
    """(value, whether a filter keeps it)."""
    if op in COMPARISONS:
        return a, COMPARISONS[op](a, b)
    return FUNCTIONS[op](a, b), True


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=1e-12)


def without(pairs, names):
    return tuple(p for p in pairs if p[0] not in names)


def only(pairs, names):
    return tuple(p for p in pairs if p[0] in names)


def text(pairs):
    return "{" + ", ".join(f'{name}="{value}"' for name, value in pairs) + "}"


def make_block(rows, n, cells):
    """rows: label pairs; cells: rows of a value or None for each step."""
    values = np.array([[NAN if c is None else c for c in row] for row in cells], np.float64).reshape(len(rows), n)
    kind = np.array([[c is not None for c in row] for row in cells], np.uint8).reshape(len(rows), n)
    return StepBlock(StepGrid(0, 1000, n), values, kind, label_table(rows), np.zeros(len(rows), np.bool_))


@st.composite
def sides(draw, values=VALUES, max_rows=6):
    """Two blocks over the same steps; rows of a block have different labels, many of the two blocks' are alike."""
    n = draw(st.integers(1, 4))
    density = draw(st.sampled_from([0, 1, 3]))
    cell = st.one_of(values, *[st.none()] * density)
    label = st.sampled_from(["", "x", "y"])
    made = []
    for _ in range(2):
        row = st.tuples(
            st.sampled_from(["m", "n"]), label, label, st.sampled_from(["", "", "counter"]), st.sampled_from(["", "z"])
        )
        keys = draw(st.lists(row, max_size=max_rows, unique=True))
        names = ("__name__", "a", "b", "__type__", "c")
        rows = [tuple(sorted((name, v) for name, v in zip(names, key, strict=True) if v)) for key in keys]
        cells = [draw(st.lists(cell, min_size=n, max_size=n)) for _ in rows]
        made.append(make_block(rows, n, cells))
    return tuple(made)


MATCHINGS = st.builds(
    Matching,
    card=st.sampled_from(["one-to-one", "many-to-one", "one-to-many"]),
    on=st.booleans(),
    labels=st.sampled_from([(), ("a",), ("a", "b"), ("b",), ("c",), ("a", "b", "c")]),
    include=st.sampled_from([(), ("c",), ("__name__",), ("a", "c")]),
    fill_lhs=st.sampled_from([None, None, 7.0]),
    fill_rhs=st.sampled_from([None, None, 9.0]),
)


def samples(block, step):
    return [
        (tuple(block.labels.pairs(i)), float(block.values[i, step]))
        for i in range(len(block.labels))
        if block.kind[i, step]
    ]


def signature(pairs, matching):
    return only(pairs, matching.labels) if matching.on else without(pairs, (*matching.labels, "__name__"))


class Failure(Exception):
    pass


def match_step(op, lhs, rhs, matching, return_bool, delayed):
    """Samples of one step in order; raises Failure with the text of the error."""
    filled = matching.fill_lhs is not None or matching.fill_rhs is not None
    if (not lhs and not rhs) or (not filled and not (lhs and rhs)):
        return []
    swapped = matching.card == "one-to-many"
    many, one = (rhs, lhs) if swapped else (lhs, rhs)
    partners = {}
    for pairs, value in one:
        sig = signature(pairs, matching)
        if sig in partners:
            texts = ", ".join(sorted((text(partners[sig][0]), text(pairs))))
            side = "left" if swapped else "right"
            raise Failure(
                f"found duplicate series for the match group {text(sig)} on the {side} hand-side of the operation: "
                f"[{texts}];many-to-many matching not allowed: matching labels must be unique on one side"
            )
        partners[sig] = (pairs, value)
    matched, out = {}, []

    def combine(of_many, of_one, sig):
        left, right = (of_one, of_many) if swapped else (of_many, of_one)
        value, kept = element(op, left[1], right[1])
        result = of_many[0]
        if op in ARITHMETIC or (return_bool and not delayed):
            result = without(result, RESERVED)
        if matching.card == "one-to-one":
            result = only(result, matching.labels) if matching.on else without(result, matching.labels)
        for name in matching.include if matching.card != "one-to-one" else ():
            result = tuple(sorted(without(result, (name,)) + only(of_one[0], (name,))))
        if matching.card == "one-to-one":
            if sig in matched:
                raise Failure(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                )
        elif result in matched.get(sig, ()):
            raise Failure("multiple matches for labels: grouping labels must ensure unique matches")
        matched.setdefault(sig, set()).add(result)
        if op in COMPARISONS and return_bool:
            out.append((result, float(kept)))
        elif kept:
            out.append((result, value))

    for pairs, value in many:
        sig = signature(pairs, matching)
        if sig in partners:
            combine((pairs, value), partners[sig], sig)
        elif matching.fill_rhs is not None:
            combine((pairs, value), (sig, matching.fill_rhs), sig)
    if matching.fill_lhs is not None:
        for sig, partner in partners.items():
            if sig not in matched:
                combine((sig, matching.fill_lhs), partner, sig)
    return out


def set_step(op, lhs, rhs, matching):
    left = {signature(pairs, matching) for pairs, _ in lhs}
    right = {signature(pairs, matching) for pairs, _ in rhs}
    if op == "or":
        return lhs + [s for s in rhs if signature(s[0], matching) not in left]
    return [s for s in lhs if (signature(s[0], matching) in right) == (op == "and")]


def check(n, reference_step, evaluate):
    """The block of evaluate() has the samples of reference_step at each step, or both fail with the same text."""
    expected, failure, clash = [], None, False
    for step in range(n):
        try:
            expected.append(reference_step(step))
        except Failure as error:
            failure = str(error)
            break
        names = [pairs for pairs, _ in expected[-1]]
        clash |= len(set(names)) != len(names)
    if failure or clash:
        with pytest.raises(QueryError) as raised:
            evaluate()
        assert str(raised.value) == (failure or blocks.SAME_LABELSET)
        return None
    result = evaluate()
    table = [tuple(result.labels.pairs(i)) for i in range(len(result.labels))]
    assert len(set(table)) == len(table), "equal series must be one"
    assert result.kind.any(axis=1).all(), "a series without values"
    for step in range(n):
        got = samples(result, step)
        assert sorted(pairs for pairs, _ in got) == sorted(pairs for pairs, _ in expected[step])
        want = dict(expected[step])
        assert all(same(value, want[pairs]) for pairs, value in got)
    if n == 1:
        assert [pairs for pairs, _ in samples(result, 0)] == [pairs for pairs, _ in expected[0]]
    return result


@settings(max_examples=600, deadline=None)
@given(sides(), st.sampled_from(OPERATORS), MATCHINGS, st.booleans(), st.booleans())
def test_matched_series_combine_like_single_samples_at_each_step(pair, op, matching, return_bool, delayed):
    lhs, rhs = pair
    return_bool = return_bool and op in COMPARISONS
    if matching.card == "one-to-one":
        matching = Matching("one-to-one", matching.on, matching.labels, (), matching.fill_lhs, matching.fill_rhs)
    if matching.on:
        include = tuple(name for name in matching.include if name not in matching.labels)
        matching = Matching(matching.card, True, matching.labels, include, matching.fill_lhs, matching.fill_rhs)
    result = check(
        lhs.grid.n,
        lambda j: match_step(op, samples(lhs, j), samples(rhs, j), matching, return_bool, delayed),
        lambda: vector_vector(op, lhs, rhs, matching, return_bool, Notes(), 0, delayed),
    )
    if result is not None:
        assert result.drop_name.tolist() == [return_bool and delayed] * len(result.labels)


def outcome(evaluate):
    try:
        result = evaluate()
    except QueryError as error:
        return str(error)
    table = [tuple(result.labels.pairs(i)) for i in range(len(result.labels))]
    return table, result.kind.tolist(), np.where(result.kind == 1, result.values, 0.0).tobytes()


def copied(source):
    return blocks.with_data(source, source.values.copy(), source.kind.copy())


@settings(max_examples=600, deadline=None)
@given(sides(), st.sampled_from(OPERATORS), MATCHINGS, st.booleans(), st.sampled_from(["two", "one", "crossed"]))
def test_an_answer_may_stand_where_a_side_was(pair, op, matching, return_bool, cells):
    lhs, rhs = pair
    if matching.card == "one-to-one":
        matching = Matching("one-to-one", matching.on, matching.labels)
    left, right = copied(lhs), copied(rhs)
    if cells == "one":
        rhs, right = lhs, left
    elif cells == "crossed":
        # Both sides have the same cells, but those of one series belong to another one on the right.
        turned = labels.take(lhs.labels, np.roll(np.arange(len(lhs.labels)), 1))
        rhs = blocks.block(lhs.grid, turned, lhs.values, lhs.kind)
        right = blocks.block(lhs.grid, turned, left.values, left.kind)
    wanted = outcome(lambda: vector_vector(op, lhs, rhs, matching, return_bool, Notes(), 0, False))
    reserved = []
    room = Room(lambda: reserved.append(1), left=True, right=True)
    got = outcome(lambda: vector_vector(op, left, right, matching, return_bool, Notes(), 0, False, room=room))
    assert got == wanted
    assert len(reserved) <= 1
    if cells == "two" or reserved:
        untouched = [(lhs, left)] * (matching.card == "one-to-many" or bool(reserved))
        untouched += [(rhs, right)] * (matching.card != "one-to-many" or bool(reserved))
        for before, after in untouched:
            assert before.values.tobytes() == after.values.tobytes() and before.kind.tobytes() == after.kind.tobytes()


@settings(max_examples=300, deadline=None)
@given(sides(), st.sampled_from(["and", "or", "unless"]), st.booleans(), st.sampled_from([(), ("a",), ("a", "b")]))
def test_set_operators_decide_at_each_step(pair, op, on, names):
    lhs, rhs = pair
    matching = Matching("many-to-many", on, names)
    check(
        lhs.grid.n,
        lambda j: set_step(op, samples(lhs, j), samples(rhs, j), matching),
        lambda: vector_vector(op, lhs, rhs, matching, False, Notes(), 0, False),
    )


@settings(max_examples=300, deadline=None)
@given(sides(), st.sampled_from(OPERATORS), st.data(), st.booleans(), st.booleans(), st.booleans())
def test_a_scalar_meets_every_series_and_filters_keep_the_series_value(pair, op, data, on_left, return_bool, delayed):
    source = pair[0]
    n = source.grid.n
    scalar = np.array(data.draw(st.lists(VALUES, min_size=n, max_size=n)))
    return_bool = return_bool and op in COMPARISONS
    result = vector_scalar(op, source, scalar, on_left, return_bool, Notes(), 0, delayed)
    drops = op in ARITHMETIC or return_bool
    for i in range(len(source.labels)):
        labels_ = tuple(source.labels.pairs(i))
        assert tuple(result.labels.pairs(i)) == (without(labels_, RESERVED) if drops and not delayed else labels_)
        assert bool(result.drop_name[i]) == (drops and delayed)
        for j in range(n):
            value = float(source.values[i, j])
            got, kept = element(op, *((float(scalar[j]), value) if on_left else (value, float(scalar[j]))))
            there = bool(source.kind[i, j]) and (kept or return_bool)
            assert bool(result.kind[i, j]) == there
            if there:
                want = float(kept) if return_bool else value if op in COMPARISONS else got
                assert same(float(result.values[i, j]), want)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(OPERATORS), VALUES, VALUES)
@example("%", -5.5, 2.0)
@example("%", 5.5, -2.0)
@example("%", 1.0, INF)
@example("^", -1.0, INF)
@example("^", NAN, 0.0)
@example("^", 1.0, NAN)
@example("^", -0.0, -3.0)
def test_scalars_combine_as_floats_and_comparisons_give_one_or_zero(op, a, b):
    got = float(scalar_scalar(op, np.array([a]), np.array([b]))[0])
    value, kept = element(op, a, b)
    assert same(got, float(kept) if op in COMPARISONS else value)


def test_remainder_has_the_sign_of_the_dividend():
    a, b = np.array([-5.5, 5.5, -4.0]), np.array([2.0, -2.0, 2.0])
    result = scalar_scalar("%", a, b)
    assert result.tolist() == [-1.5, 1.5, 0.0]
    assert np.signbit(result).tolist() == [True, False, True]


def test_series_that_alternate_on_the_one_side_match_as_one():
    many = make_block([(("__name__", "m"), ("a", "x"), ("i", "1"))], 3, [[10.0, 20.0, 30.0]])
    one = make_block(
        [(("__name__", "o"), ("a", "x"), ("pod", "old")), (("__name__", "o"), ("a", "x"), ("pod", "new"))],
        3,
        [[2.0, None, None], [None, 4.0, 5.0]],
    )
    plain = Matching("many-to-one", True, ("a",))
    result = vector_vector("/", many, one, plain, False, Notes(), 0, False)
    assert [result.labels.pairs(0)] == [[("a", "x"), ("i", "1")]]
    assert result.values.tolist() == [[5.0, 5.0, 6.0]]
    with_pod = Matching("many-to-one", True, ("a",), ("pod",))
    result = vector_vector("/", many, one, with_pod, False, Notes(), 0, False)
    assert [dict(result.labels.pairs(i))["pod"] for i in range(2)] == ["old", "new"]
    assert result.kind.tolist() == [[1, 0, 0], [0, 1, 1]]


def test_or_continues_a_series_with_the_other_sides_values():
    row = (("a", "x"),)
    lhs, rhs = make_block([row], 3, [[1.0, None, None]]), make_block([row], 3, [[7.0, 8.0, None]])
    result = vector_vector("or", lhs, rhs, Matching("many-to-many"), False, Notes(), 0, False)
    assert len(result.labels) == 1
    assert result.kind.tolist() == [[1, 1, 0]]
    assert result.values[0, :2].tolist() == [1.0, 8.0]


def test_the_error_of_the_first_step_is_reported():
    many = make_block([(("i", "1"),), (("i", "2"),)], 2, [[1.0, 1.0], [1.0, 1.0]])
    one = make_block([(("k", "1"),), (("k", "2"),)], 2, [[1.0, 1.0], [None, 1.0]])
    with pytest.raises(QueryError, match="many-to-one matching must be explicit"):
        vector_vector("+", many, one, Matching("one-to-one", True, ()), False, Notes(), 0, False)
    on_the_right = r'match group \{\} on the right hand-side.*\[\{k="1"\}, \{k="2"\}\];many-to-many'
    with pytest.raises(QueryError, match=on_the_right):
        vector_vector("+", many, one, Matching("many-to-one", True, ()), False, Notes(), 0, False)


def test_trimming_floats_drops_them_with_an_annotation():
    source = make_block([(("a", "x"),)], 1, [[1.0]])
    notes = Notes()
    assert not len(vector_scalar("</", source, np.ones(1), False, False, notes, 3, False).labels)
    assert not len(vector_vector(">/", source, source, Matching(), False, notes, 3, False).labels)
    assert [note.text for note in notes] == [
        f'incompatible sample types encountered for binary operator "{op}": float {op} float' for op in ("</", ">/")
    ]
    assert all(note.is_info and note.at == 3 for note in notes)


def test_unary_minus_drops_or_marks_the_name():
    source = make_block([(("__name__", "m"), ("a", "x"))], 2, [[1.0, None]])
    at_once, later = unary_minus(source, False), unary_minus(source, True)
    assert at_once.values[0, 0] == later.values[0, 0] == -1.0
    assert at_once.labels.pairs(0) == [("a", "x")]
    assert later.labels.pairs(0) == [("__name__", "m"), ("a", "x")] and later.drop_name.tolist() == [True]


def test_a_float_plus_a_native_histogram_is_no_point_but_a_note():
    source = make_block([(("a", "x"),)], 1, [[1.0]])
    one, empty = np.zeros(1), np.empty(0)
    layouts = HistogramLayouts(
        np.zeros(1, np.int32), one, empty.astype(np.int32), np.zeros(2, np.int64), np.zeros(1, np.int64), empty,
        np.zeros(2, np.int64),
    )  # fmt: skip
    table = Histograms(
        layouts, np.zeros(1, np.int32), np.zeros(1, np.uint8), one, one, one, np.zeros(1, np.int64), empty
    )
    kind = np.full((1, 1), 2, np.uint8)
    histogram = StepBlock(source.grid, np.zeros((1, 1)), kind, source.labels, source.drop_name, table)
    notes = Notes()
    result = vector_vector("+", source, histogram, Matching(), False, notes, 0, False)
    assert not result.kind.any()
    text = 'incompatible sample types encountered for binary operator "+": float + histogram'
    assert [(note.text, note.at, note.is_info) for note in notes] == [(text, 0, True)]


def test_a_step_invariant_side_is_spread_over_all_steps():
    wide = make_block([(("a", "x"),)], 3, [[1.0, 2.0, None]])
    narrow = make_block([(("a", "x"),)], 1, [[10.0]])
    narrow = StepBlock(wide.grid, narrow.values, narrow.kind, narrow.labels, narrow.drop_name)
    result = vector_vector("+", wide, narrow, Matching(), False, Notes(), 0, False)
    assert result.values[0, :2].tolist() == [11.0, 12.0]
    assert result.kind.tolist() == [[1, 1, 0]]


EXPONENTIAL = Histogram(schema=0, count=3, positive=Buckets(0, (1, 2)))
CUSTOM = Histogram(schema=-53, count=3, positive=Buckets(0, (1, 2)), custom_values=(0.5, 1))


def histogram_block(label_sets, histograms):
    """One step; None is a float 1."""
    plain = make_block(label_sets, 1, [[1.0]] * len(label_sets))
    there = [h for h in histograms if h is not None]
    kind = np.array([[FLOAT if h is None else HISTOGRAM] for h in histograms], np.uint8)
    values = np.where(kind == HISTOGRAM, np.cumsum(kind == HISTOGRAM)[:, None] - 1.0, plain.values)
    table = table_of([(h, "unknown") for h in there])
    return StepBlock(plain.grid, values, kind, plain.labels, plain.drop_name, table)


def test_of_one_step_the_note_about_the_last_pair_stays():
    """Seen on Thanos 0.43 and in promql/engine.go of 3.14: VectorBinop keeps one."""
    rows = [(("a", "1"),), (("a", "2"),)]
    right = histogram_block(rows, [EXPONENTIAL, EXPONENTIAL])
    for left, words in (((None, EXPONENTIAL), "histogram / histogram"), ((EXPONENTIAL, None), "float / histogram")):
        notes = Notes()
        vector_vector("/", histogram_block(rows, left), right, Matching(), False, notes, 0, False)
        assert [note.text for note in notes] == [
            f'incompatible sample types encountered for binary operator "/": {words}'
        ]


def test_histograms_that_cannot_be_subtracted_are_no_match():
    """Seen on Thanos 0.43: nothing is ambiguous where only one of two candidates has the buckets for it."""
    left = histogram_block([(("i", "1"),), (("i", "2"),)], [EXPONENTIAL, CUSTOM])
    right = histogram_block([(("k", "1"),)], [CUSTOM])
    notes = Notes()
    result = vector_vector("-", left, right, Matching("one-to-one", True, ()), False, notes, 0, False)
    assert result.kind.tolist() == [[HISTOGRAM]]
    assert [note.text for note in notes] == ["incompatible bucket layout encountered for binary operator -"]
    both = histogram_block([(("i", "1"),), (("i", "2"),)], [CUSTOM, CUSTOM])
    with pytest.raises(QueryError, match="many-to-one matching must be explicit"):
        vector_vector("-", both, right, Matching("one-to-one", True, ()), False, Notes(), 0, False)
