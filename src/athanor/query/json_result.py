"""The ``result`` of an answer as JSON in pieces of about 1 MiB, formatted by several threads, handed out in order."""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from athanor.model.arrays import F64, I64, U8
from athanor.model.tables import LabelTable, Samples, StepBlock, StepGrid
from athanor.promql.engine import Result
from athanor.promql.histograms import has_cells
from athanor.query import json_kernels as kernels
from athanor.query.histogram_json import MixedPoints, points_of_block, points_of_samples

PIECE_BYTES = 1 << 20
PIECES_AHEAD = 4
_local = threading.local()

Writer = Callable[[U8], int]


class _Piece:
    """Bytes that are written when somebody asks: bound is the most that they can be."""

    __slots__ = ("_bound", "_write")

    def __init__(self, bound: int, write: Writer) -> None:
        self._bound, self._write = bound, write

    def __call__(self) -> bytes:
        out = _buffer(self._bound + kernels.SLACK)
        return out[: self._write(out)].tobytes()


def _buffer(n_bytes: int) -> U8:
    """This thread's scratch; fresh memory would cost more than the writing of short texts."""
    held: U8 | None = getattr(_local, "buffer", None)
    if held is None or held.size < n_bytes:
        held = np.empty(max(n_bytes, PIECE_BYTES), np.uint8)
        if n_bytes <= 2 * PIECE_BYTES:
            _local.buffer = held
    return held


def json_text(value: str) -> str:
    """A string as the original's encoder writes it: HTML's characters escaped, each byte that is no UTF-8 replaced
    (json-iterator's writeStringSlowPathWithHTMLEscaped)."""
    return '"' + _GO_SPECIAL.sub(_go_escape, value) + '"'


_GO_SPECIAL = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029\ud800-\udfff]')


def _go_escape(found: re.Match[str]) -> str:
    character = found[0]
    if "\ud800" <= character <= "\udfff":
        return "\\ufffd"
    return _RAW_ESCAPES.get(character) or f"\\u{ord(character):04x}"


def json_texts(values: Sequence[str]) -> str:
    """A list of strings."""
    return "[" + ",".join(map(json_text, values)) + "]"


def label_set_text(pairs: Sequence[tuple[str, str]]) -> str:
    """One label set as the kernels write it: without the escapes for HTML."""
    return "{" + ",".join(f"{_raw(name)}:{_raw(value)}" for name, value in pairs) + "}"


_RAW_SPECIAL = re.compile(r'["\\\x00-\x1f]')
_RAW_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _raw(value: str) -> str:
    return '"' + _RAW_SPECIAL.sub(_raw_escape, value) + '"'


def _raw_escape(found: re.Match[str]) -> str:
    character = found[0]
    return _RAW_ESCAPES.get(character) or f"\\u{ord(character):04x}"


def plain_number(value: float) -> str:
    """Shortest digits, never an exponent: how scalars are written."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")


def result_pieces(result: Result, pool: Executor | None = None) -> Iterator[bytes]:
    """The value of ``result``. pool: threads that format ahead of the reader."""
    if result.type == "string":
        return iter((_pair(result.grid.first_ms, json_text(result.string or "")),))
    if result.type == "scalar":
        assert result.scalar is not None
        return iter((_pair(result.grid.first_ms, f'"{plain_number(float(result.scalar[0]))}"'),))
    if result.parts:
        return _joined(_part_pieces(result.parts, single=result.type == "vector"), pool)
    assert result.labels is not None and result.samples is not None
    samples = result.samples
    if samples.kind is not None and samples.histograms is not None:
        return _joined(_mixed_pieces(points_of_samples(result.labels, samples), False), pool)
    return _joined(_sample_pieces(result.labels, samples), pool)


def text_bytes_held(result: Result) -> int:
    """About how much of the answer's text exists at one time: pieces that wait and those that are being written."""
    if result.parts:
        n_points = sum(part.values.size for part in result.parts)
        n_label_bytes = sum(part.labels.n_bytes for part in result.parts)
    elif result.samples is not None and result.labels is not None:
        n_points, n_label_bytes = result.samples.values.size, result.labels.n_bytes
    else:
        return 0
    whole = n_points * (kernels.TIME_BYTES + kernels.VALUE_BYTES) + 2 * n_label_bytes
    return min(whole, 2 * (PIECES_AHEAD + 1) * PIECE_BYTES)


def label_set_pieces(table: LabelTable, pool: Executor | None = None) -> Iterator[bytes]:
    """A list of label sets, as ``/series`` answers."""
    yield from _joined(_set_pieces(table), pool)


def _pair(at_ms: int, value: str) -> bytes:
    return f"[{plain_number(at_ms / 1000)},{value}]".encode()


def _joined(pieces: Iterator[_Piece], pool: Executor | None) -> Iterator[bytes]:
    """A list of elements that each begin with a comma."""
    opening: bytes | None = b"["
    for piece in _written(pieces, pool):
        if opening is None:
            yield piece
        elif piece:
            yield opening + piece[1:]
            opening = None
    yield b"[]" if opening is not None else b"]"


