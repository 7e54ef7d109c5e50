"""Which selectors of a plan are read together: fetched and decoded once, each deduplicated on its own.

Two selectors share a read where one asks for series of the other over the same time or less, or where both ask for the
same series over times that meet. What shares a read is evaluated at the same time, tile by tile; so only those parts do
that keep nothing but a small state (reductions), or that are held at the same time anyway (both sides of an operator).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from athanor.model.select import Selection, Sharing
from athanor.promql import plan
from athanor.promql.plan import Operator
from athanor.promql.signatures import X_FUNCTIONS

SharingOf = Callable[[Selection], Sharing]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """consumer: a reduction, or the row-by-row operator itself where its rows are wanted; rows: the operator that
    gives these rows, leaf: the selector or window below it.

    like: the number of an earlier part whose leaf computes the same for the series that both read; -1 without one.
    """

    consumer: Operator
    rows: Operator
    leaf: plan.Read | plan.Window
    selection: Selection
    like: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class SharedRead:
    """wide: the selection that covers those of the parts; parts: fewest matchers first."""

    wide: Selection
    parts: tuple[Part, ...]


def shared_reads(root: Operator, sharing: SharingOf) -> tuple[SharedRead, ...]:
    """The reads that serve several places of this plan."""
    uses: Counter[Operator] = Counter()
    seen: list[Operator] = []
    for operator in _each_once(root):
        seen.append(operator)
        uses.update((*operator.inputs, *operator.scalars))
    states = [part for operator in seen for part in _state_parts(operator)]
    # Rows that several reductions take are theirs together, if nobody else wants them.
    taken = Counter(part.rows for part in states)
    states = [part for part in states if uses[part.rows] == taken[part.rows] and _is_own(part.rows, uses)]
    found = _grouped(states, sharing)
    for operator in seen:
        sides = _side_parts(operator) if isinstance(operator, plan.Match) else []
        if all(uses[part.rows] == 1 and _is_own(part.rows, uses) for part in sides):
            found += _grouped(sides, sharing)
    return tuple(found)


def _each_once(root: Operator) -> Iterator[Operator]:
    """Every operator, in the order in which they stand in the query."""
    met: set[Operator] = set()
    stack = [root]
    while stack:
        operator = stack.pop()
        if operator not in met:
            met.add(operator)
            yield operator
            stack.extend(reversed((*operator.inputs, *operator.scalars)))


def _chain(rows: Operator) -> list[Operator]:
    chain = [rows]
    while chain[-1].inputs:
        chain.append(chain[-1].inputs[0])
    return chain


def _is_own(rows: Operator, uses: Counter[Operator]) -> bool:
    return all(uses[operator] == 1 for operator in _chain(rows)[1:])


def _part(consumer: Operator, rows: Operator) -> list[Part]:
    """The part, where its scalars are plain numbers: nothing else is evaluated, or noted, out of turn.

    Functions that look at samples outside of their windows read alone: what lies there depends on what is read.
    """
    chain = _chain(rows)
    leaf = chain[-1]
    if not isinstance(leaf, plan.Read | plan.Window) or leaf.selection is None or _looks_outside(leaf):
        return []
    numbers = all(isinstance(s, plan.Constant | plan.Time) for operator in chain for s in operator.scalars)
    windows = any(isinstance(operator, plan.Window) and operator.scalars for operator in chain)
    return [Part(consumer, rows, leaf, leaf.selection)] if numbers and not windows else []


def _looks_outside(leaf: plan.Read | plan.Window) -> bool:
    if isinstance(leaf, plan.Read):
        return leaf.wanted not in ("value", "time")
    return leaf.extended is not None or leaf.name in X_FUNCTIONS


def _state_parts(operator: Operator) -> list[Part]:
    if not isinstance(operator, plan.Reduce | plan.Absent):
        return []
    rows = operator.inputs[0]
    return _part(operator, rows) if rows.streams and rows.unique else []


def _side_parts(operator: plan.Match) -> list[Part]:
    left, right = operator.inputs
    if left is right or not (left.streams and right.streams):
        return []
    return [*_part(left, left), *_part(right, right)]


def _grouped(parts: Sequence[Part], sharing: SharingOf) -> list[SharedRead]:
    if len(parts) < 2:
        return []
    facts = {part: sharing(part.selection) for part in parts}
    groups: list[tuple[Selection, list[Part]]] = []
    for part in sorted(parts, key=lambda p: len(set(p.selection.matchers))):
        # Equal selections stay together.
        order = sorted(range(len(groups)), key=lambda i: all(m.selection != part.selection for m in groups[i][1]))
        for i in order:
            wide, members = groups[i]
            wider = widened(wide, facts[members[0]], part.selection, facts[part])
            if wider is not None:
                members.append(part)
                groups[i] = wider, members
                break
        else:
            groups.append((part.selection, [part]))
    return [SharedRead(wide, _with_likes(members)) for wide, members in groups if len(members) > 1]


def widened(wide: Selection, sharing: Sharing, other: Selection, its_sharing: Sharing) -> Selection | None:
    """The selection that reads for both, None where each is better read alone: the other must have all matchers of the
    wide one, and nothing may be read that neither asks for."""
    extra = set(other.matchers) - set(wide.matchers)
    if sharing.key != its_sharing.key or not set(wide.matchers) <= set(other.matchers):
        return None
    if any(matcher.name in its_sharing.hidden_labels for matcher in extra):
        return None
    first_ms, last_ms = min(wide.first_ms, other.first_ms), max(wide.last_ms, other.last_ms)
    if (first_ms, last_ms) == (wide.first_ms, wide.last_ms) == (other.first_ms, other.last_ms):
        return wide
    if not (sharing.whole_chunks and its_sharing.whole_chunks):
        return None
    if extra and (first_ms, last_ms) != (wide.first_ms, wide.last_ms):
        return None
    if last_ms - first_ms > (wide.last_ms - wide.first_ms) + (other.last_ms - other.first_ms):
        return None
    return replace(wide, first_ms=first_ms, last_ms=last_ms)


def _with_likes(members: Sequence[Part]) -> tuple[Part, ...]:
    made: list[Part] = []
    for part in members:
        like = next((i for i, known in enumerate(made) if _computes_for(known, part)), -1)
        made.append(replace(part, like=like))
    return tuple(made)


def _computes_for(known: Part, part: Part) -> bool:
    first, second = known.selection, part.selection
    same_time = (first.first_ms, first.last_ms) == (second.first_ms, second.last_ms)
    return same_time and set(first.matchers) <= set(second.matchers) and _leaf_key(known.leaf) == _leaf_key(part.leaf)


def _leaf_key(leaf: plan.Read | plan.Window) -> tuple[Any, ...]:
    """What a leaf computes of samples."""
    place = leaf.grid, leaf.first_ms, leaf.step_ms, leaf.skip_buckets
    if isinstance(leaf, plan.Read):
        return ("", *place, leaf.lookback_ms, leaf.wanted)
    return (leaf.name, *place, leaf.range_ms, leaf.keeps_name)
