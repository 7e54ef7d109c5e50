"""Rows that must not meet: two with one number that both have a cell at a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from athanor.model.arrays import I64, U8
from athanor.promql import binary_kernels as kernels


@dataclass(frozen=True, slots=True)
class Clash:
    """Two rows that must not meet at a step; first comes before second."""

    step: int
    first: int
    second: int


def clash_of_pairs(
    a: U8, a_rows: I64, b: U8, b_rows: I64, codes: I64, steps: Callable[[], U8], limit: int
) -> Clash | None:
    """The first step below limit at which two pairs of rows with one code both have a cell.

    steps: 1 for those that count; asked for only where a code occurs twice, which most queries have not.
    """
    counts = np.bincount(codes)
    shared = np.flatnonzero(counts[codes] > 1)
    if not shared.size:
        return None
    order = shared[np.argsort(codes[shared], kind="stable")]
    sizes = counts[counts > 1]
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    found = kernels.first_clash(a, a_rows, b, b_rows, order, starts, steps(), limit, np.empty(a.shape[1], np.uint8))
    return Clash(*found) if found[0] >= 0 else None


def clash_of_rows(kind: U8, codes: I64, steps: Callable[[], U8] | None = None) -> Clash | None:
    """Where two rows with one code both have a cell; at any step unless told at which."""
    kind, rows = np.ascontiguousarray(kind), np.arange(codes.size)
    n_steps = kind.shape[1]
    return clash_of_pairs(kind, rows, kind, rows, codes, steps or (lambda: np.ones(n_steps, np.uint8)), n_steps)
