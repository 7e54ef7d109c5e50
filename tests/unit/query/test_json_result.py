"""The JSON of each type of answer, byte for byte as the API of Thanos 0.43 shows it."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from athanor.model.tables import (
    ABSENT,
    FLOAT,
    HISTOGRAM,
    HistogramLayouts,
    Histograms,
    Samples,
    StepBlock,
    StepGrid,
    label_table,
)
from athanor.promql.engine import Result
from athanor.promql.notes import Notes
from athanor.query import json_result
from athanor.query.json_result import label_set_pieces, label_set_text, result_pieces

T0 = 1_700_000_000_000

# A label value and its text: only quotes, backslashes and control characters are escaped.
LABEL_TEXTS = [
    ("", '""'),
    ("plain", '"plain"'),
    (r"C:\bin", r'"C:\\bin"'),
    (r"C:\fonts", r'"C:\\fonts"'),
    (r"C:\new\ten\u0008", r'"C:\\new\\ten\\u0008"'),
    ("\\\b\\\\\f", r'"\\\u0008\\\\\u000c"'),
    ("\x00\x01\x07\x08\x0b\x0c\x0e\x1f", r'"\u0000\u0001\u0007\u0008\u000b\u000c\u000e\u001f"'),
    ("a\nb\rc\td", r'"a\nb\rc\td"'),
    ("\x7f\x80", '"\x7f\x80"'),
    ('say "hi"', r'"say \"hi\""'),
    ("<a href='x'>&amp;</a>", "\"<a href='x'>&amp;</a>\""),
    ("\u2028\u2029", '"\u2028\u2029"'),
    ("Zürich 東京 😀", '"Zürich 東京 😀"'),
]


def histograms() -> Histograms:
    """One empty native histogram."""
    layouts = HistogramLayouts(
        np.zeros(1, np.int32), np.zeros(1), np.zeros(0, np.int32), np.zeros(2, np.int64), np.zeros(1, np.int64),
        np.zeros(0), np.zeros(2, np.int64),
    )  # fmt: skip
    one = np.zeros(1)
    return Histograms(layouts, np.zeros(1, np.int32), np.zeros(1, np.uint8), one, one, one, np.zeros(1, np.int64),
                      np.zeros(0))  # fmt: skip


def two_histograms() -> Histograms:
    """Schema 0: 1 in [-2, -1), 2 around zero, 4 in (0.5, 1], with a bucket that is empty; and one without anything."""
    layouts = HistogramLayouts(
        np.zeros(2, np.int32), np.array([0.25, 0.0]), np.array([0, 1, 1], np.int32), np.array([0, 3, 3]),
        np.array([2, 3]), np.zeros(0), np.zeros(3, np.int64),
    )  # fmt: skip
    return Histograms(
        layouts, np.arange(2, dtype=np.int32), np.zeros(2, np.uint8), np.array([7.0, 0.0]), np.array([8.5, np.nan]),
        np.array([2.0, 0.0]), np.array([0, 3]), np.array([4.0, 0.0, 1.0]),
    )  # fmt: skip


def block_result(kind, grid, sets, values, cells=None, held=None) -> Result:
    """cells: the kind of each cell, FLOAT if not given."""
    values = np.array(values, np.float64).reshape(len(sets), grid.n)
    cells = np.full(values.shape, FLOAT, np.uint8) if cells is None else np.array(cells, np.uint8)
    labels = label_table([list(s.items()) for s in sets])
    block = StepBlock(grid, values, cells.reshape(values.shape), labels, np.zeros(len(sets), np.bool_), held)
    return Result(kind, grid, Notes(), b"", parts=(block,))


def samples_result(sets, ts_ms, values, offsets, kind=None, held=None) -> Result:
    samples = Samples(
        np.array(ts_ms, np.int64), np.array(values, np.float64), np.array(offsets, np.int64),
        None if kind is None else np.array(kind, np.uint8), held,
    )  # fmt: skip
    labels = label_table([list(s.items()) for s in sets])
    return Result("matrix", StepGrid(T0, 0, 1), Notes(), b"", labels=labels, samples=samples)


def text(result: Result, pool=None) -> str:
    return b"".join(result_pieces(result, pool)).decode()


class TestMatrix:
    def test_each_series_has_its_labels_by_name_and_its_points(self):
        result = block_result(
            "matrix", StepGrid(T0, 15_000, 2), [{"job": "b", "__name__": "up", "a": "1"}, {}], [[1, 0.5], [-0.0, 1e21]]
        )
        assert text(result) == (
            '[{"metric":{"__name__":"up","a":"1","job":"b"},"values":[[1700000000,"1"],[1700000015,"0.5"]]},'
            '{"metric":{},"values":[[1700000000,"-0"],[1700000015,"1e+21"]]}]'
        )

    def test_absent_cells_are_left_out_at_the_ends_and_between(self):
        cells = [[ABSENT, FLOAT, ABSENT, FLOAT, ABSENT]]
        result = block_result("matrix", StepGrid(0, 1000, 5), [{"i": "1"}], [[9, 1, 9, 3, 9]], cells)
        assert text(result) == '[{"metric":{"i":"1"},"values":[[1,"1"],[3,"3"]]}]'

    def test_a_series_without_points_is_left_out_wherever_it_stands(self):
        sets = [{"i": str(i)} for i in range(5)]
        cells = [[ABSENT, ABSENT], [FLOAT, ABSENT], [ABSENT, ABSENT], [ABSENT, FLOAT], [ABSENT, ABSENT]]
        result = block_result("matrix", StepGrid(0, 1000, 2), sets, np.full((5, 2), 7), cells)
        assert text(result) == '[{"metric":{"i":"1"},"values":[[0,"7"]]},{"metric":{"i":"3"},"values":[[1,"7"]]}]'

    def test_no_points_at_all_are_an_empty_list(self):
        grid = StepGrid(0, 1000, 2)
        assert text(block_result("matrix", grid, [], [])) == "[]"
        assert text(block_result("matrix", grid, [{"i": "1"}], [[1, 2]], [[ABSENT, ABSENT]])) == "[]"

    def test_nan_is_a_value_and_infinities_have_signs(self):
        result = block_result("matrix", StepGrid(0, 1000, 3), [{}], [[math.nan, math.inf, -math.inf]])
        assert text(result) == '[{"metric":{},"values":[[0,"NaN"],[1,"+Inf"],[2,"-Inf"]]}]'

    @pytest.mark.parametrize(
        ("at_ms", "seconds"),
        [
            (1_700_000_060_000, "1700000060"),
            (1_700_000_060_100, "1700000060.100"),
            (1_700_000_060_120, "1700000060.120"),
            (1_700_000_060_123, "1700000060.123"),
            (1, "0.001"),
            (0, "0"),
            (-1, "-0.001"),
            (-1500, "-1.500"),
            (-2000, "-2"),
            (-(2**63), "-9223372036854775.808"),
            (2**63 - 1, "9223372036854775.807"),
        ],
    )
    def test_a_time_has_three_decimals_or_none(self, at_ms, seconds):
        matrix = block_result("matrix", StepGrid(at_ms, 0, 1), [{}], [[2]])
        assert text(matrix) == f'[{{"metric":{{}},"values":[[{seconds},"2"]]}}]'
        assert text(samples_result([{}], [at_ms], [2], [0, 1])) == text(matrix)

    def test_the_longest_numbers_and_times_fit(self):
        at_ms, value = -(2**63), -1.2345678901234567e-06
        point = '[-9223372036854775.808,"-0.0000012345678901234567"]'
        result = block_result("matrix", StepGrid(at_ms, 0, 3), [{}] * 2, np.full((2, 3), value))
        series = '{"metric":{},"values":[' + ",".join([point] * 3) + "]}"
        assert text(result) == f"[{series},{series}]"


class TestVector:
    def test_each_series_has_one_value(self):
        result = block_result("vector", StepGrid(T0 + 250, 0, 1), [{"i": "1"}, {"i": "2"}], [[1e-07], [15]])
        assert text(result) == (
            '[{"metric":{"i":"1"},"value":[1700000000.250,"1e-07"]},{"metric":{"i":"2"},"value":[1700000000.250,"15"]}]'
        )

    def test_absent_values_leave_their_series_out(self):
        result = block_result(
            "vector", StepGrid(0, 0, 1), [{"i": "1"}, {"i": "2"}, {"i": "3"}], [1, 2, 3], [ABSENT, FLOAT, ABSENT]
        )
        assert text(result) == '[{"metric":{"i":"2"},"value":[0,"2"]}]'

    def test_an_empty_vector_is_an_empty_list(self):
        assert text(block_result("vector", StepGrid(0, 0, 1), [], [])) == "[]"


class TestScalarAndString:
    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (1.5, "1.5"), (3.0, "3"), (-0.0, "-0"), (1e-07, "0.0000001"), (1.5e21, "1500000000000000000000"),
            (-1e21, "-1000000000000000000000"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"),
        ],
    )  # fmt: skip
    def test_a_scalar_never_has_an_exponent(self, value, written):
        result = Result("scalar", StepGrid(T0, 0, 1), Notes(), b"", scalar=np.array([value]))
        assert text(result) == f'[1700000000,"{written}"]'

    @pytest.mark.parametrize(
        ("at_ms", "seconds"), [(T0 + 100, "1700000000.1"), (T0 + 123, "1700000000.123"), (-1500, "-1.5"), (1, "0.001")]
    )
    def test_the_time_of_scalars_and_strings_is_the_shortest(self, at_ms, seconds):
        grid = StepGrid(at_ms, 0, 1)
        assert text(Result("scalar", grid, Notes(), b"", scalar=np.array([1.0]))) == f'[{seconds},"1"]'
        assert text(Result("string", grid, Notes(), b"", string="x")) == f'[{seconds},"x"]'

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("", '""'),
            (r'C:\bin "x"', r'"C:\\bin \"x\""'),
            ("a\nb\rc\td\x00\x1f", r'"a\nb\rc\td\u0000\u001f"'),
            ("<a> & b", r'"\u003ca\u003e \u0026 b"'),
            ("\u2028\u2029", r'"\u2028\u2029"'),
            ("Zürich 東京 😀", '"Zürich 東京 😀"'),
            ("\b\f\x7f", '"\\u0008\\u000c\x7f"'),
            (b"a\xff\xe6\x9d".decode("utf-8", "surrogateescape"), r'"a\ufffd\ufffd\ufffd"'),
            ("\ufffd", '"\ufffd"'),
        ],
    )
    def test_a_string_is_escaped_for_html_too(self, value, written):
        assert text(Result("string", StepGrid(T0, 0, 1), Notes(), b"", string=value)) == f"[1700000000,{written}]"


class TestRangeVectorOfAnInstant:
    def test_each_sample_has_its_own_time(self):
        result = samples_result([{"i": "1"}, {"i": "2"}], [T0, T0 + 15_001, T0 - 1], [1, 0.1, math.nan], [0, 2, 3])
        assert text(result) == (
            '[{"metric":{"i":"1"},"values":[[1700000000,"1"],[1700000015.001,"0.1"]]},'
            '{"metric":{"i":"2"},"values":[[1699999999.999,"NaN"]]}]'
        )

    def test_series_without_samples_are_left_out(self):
        sets = [{"i": str(i)} for i in range(5)]
        result = samples_result(sets, [1000, 2000], [7, 8], [0, 0, 1, 1, 2, 2])
        assert text(result) == '[{"metric":{"i":"1"},"values":[[1,"7"]]},{"metric":{"i":"3"},"values":[[2,"8"]]}]'

    def test_samples_outside_the_offsets_are_not_ours(self):
        result = samples_result([{"i": "1"}], [1000, 2000, 3000, 4000], [6, 7, 8, 9], [1, 3])
        assert text(result) == '[{"metric":{"i":"1"},"values":[[2,"7"],[3,"8"]]}]'

    def test_no_samples_are_an_empty_list(self):
        assert text(samples_result([], [], [], [0])) == "[]"
        assert text(samples_result([{"i": "1"}], [], [], [0, 0])) == "[]"


class TestLabels:
    @pytest.mark.parametrize(("value", "written"), [pair for pair in LABEL_TEXTS if pair[0]])
    def test_values_are_escaped_the_same_in_every_form(self, value, written):
        metric = f'{{"metric":{{"a":{written},"b":"x"}},'
        sets = [{"a": value, "b": "x"}]
        matrix = block_result("matrix", StepGrid(0, 0, 1), sets, [[1]])
        assert text(matrix) == f'[{metric}"values":[[0,"1"]]}}]'
        assert text(block_result("vector", StepGrid(0, 0, 1), sets, [[1]])) == f'[{metric}"value":[0,"1"]}}]'
        assert text(samples_result(sets, [0], [1], [0, 1])) == text(matrix)
        pieces = label_set_pieces(label_table([list(s.items()) for s in sets]))
        assert b"".join(pieces).decode() == f'[{{"a":{written},"b":"x"}}]'

    @pytest.mark.parametrize(("value", "written"), LABEL_TEXTS)
    def test_the_text_of_a_single_set_follows_the_kernels(self, value, written):
        assert label_set_text([("a", value), (value, "b")]) == f'{{"a":{written},{written}:"b"}}'
        assert json.loads(label_set_text([("a", value)])) == {"a": value}

    def test_names_are_escaped_like_values(self):
        result = block_result("vector", StepGrid(0, 0, 1), [{'a"\\b\x08': "x", "é.<": "y"}], [[1]])
        assert text(result) == r'[{"metric":{"a\"\\b\u0008":"x","é.<":"y"},"value":[0,"1"]}]'

    def test_lengths_of_two_and_three_bytes_are_read(self):
        long, longer = "x" * 300, "\x00" * 20_000
        result = block_result("vector", StepGrid(0, 0, 1), [{"a": long, "b": longer}], [[1]])
        assert text(result) == f'[{{"metric":{{"a":"{long}","b":"' + r"\u0000" * 20_000 + '"},"value":[0,"1"]}]'

    def test_a_set_without_labels_is_an_empty_object(self):
        assert label_set_text([]) == "{}"
        assert b"".join(label_set_pieces(label_table([[], [("a", "b")]]))) == b'[{},{"a":"b"}]'


def pool_cases() -> dict[str, Result]:
    """Answers of several pieces, with series that are left out at their seams."""
    rng, n = np.random.default_rng(5), 40
    sets = [{"__name__": "m", "path": f"C:\\bin\\{i:03d}", "q": 'a"b\n'} for i in range(n)]
    values = rng.random((n, 50))
    cells = (rng.random((n, 50)) < 0.7).astype(np.uint8)
    cells[::3] = ABSENT
    counts = rng.integers(0, 60, n)
    counts[::4] = 0
    offsets = np.concatenate(([0], np.cumsum(counts)))
    ts_ms = T0 + rng.integers(0, 10**7, offsets[-1])
    return {
        "matrix": block_result("matrix", StepGrid(T0, 15_000, 50), sets, values, cells),
        "vector": block_result("vector", StepGrid(T0, 0, 1), sets, values[:, :1], cells[:, :1]),
        "samples": samples_result(sets, ts_ms, rng.random(offsets[-1]), offsets),
        "nothing": block_result("matrix", StepGrid(T0, 15_000, 50), sets, values, np.zeros((n, 50), np.uint8)),
    }


POOL_CASES = pool_cases()


class TestPieces:
    @pytest.fixture(params=[1, 200, 5000])
    def piece_bytes(self, request, monkeypatch):
        monkeypatch.setattr(json_result, "PIECE_BYTES", request.param)

    @pytest.mark.parametrize("name", list(POOL_CASES))
    def test_pieces_join_to_the_same_json_with_and_without_threads(self, name, piece_bytes, monkeypatch):
        with ThreadPoolExecutor(3) as pool:
            pieces = [list(result_pieces(POOL_CASES[name], p)) for p in (None, pool)]
        assert b"".join(pieces[0]) == b"".join(pieces[1])
        monkeypatch.undo()
        assert b"".join(pieces[0]).decode() == text(POOL_CASES[name])
        json.loads(b"".join(pieces[0]))

    def test_the_points_of_all_pieces_are_those_that_are_present(self, piece_bytes):
        block = POOL_CASES["matrix"].block
        found = json.loads(text(POOL_CASES["matrix"]))
        rows = np.flatnonzero((block.kind != ABSENT).any(axis=1)).tolist()
        assert [s["metric"] for s in found] == [dict(block.labels.pairs(row)) for row in rows]
        for series, row in zip(found, rows, strict=True):
            steps = np.flatnonzero(block.kind[row]).tolist()
            assert [p[0] for p in series["values"]] == [T0 // 1000 + 15 * step for step in steps]
            assert [float(p[1]) for p in series["values"]] == block.values[row, steps].tolist()

    def test_a_reader_who_leaves_early_takes_no_more_pieces(self, monkeypatch):
        monkeypatch.setattr(json_result, "PIECE_BYTES", 200)
        with ThreadPoolExecutor(1) as pool:
            pieces = result_pieces(POOL_CASES["matrix"], pool)
            assert next(pieces).startswith(b'[{"metric":')
            pieces.close()
            assert list(pieces) == []


class TestHistograms:
    def test_a_table_of_histograms_without_histogram_cells_is_written(self):
        grid, sets = StepGrid(0, 1000, 2), [{"i": "1"}]
        result = block_result("matrix", grid, sets, [[1, 2]], [[FLOAT, ABSENT]], histograms())
        assert text(result) == '[{"metric":{"i":"1"},"values":[[0,"1"]]}]'
        assert text(block_result("matrix", grid, [], [], held=histograms())) == "[]"
        for kind in (None, [FLOAT]):
            samples = samples_result(sets, [0], [1], [0, 1], kind, histograms())
            assert text(samples) == '[{"metric":{"i":"1"},"values":[[0,"1"]]}]'

    def test_a_vector_has_a_histogram_where_a_value_would_be(self):
        sets, cells = [{"i": "1"}, {"i": "2"}], [FLOAT, HISTOGRAM]
        result = block_result("vector", StepGrid(1500, 0, 1), sets, [1, 0], cells, two_histograms())
        assert text(result) == (
            '[{"metric":{"i":"1"},"value":[1.500,"1"]},'
            '{"metric":{"i":"2"},"histogram":[1.500,{"count":"7","sum":"8.5","buckets":'
            '[[1,"-2","-1","1"],[3,"-0.25","0.25","2"],[0,"0.5","1","4"]]}]}]'
        )

    def test_a_matrix_lists_floats_before_histograms_and_no_empty_buckets(self):
        cells = [HISTOGRAM, FLOAT, HISTOGRAM]
        result = block_result("matrix", StepGrid(0, 1000, 3), [{"i": "1"}], [[1, 5, 0]], [cells], two_histograms())
        assert text(result) == (
            '[{"metric":{"i":"1"},"values":[[1,"5"]],"histograms":[[0,{"count":"0","sum":"NaN"}],'
            '[2,{"count":"7","sum":"8.5","buckets":[[1,"-2","-1","1"],[3,"-0.25","0.25","2"],[0,"0.5","1","4"]]}]]}]'
        )

    def test_samples_of_a_range_vector_are_written_alike_and_only_ours(self):
        arrays = [0, 1000, 2000], [1, 2, 1]
        samples = samples_result([{"i": "1"}], *arrays, [0, 3], [FLOAT, FLOAT, HISTOGRAM], two_histograms())
        assert text(samples) == (
            '[{"metric":{"i":"1"},"values":[[0,"1"],[1,"2"]],"histograms":[[2,{"count":"0","sum":"NaN"}]]}]'
        )
        ours = samples_result([{"i": "1"}], *arrays, [0, 2], [FLOAT, FLOAT, HISTOGRAM], two_histograms())
        assert text(ours) == '[{"metric":{"i":"1"},"values":[[0,"1"],[1,"2"]]}]'

    def test_pieces_join_to_the_same_text(self, monkeypatch):
        sets = [{"i": str(i)} for i in range(30)]
        cells = [[HISTOGRAM, FLOAT] if i % 3 else [FLOAT, FLOAT] for i in range(30)]
        result = block_result(
            "matrix", StepGrid(0, 1000, 2), sets, [[0, i] for i in range(30)], cells, two_histograms()
        )
        whole = text(result)
        monkeypatch.setattr(json_result, "PIECE_BYTES", 200)
        assert text(result) == whole
