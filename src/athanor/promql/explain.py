"""A prepared tree -> the operators of Thanos' engine, by the names that its API and its pages know.

Pure: a function of the tree alone. What is evaluated follows our own plan (`planner`); each operator here says which
node of the tree it stands for, so that figures of the evaluation find their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from athanor.model.matchers import METRIC_NAME, Matcher
from athanor.promql.ast import (
    Aggregation,
    Binary,
    Call,
    Matching,
    MatrixSelector,
    Node,
    NumberLiteral,
    Paren,
    StepInvariant,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
    children,
    fold,
    walk,
)
from athanor.promql.binary import scalar_scalar
from athanor.promql.durations import NS_PER_MS, go_duration
from athanor.promql.errors import QueryError
from athanor.promql.floats import general
from athanor.promql.gostrings import quote
from athanor.promql.printer import matcher, subquery_suffix, text

MAX_TEXT = 4_000_000  # characters of all names: the name of a function holds the text of its arguments
TOO_LONG = f"an explanation of this query takes more than {MAX_TEXT} characters; ask for a part of it"
SHARD = "0 mod 1"  # one operator reads all series of a selector: our workers share tiles, not series
CONCURRENT = "[concurrent(buff=2)]"

NUMBERS_OF_WINDOWS = {"quantile_over_time": (0,), "predict_linear": (1,), "double_exponential_smoothing": (1, 2)}
"""Arguments of range functions that Thanos' engine takes as plain numbers only, and as operators over a subquery."""
NOT_IN_ENGINE = frozenset({"info"})
"""Functions that Thanos' engine leaves to that of Prometheus."""
_FOLDED = frozenset("+-*/^%")
_ONE_INPUT = {"scalar": "[scalar]", "timestamp": "[timestamp]", "absent": "[absent]",
              "label_replace": "[relabel]", "label_join": "[relabel]"}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """An operator. node: the part of the tree whose value it gives.

    counts: samples are counted here, in a selector, a range function or over a subquery. selector: on the topmost
    operator of a selector, which stands for the fan-out to the stores.
    """

    name: str
    node: Node
    children: tuple[Explained, ...] = ()
    counts: bool = False
    selector: VectorSelector | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """A node on the way up. bare: the node without parentheses; text: as Thanos prints it; number: its value where it
    is known now; operator: None where the engine has none for it."""

    bare: Node
    text: str
    operator: Explained | None = None
    number: float | None = None


def explain(root: Node) -> Explained | None:
    """The operators of a prepared tree; None where Thanos' engine hands the query to that of Prometheus."""
    return None if root.type == "matrix" else fold(root, _Explainer(root).part).operator


def in_reading_order(root: Explained) -> list[Explained]:
    """All operators, parents before children, left to right."""
    found, stack = [], [root]
    while stack:
        found.append(stack.pop())
        stack.extend(reversed(found[-1].children))
    return found


