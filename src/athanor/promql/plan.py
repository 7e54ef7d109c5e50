"""Operators of a plan: frozen descriptions of what is evaluated, at which steps, in which way, with how much memory.

*Row by row* operators see one series at a time; a chain of them over one selector runs inside the selector's tiles
(``streams``). *Reducing* operators keep a state for each group and take tile after tile. A *breaker* needs every series
of a step, so it takes its inputs as whole blocks. *Scalars* have one value for each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from athanor.model.matchers import Matcher
from athanor.model.select import Selection
from athanor.model.tables import StepGrid
from athanor.promql.ast import Aggregation, Call, Matching
from athanor.promql.blocks import CELL_BYTES
from athanor.promql.extended import Extended
from athanor.promql.info import InfoSelector
from athanor.promql.rows import Wanted


class Kind(Enum):
    SCALAR = "scalar"
    ROWS = "row by row"
    REDUCING = "reducing"
    BREAKER = "breaker"


class Equal(Enum):
    """What becomes of series whose labels have become equal."""

    CANNOT = "cannot be"
    FAIL = "fail where both have a value at all"
    MERGE = "are one series, fail where they meet at a step"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Operator:
    """name: what errors and plans call it; inputs: vectors; scalars: float64[n] each.

    streams: the operator and all below it are row by row over one selector, one_name: which names one metric. unique:
    no two rows of its tiles can have equal labels, whatever was dropped on the way.
    """

    name: str
    grid: StepGrid
    kind: Kind
    inputs: tuple[Operator, ...] = ()
    scalars: tuple[Operator, ...] = ()
    equal: Equal = Equal.CANNOT
    streams: bool = False
    one_name: bool = False
    unique: bool = True

    def n_bytes(self, n_series: int, n_groups: int = 0) -> int:
        """What it holds while it runs, besides its inputs: n_series of them, which form n_groups."""
        return n_series * self.grid.n * CELL_BYTES


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Read(Operator):
    """An instant selector; steps at first_ms, first_ms + step_ms, ... with offset and @ applied.

    wanted: the value, the time of the sample, the start time of its counter, or the smoothed value; skip_buckets: of
    native histograms only count and sum; at: where it stands in the query.
    """

    selection: Selection
    first_ms: int
    step_ms: int
    lookback_ms: int
    wanted: Wanted = "value"
    skip_buckets: bool = False
    at: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Window(Operator):
    """A range function over a selector (selection), or over a subquery (its inside is the only input)."""

    selection: Selection | None
    first_ms: int
    step_ms: int
    range_ms: int
    extended: Extended | None
    keeps_name: bool
    range_at: int
    argument_at: int
    skip_buckets: bool = False

    def n_bytes(self, n_series: int, n_groups: int = 0) -> int:
        """The inside of a subquery exists a second time, as samples."""
        inside = self.inputs[0].grid.n if self.inputs else 0
        return n_series * (self.grid.n * CELL_BYTES + inside * 16)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Apply(Operator):
    """A function over instant vectors, row by row or over whole blocks."""

    call: Call
    strings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DropName(Operator):
    """The metric name goes; the values stay."""

    def n_bytes(self, n_series: int, n_groups: int = 0) -> int:
        return 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Negate(Operator):
    """Unary minus."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WithScalar(Operator):
    """A binary operator between a vector and a scalar."""

    op: str
    scalar_on_left: bool
    return_bool: bool
    at: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spread(Operator):
    """A step-invariant part, evaluated once and spread over all steps."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reduce(Operator):
    """sum, avg, count, min, max, group, stddev, stdvar."""

    op: str
    grouping: tuple[str, ...]
    without: bool
    expr_at: int

    def n_bytes(self, n_series: int, n_groups: int = 0) -> int:
        """The answer; the state of the groups is counted as they appear."""
        return n_groups * self.grid.n * CELL_BYTES


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Choose(Operator):
    """topk, bottomk, quantile, limitk, limit_ratio (a scalar each), count_values (label)."""

    node: Aggregation
    label: str

    def n_bytes(self, n_series: int, n_groups: int = 0) -> int:
        n = self.grid.n
        match self.node.op:
            case "quantile":
                return n_groups * n * CELL_BYTES
            case "count_values":
                return n_series * n * (4 + CELL_BYTES)
            case _:
                return n_series * n * (1 + CELL_BYTES)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Match(Operator):
    """A binary operator between two vectors."""

    op: str
    matching: Matching
    return_bool: bool
    at: int

    def n_bytes(self, n_series: int, n_groups: int = 0) -> int:
        """n_series: of the larger side. A row of the answer is one of its rows, or one of either side; what is filled
        in stands beside the rows of its side while they are matched."""
        fills = self.matching.fill_lhs is not None or self.matching.fill_rhs is not None
        return n_series * self.grid.n * CELL_BYTES * (4 if fills else 2 if self.op == "or" else 1)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Info(Operator):
    """info(): the labels of info series, which are looked for at first_ms, first_ms + step_ms, ...; around_ms: of the
    selections of the query."""

    selector: InfoSelector
    first_ms: int
    step_ms: int
    lookback_ms: int
    around_ms: tuple[int, int] | None = None

    def n_bytes(self, n_series: int, n_groups: int = 0) -> int:
        """n_series: of the answer and of the input. n_groups: info series."""
        return self.grid.n * (n_series * (CELL_BYTES + 8) + n_groups * 8)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Absent(Operator):
    """absent and absent_over_time: one series where the input has none."""

    matchers: tuple[Matcher, ...]

    def n_bytes(self, n_series: int, n_groups: int = 0) -> int:
        return self.grid.n * CELL_BYTES


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FromScalar(Operator):
    """vector(s): one series without labels."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Nothing(Operator):
    """A vector that has no step to look at."""


# ---- scalars


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Constant(Operator):
    value: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Time(Operator):
    """The time of each step in seconds."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OnlyValue(Operator):
    """scalar(v): the value of the only series at each step."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScalarOnce(Operator):
    """A step-invariant scalar."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScalarOperator(Operator):
    """A binary operator, "neg", "max_of" or "min_of" of scalars."""

    op: str


def operators(root: Operator) -> Iterator[Operator]:
    """Every operator, parents first; a shared one once for each place in which it stands."""
    stack = [root]
    while stack:
        operator = stack.pop()
        yield operator
        stack.extend((*operator.inputs, *operator.scalars))


def outline(root: Operator) -> str:
    """The plan as indented lines: name, kind, whether it runs inside tiles, steps."""
    lines: list[str] = []
    stack = [(root, 0)]
    while stack:
        operator, depth = stack.pop()
        place = " in tiles" if operator.streams else ""
        lines.append(f"{'  ' * depth}{operator.name}: {operator.kind.value}{place}, {operator.grid.n} steps")
        stack.extend((child, depth + 1) for child in reversed((*operator.inputs, *operator.scalars)))
    return "\n".join(lines)