def _written(pieces: Iterator[_Piece], pool: Executor | None) -> Iterator[bytes]:
    first, second = next(pieces, None), next(pieces, None)
    if first is None:
        return
    if pool is None or second is None:
        yield first()
        if second is not None:
            yield second()
        for piece in pieces:
            yield piece()
        return
    ahead: deque[Future[bytes]] = deque((pool.submit(first), pool.submit(second)))
    try:
        for piece in pieces:
            ahead.append(pool.submit(piece))
            if len(ahead) > PIECES_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()


def _label_sizes(table: LabelTable) -> I64:
    sizes = np.empty(len(table), np.int64)
    kernels.label_set_sizes(table.arena, table.offsets, sizes)
    return sizes


def _cuts(sizes: I64) -> Iterator[tuple[int, int, int]]:
    """(first, end, their bytes) of runs of rows that make about one piece."""
    ends = np.cumsum(sizes)
    first, before = 0, 0
    while first < sizes.size:
        end = max(first + 1, int(np.searchsorted(ends, before + PIECE_BYTES, "right")))
        yield first, end, int(ends[end - 1]) - before
        first, before = end, int(ends[end - 1])


@dataclass(frozen=True, slots=True)
class _Times:
    """The text of each step, TIME_BYTES apart; longest: of them."""

    texts: U8
    sizes: I64
    longest: int


def _times(grid: StepGrid) -> _Times:
    steps_ms = grid.steps_ms()
    texts, sizes = np.zeros(steps_ms.size * kernels.TIME_BYTES + kernels.SLACK, np.uint8), np.empty_like(steps_ms)
    return _Times(texts, sizes, kernels.write_times(steps_ms, texts, sizes))


def _part_pieces(parts: Sequence[StepBlock], *, single: bool) -> Iterator[_Piece]:
    times = _times(parts[0].grid)
    for part in parts:
        if has_cells(part):
            yield from _mixed_pieces(points_of_block(part), single)
        else:
            yield from _block_pieces(part, times, single=single)


def _block_pieces(block: StepBlock, times: _Times, *, single: bool) -> Iterator[_Piece]:
    labels, values, kind = block.labels, np.ascontiguousarray(block.values), np.ascontiguousarray(block.kind)
    sizes = _label_sizes(labels) + kernels.SERIES_BYTES
    sizes += np.count_nonzero(kind, axis=1) * (times.longest + kernels.VALUE_BYTES)
    for first, end, bound in _cuts(sizes):
        yield _Piece(bound, _rows_writer(values, kind, labels, times, single, first, end))


def _rows_writer(
    values: F64, kind: U8, labels: LabelTable, times: _Times, single: bool, first: int, end: int
) -> Writer:
    def write(out: U8) -> int:
        return int(
            kernels.write_rows(
                values, kind, labels.arena, labels.offsets, times.texts, times.sizes, single, first, end, out
            )
        )

    return write


def _sample_pieces(labels: LabelTable, samples: Samples) -> Iterator[_Piece]:
    """A series may be larger than a piece, so cuts lie between samples."""
    offsets = samples.offsets
    rows = np.flatnonzero(np.diff(offsets))
    if not rows.size:
        return
    sizes = np.full(int(offsets[-1] - offsets[0]), kernels.TIME_BYTES + kernels.VALUE_BYTES, np.int64)
    sizes[offsets[rows] - offsets[0]] += _label_sizes(labels)[rows] + kernels.SERIES_BYTES
    begin = int(offsets[0])
    for first, end, bound in _cuts(sizes):
        row = int(np.searchsorted(offsets, begin + first, "right")) - 1
        yield _Piece(bound, _samples_writer(labels, samples, row, begin + first, begin + end))


def _samples_writer(labels: LabelTable, samples: Samples, row: int, first: int, end: int) -> Writer:
    def write(out: U8) -> int:
        return int(
            kernels.write_samples(
                samples.ts_ms, samples.values, samples.offsets, labels.arena, labels.offsets, row, first, end, out
            )
        )

    return write


def _mixed_pieces(points: MixedPoints, single: bool) -> Iterator[_Piece]:
    sizes = points.sizes() + _label_sizes(points.labels) + 2 * kernels.SERIES_BYTES
    for first, end, bound in _cuts(sizes):
        yield _Piece(bound, points.writer(single, first, end))


def _set_pieces(table: LabelTable) -> Iterator[_Piece]:
    for first, end, bound in _cuts(_label_sizes(table) + 1):
        yield _Piece(bound, _sets_writer(table, first, end))


def _sets_writer(table: LabelTable, first: int, end: int) -> Writer:
    def write(out: U8) -> int:
        return int(kernels.write_label_sets(table.arena, table.offsets, first, end, out))

    return write
