"""Rules of the planner: pure functions that make a query cheaper and never change its answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Which rules are on; to switch one off is for tests and for looking at what it does.

    equal_parts: what reads and computes the same is evaluated once. shared_reads: selectors of the same series read
    them together. matchers: the conditions on one side of an operator hold for the other side, too. projection: stores
    that can leave out labels are told which ones the query needs.
    """

    equal_parts: bool = True
    shared_reads: bool = True
    matchers: bool = True
    projection: bool = True
