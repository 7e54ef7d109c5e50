"""Binary operators where at least one side is a native histogram, cell by cell of two aligned blocks.

A side is values and kinds of all pairs and steps; the table is None where a side has no histograms. Results go over
the cells that the operators of floats have written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from athanor.model.arrays import B1, F64, I64, U8
from athanor.model.tables import FLOAT, HISTOGRAM, Histograms
from athanor.promql.histogram_code_kernels import COLLISION, RECONCILED
from athanor.promql.histogram_functions import trimmed
from athanor.promql.histograms import added, concat, equal, scaled
from athanor.promql.notes import Notes

TRIM_BELOW = "</"
_TRIMS = ("</", ">/")


@dataclass(frozen=True, slots=True)
class Side:
    """values, kind: [pairs, steps]; a histogram's value is its row in the table."""

    values: F64
    kind: U8
    table: Histograms | None


class _Told:
    """What there is to say about cells. compat: of each step the original keeps what it says last, in the order of the
    pairs (promql/engine.go VectorBinop)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._number = np.zeros(shape, np.uint8)
        self._said: list[tuple[str, bool]] = []

    def say(self, mask: B1, text: str, *, is_info: bool) -> None:
        self._said.append((text, is_info))
        self._number[mask] = len(self._said)

    def note(self, notes: Notes, at: int) -> None:
        if not self._said:
            return
        last = self._number.shape[0] - 1 - np.argmax(self._number[::-1] != 0, axis=0)
        kept = set(self._number[last, np.arange(last.size)].tolist())
        for number, (text, is_info) in enumerate(self._said, 1):
            if number in kept:
                (notes.info if is_info else notes.warn)(text, at)


class _Results:
    """Cells of kind HISTOGRAM from several tables."""

    def __init__(self, values: F64, kind: U8) -> None:
        self.values, self.kind = values, kind
        self._tables: list[Histograms] = []
        self._n = 0

    def put(self, mask: B1, table: Histograms, rows: I64 | None = None) -> None:
        numbers = np.arange(table.layout.size) if rows is None else rows
        self.values[mask] = numbers + self._n
        self.kind[mask] = HISTOGRAM
        self._tables.append(table)
        self._n += table.layout.size

    def table(self) -> Histograms | None:
        return concat(self._tables) if self._tables else None


def _rows(side: Side, mask: B1) -> I64:
    return side.values[mask].astype(np.int64)


def _word(kind: int) -> str:
    return "histogram" if kind == HISTOGRAM else "float"


def compatible(op: str, left: U8, right: U8) -> B1:
    """Cells whose kinds the operator can combine, where both sides have one."""
    same = right == HISTOGRAM if op in ("+", "-", "==", "!=") else np.zeros_like(left, np.bool_)
    of_histogram = right == FLOAT if op in ("*", "/", *_TRIMS) else np.zeros_like(left, np.bool_)
    of_float = right == FLOAT if op not in _TRIMS else np.zeros_like(left, np.bool_)
    if op == "*":
        of_float = right != 0
    found: B1 = np.where(left == HISTOGRAM, same | of_histogram, of_float & (left != 0))
    return found


def combine(
    op: str, left: Side, right: Side, kept: str, return_bool: bool, values: F64, kind: U8, notes: Notes, at: int
) -> Histograms | None:
    """Overwrite values, kind where a side is a histogram; the table that cells point to.

    kept: whether a filter keeps the left or the right side's value.
    """
    there = (left.kind != 0) & (right.kind != 0)
    results, told = _Results(values, kind), _Told(there.shape)
    for a in (FLOAT, HISTOGRAM):
        for b in (FLOAT, HISTOGRAM):
            mask: B1 = there & (left.kind == a) & (right.kind == b)
            if (a == b == FLOAT and op not in _TRIMS) or not mask.any():
                continue
            kind[mask], values[mask] = 0, 0.0
            if not _cells(op, left, right, a, b, mask, kept, return_bool, results, told):
                text = f'incompatible sample types encountered for binary operator "{op}": {_word(a)} {op} {_word(b)}'
                told.say(mask, text, is_info=True)
    told.note(notes, at)
    return results.table()


def without_failures(op: str, left: Side, right: Side) -> U8:
    """The kinds of the left side, 0 where adding or subtracting two histograms fails."""
    mask: B1 = (left.kind == HISTOGRAM) & (right.kind == HISTOGRAM)
    found = left.kind.copy()
    if left.table is not None and right.table is not None and mask.any():
        _, told = added(left.table, _rows(left, mask), right.table, _rows(right, mask), 1.0 if op == "+" else -1.0)
        found[_among(mask, (told < 0) | ((told & COLLISION) != 0))] = 0
    return found


def _among(mask: B1, chosen: B1) -> B1:
    """The marked cells that are chosen; chosen: for each marked cell."""
    found = np.zeros_like(mask)
    found[mask] = chosen
    return found


def _cells(
    op: str, left: Side, right: Side, a: int, b: int, mask: B1, kept: str, return_bool: bool, results: _Results,
    told: _Told,
) -> bool:  # fmt: skip
    """One combination of kinds; False where the operator has no meaning for it."""
    if a == b == HISTOGRAM:
        return _two(op, left, right, mask, kept, return_bool, results, told)
    h, factor = (left, right) if a == HISTOGRAM else (right, left)
    if h.table is None:
        return False
    if op == "*" or (op == "/" and a == HISTOGRAM):
        results.put(mask, scaled(h.table, _rows(h, mask), factor.values[mask], divides=op == "/"))
        return True
    if op in _TRIMS and a == HISTOGRAM:
        results.put(mask, trimmed(h.table, _rows(h, mask), factor.values[mask], op == TRIM_BELOW))
        return True
    return False


def _two(
    op: str, left: Side, right: Side, mask: B1, kept: str, return_bool: bool, results: _Results, told: _Told
) -> bool:
    assert left.table is not None and right.table is not None
    a, b = _rows(left, mask), _rows(right, mask)
    if op in ("==", "!="):
        holds = equal(left.table, a, right.table, b) == (op == "==")
        if return_bool:
            results.values[mask], results.kind[mask] = holds.astype(np.float64), FLOAT
            return True
        chosen = _among(mask, holds)
        side = left if kept == "left" else right
        assert side.table is not None
        results.put(chosen, side.table, _rows(side, chosen))
        return True
    if op not in ("+", "-"):
        return False
    table, codes = added(left.table, a, right.table, b, 1.0 if op == "+" else -1.0)
    name = "addition" if op == "+" else "subtraction"
    fails = codes < 0
    clash = ~fails & ((codes & COLLISION) != 0)
    # compat: where the hints of the two contradict each other the original drops the point (promql/engine.go).
    found = ~fails & ~clash
    reconciled = found & ((codes & RECONCILED) != 0)
    if fails.any():
        told.say(_among(mask, fails), f"incompatible bucket layout encountered for binary operator {op}", is_info=False)
    if clash.any():
        told.say(_among(mask, clash), f"conflicting counter resets during histogram {name}", is_info=False)
    if reconciled.any():
        told.say(_among(mask, reconciled), f"mismatched custom buckets were reconciled during {name}", is_info=True)
    results.put(_among(mask, found), table, np.flatnonzero(found))
    return True
