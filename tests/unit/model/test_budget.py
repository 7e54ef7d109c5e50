"""Reservations: what fits, what does not, and what is given back from elsewhere."""

from __future__ import annotations

import pytest

from athanor.model.budget import Budget, OverBudget
from athanor.model.errors import AthanorError


def test_what_does_not_fit_is_refused_with_the_numbers_and_reserves_nothing():
    parent = Budget(1_000)
    with Budget(100, parent) as budget:
        budget.take("a block", 60)
        with pytest.raises(OverBudget, match=r"a sort needs 50 bytes, but the query already holds 60 of its 100;"):
            budget.take("a sort", 50)
        assert (budget.held_bytes, parent.held_bytes) == (60, 60)
    assert parent.held_bytes == 0


def test_what_is_given_back_later_counts_from_the_next_reservation_on():
    parent = Budget(100)
    with Budget(100, parent) as budget:
        budget.take("a table", 80)
        budget.give_later(80)
        budget.take("another", 90)
        assert (budget.held_bytes, parent.held_bytes, budget.peak_bytes) == (90, 90, 90)


def test_what_is_given_back_after_the_end_of_a_query_changes_nothing():
    parent = Budget(100)
    with Budget(100, parent) as budget:
        budget.take("a table", 80)
    budget.give_later(80)
    assert (budget.held_bytes, parent.held_bytes) == (0, 0)
    with pytest.raises(AthanorError, match="its query has ended"):
        budget.take("another", 1)
