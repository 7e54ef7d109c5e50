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
    results = _Results(values, kind)
    for a in (FLOAT, HISTOGRAM):
        for b in (FLOAT, HISTOGRAM):
            mask: B1 = there & (left.kind == a) & (right.kind == b)
            if (a == b == FLOAT and op not in _TRIMS) or not mask.any():
                continue
            kind[mask], values[mask] = 0, 0.0
            if not _cells(op, left, right, a, b, mask, kept, return_bool, results, notes, at):
                text = f'incompatible sample types encountered for binary operator "{op}": {_word(a)} {op} {_word(b)}'
                notes.info(text, at)
    return results.table()


def _cells(
    op: str, left: Side, right: Side, a: int, b: int, mask: B1, kept: str, return_bool: bool, results: _Results,
    notes: Notes, at: int,
) -> bool:  # fmt: skip
    """One combination of kinds; False where the operator has no meaning for it."""
    if a == b == HISTOGRAM:
        return _two(op, left, right, mask, kept, return_bool, results, notes, at)
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
    op: str, left: Side, right: Side, mask: B1, kept: str, return_bool: bool, results: _Results, notes: Notes, at: int
) -> bool:
    assert left.table is not None and right.table is not None
    a, b = _rows(left, mask), _rows(right, mask)
    if op in ("==", "!="):
        holds = equal(left.table, a, right.table, b) == (op == "==")
        if return_bool:
            results.values[mask], results.kind[mask] = holds.astype(np.float64), FLOAT
            return True
        chosen = np.zeros_like(mask)
        chosen[mask] = holds
        side = left if kept == "left" else right
        assert side.table is not None
        results.put(chosen, side.table, _rows(side, chosen))
        return True
    if op not in ("+", "-"):
        return False
    table, told = added(left.table, a, right.table, b, 1.0 if op == "+" else -1.0)
    name = "addition" if op == "+" else "subtraction"
    clash = (told >= 0) & ((told & COLLISION) != 0)
    if (told < 0).any():
        notes.warn(f"incompatible bucket layout encountered for binary operator {op}", at)
    if clash.any():
        notes.warn(f"conflicting counter resets during histogram {name}", at)
    if ((told >= 0) & ((told & RECONCILED) != 0)).any():
        notes.info(f"mismatched custom buckets were reconciled during {name}", at)
    # compat: where the hints of the two contradict each other the original drops the point (promql/engine.go).
    chosen = np.zeros_like(mask)
    chosen[mask] = (told >= 0) & ~clash
    results.put(chosen, table, np.flatnonzero((told >= 0) & ~clash))
    return True
