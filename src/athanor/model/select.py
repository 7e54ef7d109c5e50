"""What a query asks of the data below it, and what it gets: the border between the engine and storage."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeGuard, runtime_checkable

from athanor.model.arrays import I64
from athanor.model.budget import Budget
from athanor.model.matchers import METRIC_NAME, Matcher, MatchType
from athanor.model.tables import LabelTable, Samples
from athanor.model.workspace import Workspace


@dataclass(frozen=True, slots=True)
class SelectHints:
    """Hints that storage may use or ignore; the answer is the same (sheet: select hints of the originals).

    func: nearest enclosing function or aggregation, "" for none; range_ms: the selector's window, 0 for an instant one;
    step_ms: 0 for an instant query; grouping: labels of the enclosing aggregation with `by` (True) or `without`.
    projection: the labels that the query looks at, None for all; a storage that leaves out the others adds a label that
    tells series apart.
    """

    step_ms: int = 0
    range_ms: int = 0
    func: str = ""
    grouping: tuple[str, ...] = ()
    by: bool = False
    projection: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """One selector to be read: samples of all matching series with first_ms <= t <= last_ms.

    around_ms: the first and the last ms that any selector of the query reads, None for those of this one. Between them
    storage chooses among replicas, with all samples of the chunks that are answered for the selector's own time.
    """

    matchers: tuple[Matcher, ...]
    first_ms: int
    last_ms: int
    hints: SelectHints = field(default_factory=SelectHints)
    around_ms: tuple[int, int] | None = None

    @property
    def has_one_name(self) -> bool:
        """Whether all its series have the same metric name."""
        return any(m.name == METRIC_NAME and m.type is MatchType.EQ and m.value for m in self.matchers)


class Tile(Protocol):
    """Complete series, still encoded; about a million samples. Tiles of a selection come in label order."""

    @property
    def labels(self) -> LabelTable: ...

    @property
    def n_samples_bound(self) -> int:
        """At most this many samples; known before decoding."""
        ...

    def samples(self, workspace: Workspace) -> Samples:
        """Decode and deduplicate; called once, in a worker thread; the arrays belong to the workspace."""
        ...

    def drop(self) -> None:
        """Give the tile's memory back without decoding it: called instead of `samples`."""
        ...


class Storage(Protocol):
    """Where the engine reads. Warnings go to `on_warning`; a broken selection raises."""

    def select(self, selection: Selection, budget: Budget, context: QueryContext) -> Iterator[Tile]: ...


@dataclass(frozen=True, slots=True)
class Sharing:
    """How far the read of a selection can be shared with others.

    key: selections with equal keys ask for the same data of a series. hidden_labels: labels that matchers may name
    and that series are answered without. whole_chunks: a chunk that is answered is the same, whatever range was asked
    for, so that a wider range shows each of its parts as if that had been asked for alone.
    """

    key: Hashable = ()
    hidden_labels: frozenset[str] = frozenset()
    whole_chunks: bool = False


class SharedTile(Protocol):
    """Complete series, still encoded, of which several selections, the parts, read some each."""

    @property
    def labels(self) -> LabelTable:
        """The series of all parts."""
        ...

    @property
    def n_samples_bound(self) -> int: ...

    def rows(self, part: int) -> I64:
        """The series of a part, ascending."""
        ...

    def samples(self, part: int, workspace: Workspace) -> Samples:
        """As `Tile.samples` of those series: decoded at the first call, deduplicated at each, valid until the next."""
        ...

    def alike(self, part: int, other: int) -> bool:
        """Whether series of both parts have the same samples in both."""
        ...

    def drop(self) -> None:
        """Give the tile's memory back: called once, when no part needs it any more."""
        ...


@runtime_checkable
class SharedReads(Protocol):
    """A storage that reads once for several selections."""

    def sharing(self, selection: Selection) -> Sharing: ...

    def select_shared(
        self, wide: Selection, parts: Sequence[Selection], budget: Budget, context: QueryContext
    ) -> Iterator[SharedTile]:
        """wide: covers the parts in matchers and in time."""
        ...


def shares_reads(storage: object) -> TypeGuard[SharedReads]:
    """Whether it is a ``SharedReads``: ``isinstance`` takes as long as parsing a query."""
    return hasattr(storage, "select_shared")


class QueryContext(Protocol):
    """What a running query carries: cancellation and the collection of warnings."""

    def check(self) -> None:
        """Raises Cancelled or a timeout when the query must stop; called between kernel calls."""
        ...

    def warn(self, text: str) -> None: ...