class _Explainer:
    def __init__(self, root: Node) -> None:
        self._conditions = merged_conditions(root)
        self._trims_sorts = not any(map(_is_timestamp_of_sort, walk(root)))
        self._shown = _arguments_of_calls(root)
        self._left = MAX_TEXT

    def part(self, node: Node, kids: list[_Part]) -> _Part:
        """One node over its operands, in the order of `ast.children`."""
        part = self._part(node, kids)
        if node not in self._shown:
            part = replace(part, text="")
        self._left -= len(part.text) + (len(part.operator.name) if part.operator is not None else 0)
        if self._left < 0:
            raise QueryError(TOO_LONG)
        return part

    def _part(self, node: Node, kids: list[_Part]) -> _Part:
        match node:
            case NumberLiteral():
                return _number(node, node.value)
            case StringLiteral():
                return _Part(node, quote(node.value))
            case VectorSelector():
                shown, filters = self._conditions[node]
                return _Part(node, text(replace(node, matchers=shown)), self._selector(node, node, shown + filters))
            case MatrixSelector():
                return _Part(node, text(node))
            case Subquery():
                return _Part(node, kids[0].text + "".join(map(_shown, subquery_suffix(node))), kids[0].operator)
            case Paren():
                return kids[0]
            case StepInvariant():
                return _invariant(node, kids[0])
            case Unary():
                return _unary(node, kids[0])
            case Binary():
                return _binary(node, *kids)
            case Aggregation():
                return _aggregation(node, *kids)
            case Call():
                return self._call(node, kids)
            case _:
                raise AssertionError(f"BUG: {type(node).__name__} in a prepared tree")

    def _selector(self, selector: VectorSelector, node: Node, conditions: Sequence[Matcher]) -> Explained:
        return _read(f"[vectorSelector] {_listed(conditions)} {SHARD}", node, selector)

    # ---- functions

    def _call(self, node: Call, kids: list[_Part]) -> _Part:
        name = node.function.name
        if name.startswith("sort") and self._trims_sorts:
            return kids[0]  # the order belongs to the answer, not to an operator
        shown = f"{name}({', '.join(kid.text for kid in kids)})"
        operator = self._operator_of(node, kids)
        return _Part(node, shown, None if operator is None else _checked(operator))

    def _operator_of(self, node: Call, kids: list[_Part]) -> Explained | None:
        name = node.function.name
        if name in NOT_IN_ENGINE:
            return None
        if name == "timestamp":
            bare = kids[0].bare
            if isinstance(bare, VectorSelector):
                return self._selector(bare, bare, sum(self._conditions[bare], ()))
        window = next((kid for kid in kids if isinstance(kid.bare, MatrixSelector | Subquery)), None)
        if window is not None:
            return self._window(node, kids, window)
        inputs = tuple(kid.operator for kid in kids if not isinstance(kid.bare, StringLiteral))
        known = tuple(each for each in inputs if each is not None)
        if len(known) != len(inputs):
            return None
        if name in _ONE_INPUT:
            return Explained(_ONE_INPUT[name], node, known[:1])
        if name in ("histogram_quantile", "histogram_fraction"):
            return Explained(f"[{name}]({_arguments(kids)})", node, known)
        if not known:
            return Explained("[noArgFunction]", node)
        return Explained(f"[function] {name}({_arguments(kids)})", node, known)

    def _window(self, node: Call, kids: list[_Part], window: _Part) -> Explained | None:
        name = node.function.name
        if name == "absent_over_time":
            inner = self._windowed("last_over_time", window.bare, window, ())
            return None if inner is None else Explained("[absent]", node, (inner,))
        if name == "predict_linear" and isinstance(window.bare, Subquery) and window.bare.timestamp_ms is not None:
            return None  # it depends on the step while its subquery does not, which Thanos' engine cannot express
        numbers = tuple(kids[at] for at in NUMBERS_OF_WINDOWS.get(name, ()))
        return self._windowed(name, node, window, numbers)

    def _windowed(self, name: str, node: Node, window: _Part, numbers: Sequence[_Part]) -> Explained | None:
        matrix = window.bare
        if isinstance(matrix, MatrixSelector):
            if any(each.number is None for each in numbers):
                return None
            conditions = _listed(sum(self._conditions[matrix.selector], ()))
            length = go_duration(matrix.range_ns // NS_PER_MS * NS_PER_MS)
            return _read(f"[matrixSelector] {name}({conditions}[{length}] {SHARD})", node, matrix.selector)
        inputs = tuple(part.operator for part in (*numbers, window))
        known = tuple(each for each in inputs if each is not None)
        if len(known) != len(inputs):
            return None
        return Explained(f"[subquery] {name}()", node, known, counts=True)


def _read(name: str, node: Node, selector: VectorSelector) -> Explained:
    return Explained(CONCURRENT, node, (Explained(name, node, counts=True),), selector=selector)


def _checked(operator: Explained) -> Explained:
    """Behind whatever drops names or aggregates stands a check of the labels."""
    return Explained("[duplicateLabelCheck]", operator.node, (operator,))


def _number(node: Node, value: float) -> _Part:
    shown = general(value)
    operator = Explained(f"[numberLiteral] {shown}", node)
    return _Part(NumberLiteral(value, node.start, node.end), f"({shown})" if value < 0 else shown, operator, value)


def _invariant(node: StepInvariant, inner: _Part) -> _Part:
    operator = inner.operator
    if operator is not None and not isinstance(inner.bare, NumberLiteral):
        operator = Explained("[stepInvariant]", node, (operator,))
    return _Part(node, inner.text, operator, inner.number)


def _unary(node: Unary, inner: _Part) -> _Part:
    if inner.number is not None:
        return _number(node, -inner.number if node.op == "-" else inner.number)
    operator = inner.operator
    if operator is not None:
        operator = _checked(Explained("[unaryNegation]", node, (operator,)) if node.op == "-" else operator)
    return _Part(node, node.op + inner.text, operator)


def _binary(node: Binary, left: _Part, right: _Part) -> _Part:
    if left.number is not None and right.number is not None and node.op in _FOLDED:
        sides = np.array([left.number]), np.array([right.number])
        return _number(node, float(scalar_scalar(node.op, *sides)[0]))
    matching = node.matching
    shown = f"{left.text} {node.op}{' bool' if node.return_bool else ''}{_matching(matching)} {right.text}"
    if left.operator is None or right.operator is None:
        return _Part(node, shown)
    inputs = left.operator, right.operator
    if node.lhs.type == "scalar" or node.rhs.type == "scalar" or matching is None:
        return _Part(node, shown, _checked(Explained(f"[vectorScalarBinary] {node.op}", node, inputs)))
    # compat: the labels of ignoring are not shown, "false" is
    how = f"on: {_names(_sorted(matching.labels))}" if matching.on else "ignoring: false"
    name = f"[vectorBinary] {node.op} - {matching.card}, {how}, group: {_names(matching.include)}"
    return _Part(node, shown, _checked(Explained(name, node, inputs)))


def _matching(matching: Matching | None) -> str:
    if matching is None or not (matching.labels or matching.on):
        return ""
    labels = _sorted(matching.labels) if matching.on else matching.labels  # compat: only those of on are sorted
    shown = f" {'on' if matching.on else 'ignoring'} ({', '.join(labels)})"
    if matching.card in ("many-to-one", "one-to-many"):
        shown += f" group_{'left' if matching.card == 'many-to-one' else 'right'} ({', '.join(matching.include)})"
    return shown


def _aggregation(node: Aggregation, inner: _Part, parameter: _Part | None = None) -> _Part:
    grouping = _sorted(node.grouping)
    kind = "without" if node.without else "by"
    head = f" {kind} ({', '.join(grouping)}) " if node.without or grouping else ""
    shown = f"{node.op}{head}({parameter.text + ', ' if parameter is not None else ''}{inner.text})"
    groups = f"{kind} ({_names(grouping)})"
    if inner.operator is None:
        return _Part(node, shown)
    if node.op == "count_values":
        label = parameter.bare if parameter is not None else None
        assert isinstance(label, StringLiteral)
        name = f"[countValues] {groups} - param ({label.value})"
        return _Part(node, shown, _checked(Explained(name, node, (inner.operator,))))
    inputs: tuple[Explained, ...] = (inner.operator,)
    if parameter is not None:
        if parameter.operator is None:
            return _Part(node, shown)
        inputs = (parameter.operator, inner.operator)
    family = "[aggregate]" if parameter is None or node.op == "quantile" else "[kaggregate]"
    operator = Explained(f"{family} {node.op} {groups}", node, inputs)
    return _Part(node, shown, _checked(Explained(CONCURRENT, node, (operator,))))


def _listed(conditions: Sequence[Matcher]) -> str:
    return "{[" + " ".join(map(matcher, conditions)) + "]}"


def _sorted(names: Sequence[str]) -> list[str]:
    """As Go sorts them."""
    return sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))


