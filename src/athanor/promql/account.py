"""What an evaluation holds in its budget: reserved before it exists, given back when it has been consumed."""

from __future__ import annotations

from athanor.model.budget import Budget
from athanor.promql.plan import Operator


class Account:
    """held: bytes of blocks that have not been consumed; those that stay until the query ends are not among them."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.held = 0

    def take(self, who: str, n_bytes: int) -> int:
        self.budget.take(who, n_bytes)
        self.held += n_bytes
        return n_bytes

    def give(self, n_bytes: int) -> None:
        self.budget.give(n_bytes)
        self.held -= n_bytes

    def take_for(self, operator: Operator, n_series: int, n_groups: int = 0) -> int:
        """Reserve what the operator says that it needs."""
        n_bytes = operator.n_bytes(n_series, n_groups)
        return self.take(f"{operator.name} of {n_series} series x {operator.grid.n} steps", n_bytes)
