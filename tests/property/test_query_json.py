"""The JSON of answers against Python's own encoder."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.tables import Samples, StepBlock, StepGrid, label_table
from athanor.promql.engine import Result
from athanor.promql.notes import Notes
from athanor.query import json_result
from athanor.query.json_result import label_set_pieces, label_set_text, result_pieces

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
label_sets = st.lists(st.dictionaries(names, names, max_size=4), max_size=6)
cells = st.none() | st.floats()
times = st.integers(-(2**53), 2**53)


def same(a: str, b: float) -> bool:
    read = float(a)
    return (math.isnan(read) and math.isnan(b)) or read == b


def block_of(sets, rows, first_ms, step_ms) -> StepBlock:
    n = len(rows[0]) if rows else 1
    values = np.array([[0.0 if v is None else v for v in row] for row in rows], np.float64).reshape(len(rows), n)
    kind = np.array([[v is not None for v in row] for row in rows], np.uint8).reshape(len(rows), n)
    table = label_table([list(s.items()) for s in sets])
    return StepBlock(StepGrid(first_ms, step_ms, n), values, kind, table, np.zeros(len(rows), np.bool_))


def joined(result: Result, pool=None) -> bytes:
    return b"".join(result_pieces(result, pool))


def seconds(text: str) -> int:
    """ms of a time as it stands in the JSON."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    assert len(fraction) in (0, 3)
    size = int(whole) * 1000 + int(fraction or 0)
    return -size if text.startswith("-") else size


def read(text: bytes):
    """The answer with times as ms."""
    return json.loads(text, parse_float=seconds, parse_int=seconds)


@st.composite
def matrices(draw):
    sets = draw(label_sets)
    n = draw(st.integers(1, 5))
    rows = [draw(st.lists(cells, min_size=n, max_size=n)) for _ in sets]
    return sets, rows, draw(times), draw(st.integers(1, 10**6))


@settings(max_examples=200)
@given(matrices())
def test_a_matrix_holds_each_present_cell_with_its_time(matrix):
    sets, rows, first_ms, step_ms = matrix
    block = block_of(sets, rows, first_ms, step_ms)
    found = read(joined(Result("matrix", block.grid, Notes(), b"", parts=(block,))))
    expected = [
        (dict(labels), [(first_ms + j * step_ms, v) for j, v in enumerate(row) if v is not None])
        for labels, row in zip(sets, rows, strict=True)
        if any(v is not None for v in row)
    ]
    assert len(found) == len(expected)
    for series, (labels, points) in zip(found, expected, strict=True):
        assert series["metric"] == labels
        assert list(series["metric"]) == sorted(labels, key=str.encode)
        assert [p[0] for p in series["values"]] == [p[0] for p in points]
        assert all(same(p[1], v) for p, (_, v) in zip(series["values"], points, strict=True))


@given(matrices())
def test_a_vector_holds_one_value_for_each_series(matrix):
    sets, rows, first_ms, _ = matrix
    block = block_of(sets, [row[:1] for row in rows], first_ms, 0)
    found = read(joined(Result("vector", block.grid, Notes(), b"", parts=(block,))))
    expected = [(dict(s), row[0]) for s, row in zip(sets, rows, strict=True) if row[0] is not None]
    assert [series["metric"] for series in found] == [labels for labels, _ in expected]
    for series, (_, value) in zip(found, expected, strict=True):
        assert series["value"][0] == first_ms
        assert same(series["value"][1], value)


@settings(max_examples=100)
@given(label_sets, st.data(), st.integers(40, 400))
def test_samples_are_written_whole_wherever_pieces_are_cut(sets, data, piece_bytes):
    rows = [data.draw(st.lists(st.tuples(times, st.floats()), max_size=6)) for _ in sets]
    flat = [sample for row in rows for sample in row]
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    samples = Samples(np.array([t for t, _ in flat], np.int64), np.array([v for _, v in flat], np.float64), offsets)
    result = Result("matrix", StepGrid(0, 0, 1), Notes(), b"", labels=label_table([list(s.items()) for s in sets]),
                    samples=samples)  # fmt: skip
    whole = joined(result)
    found = read(whole)
    assert [s["metric"] for s in found] == [dict(s) for s, row in zip(sets, rows, strict=True) if row]
    assert [p[0] for s in found for p in s["values"]] == [t for t, _ in flat]
    usual, json_result.PIECE_BYTES = json_result.PIECE_BYTES, piece_bytes
    try:
        assert joined(result) == whole
    finally:
        json_result.PIECE_BYTES = usual


@given(label_sets)
def test_label_sets_are_written_without_the_escapes_of_html(sets):
    table = label_table([list(s.items()) for s in sets])
    text = b"".join(label_set_pieces(table))
    assert json.loads(text) == sets
    assert text.decode() == "[" + ",".join(label_set_text(table.pairs(i)) for i in range(len(table))) + "]"


def test_pieces_from_two_threads_come_in_order():
    rng = np.random.default_rng(1)
    sets = [{"i": f"{i:04d}"} for i in range(300)]
    table = label_table([list(s.items()) for s in sets])
    values, kind = rng.random((300, 400)), (rng.random((300, 400)) < 0.9).astype(np.uint8)
    block = StepBlock(StepGrid(1_700_000_000_000, 15_000, 400), values, kind, table, np.zeros(300, np.bool_))
    result = Result("matrix", block.grid, Notes(), b"", parts=(block,))
    with ThreadPoolExecutor(2) as pool:
        pieces = list(result_pieces(result, pool))
    assert len(pieces) > 3
    assert max(map(len, pieces)) <= json_result.PIECE_BYTES + 100_000
    assert b"".join(pieces) == joined(result)