def _names(names: Sequence[str]) -> str:
    return "[" + " ".join(names) + "]"


def _arguments(kids: Sequence[_Part]) -> str:
    return "[" + " ".join(kid.text for kid in kids) + "]"


def _shown(piece: str | Node) -> str:
    return piece if isinstance(piece, str) else text(piece)


def _arguments_of_calls(root: Node) -> set[Node]:
    """Everything below a call: only there the text of a node is part of a name."""
    found: set[Node] = set()
    stack = [(root, False)]
    while stack:
        node, is_below = stack.pop()
        if is_below:
            found.add(node)
        is_below = is_below or isinstance(node, Call)
        stack.extend((child, is_below) for child in children(node))
    return found


def _is_timestamp_of_sort(node: Node) -> bool:
    """timestamp(sort(x)) is the time of the evaluation, timestamp(x) would be that of the samples."""
    if not isinstance(node, Call) or node.function.name != "timestamp":
        return False
    inner = node.args[0]
    return isinstance(inner, Call) and inner.function.name.startswith("sort")


def merged_conditions(root: Node) -> Mapping[VectorSelector, tuple[tuple[Matcher, ...], tuple[Matcher, ...]]]:
    """What each selector of Thanos' engine asks of the stores, and what it filters afterwards, each sorted by name:
    of two selectors of one metric, the narrower one reads the series of the wider one."""
    selectors = [node for node in walk(root) if isinstance(node, VectorSelector)]
    asked = {node: tuple(sorted(node.matchers, key=lambda each: each.name)) for node in selectors}
    widest: dict[str, tuple[Matcher, ...]] = {}
    for conditions in asked.values():
        for metric in (each.value for each in conditions if each.name == METRIC_NAME):
            if metric not in widest or len(conditions) < len(widest[metric]):
                widest[metric] = conditions
    return {node: _split(conditions, widest) for node, conditions in asked.items()}


def _split(
    conditions: tuple[Matcher, ...], widest: Mapping[str, tuple[Matcher, ...]]
) -> tuple[tuple[Matcher, ...], tuple[Matcher, ...]]:
    own = {each.name: each for each in conditions}
    for metric in (each.value for each in conditions if each.name == METRIC_NAME):
        wide = {each.name: each for each in widest[metric]}
        if len(wide) < len(own) and all(_same(own.get(name), each) for name, each in wide.items()):
            others = tuple(each for each in conditions if not any(_same(each, shared) for shared in widest[metric]))
            return widest[metric], others
    return conditions, ()


def _same(one: Matcher | None, other: Matcher) -> bool:
    return one is not None and (one.name, one.type, one.value) == (other.name, other.type, other.value)
