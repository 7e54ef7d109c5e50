"""What tables of native histograms take of their query's budget: asked for before one is made, given back when nothing
refers to it any more. And where work on them looks up whether anybody still waits for it.

A table has no place of its own in the plan: any operator may make one, and blocks share them. So its bytes follow the
array of its buckets, which whoever keeps the table keeps.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from athanor.model.budget import Budget
from athanor.model.tables import Histograms

ROW_BYTES = 45
BUCKET_BYTES = 8
PIECE_ROWS = 20_000  # histograms that a kernel works on between two checks for cancellation: some 20 ms
_local = threading.local()


@contextmanager
def charged_to(budget: Budget, check: Callable[[], None]) -> Iterator[None]:
    """Tables that this thread makes meanwhile are this budget's; check raises when nobody waits for them any more."""
    before = getattr(_local, "budget", None), getattr(_local, "check", None)
    _local.budget, _local.check = budget, check
    try:
        yield
    finally:
        _local.budget, _local.check = before


def _check() -> None:
    check: Callable[[], None] | None = getattr(_local, "check", None)
    if check is not None:
        check()


def pieces(n_rows: int) -> Iterator[slice]:
    """Rows to be worked on in one call of a kernel, the first piece also where there are none."""
    for first in range(0, max(1, n_rows), PIECE_ROWS):
        _check()
        yield slice(first, min(n_rows, first + PIECE_ROWS))


def n_bytes(h: Histograms) -> int:
    """Memory that a table holds."""
    layouts = h.layouts
    return ROW_BYTES * h.layout.size + BUCKET_BYTES * (h.buckets.size + layouts.bounds.size) + 4 * layouts.index.size


class Asked:
    """Bytes that were asked for and not yet kept."""

    def __init__(self, budget: Budget | None, who: str, n_bytes: int) -> None:
        self._budget, self._who = budget, who
        self.left = n_bytes

    def keep(self, h: Histograms) -> Histograms:
        """The table that was made: its bytes stay taken as long as it is there."""
        if self._budget is not None:
            kept = n_bytes(h)
            if kept > self.left:
                self._budget.take(self._who, kept - self.left)
                self.left = kept
            self.left -= kept
            weakref.finalize(h.buckets, self._budget.give_later, kept).atexit = False
        return h


@contextmanager
def asked_bytes(what: str, n_bytes: int) -> Iterator[Asked]:
    """Ask for so many bytes; what is not kept of them is given back at the end.

    Raises also where nobody waits for the tables any more.
    """
    _check()
    budget: Budget | None = getattr(_local, "budget", None)
    if budget is not None:
        budget.take(what, n_bytes)
    request = Asked(budget, what, n_bytes)
    try:
        yield request
    finally:
        if budget is not None:
            budget.give(request.left)


def asked(what: str, n_rows: int, n_buckets: int, n_tables: int = 1) -> AbstractContextManager[Asked]:
    """The same for tables of n_rows, of n_buckets on each side at most."""
    bound = n_tables * n_rows * (ROW_BYTES + 2 * BUCKET_BYTES * n_buckets)
    return asked_bytes(f"{what} of {n_rows} native histograms", bound)
