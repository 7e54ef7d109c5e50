"""Memory that the allocator keeps for the next query goes back to the system once no query has come for a while."""

from __future__ import annotations

from athanor.kernel.release import give_back
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken

IDLE_S = 10.0


def give_back_when_idle(budget: Budget, cancel: CancelToken) -> None:
    """A part of a process: runs until cancelled. budget: the one that every request of the process reserves in."""
    seen = given_back_at = budget.n_reservations
    while not cancel.wait(IDLE_S):
        now = budget.n_reservations
        if now == seen and now != given_back_at and not budget.held_bytes:
            give_back()
            given_back_at = now
        seen = now
