"""Whether the types of a tree fit, in the order and words of the original (prometheus promql/parser/parse.go)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeAlias

from athanor.model.matchers import METRIC_NAME
from athanor.promql.ast import (
    COMPARISONS,
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    DurationExpr,
    MatrixSelector,
    Node,
    Paren,
    Subquery,
    Unary,
    VectorSelector,
)
from athanor.promql.errors import ParseError
from athanor.promql.gostrings import quote
from athanor.promql.signatures import TYPE_NAMES, ValueType

_Task: TypeAlias = "Node | Callable[[], None]"


def check_types(root: Node, text: bytes) -> None:
    """Raises ParseError at the first node whose types do not fit; survives any depth."""
    _Check(text).run(root)


def _scalar_sides(node: Binary) -> bool:
    return node.lhs.type == "scalar" and node.rhs.type == "scalar"


class _Check:
    """Tasks are nodes to look into and tests to make once the nodes above them on the stack are done."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.stack: list[_Task] = []

    def run(self, root: Node) -> None:
        stack = self.stack
        stack.append(root)
        while stack:
            task = stack.pop()
            if callable(task):
                task()
            else:
                tasks = self.tasks(task)
                tasks.reverse()
                stack.extend(tasks)

    def fail(self, reason: str, node: Node) -> NoReturn:
        raise ParseError(reason, self.text, node.start, node.end)

    def tasks(self, node: Node) -> list[_Task]:
        match node:
            case Binary():
                return [node.lhs, node.rhs, lambda: self.binary(node)]
            case Call():
                return self.call(node)
            case Aggregation():
                return self.aggregation(node)
            case Unary():
                return [node.expr, lambda: self.unary(node)]
            case Subquery():
                return [node.expr, lambda: self.subquery(node)]
            case Paren():
                return [node.expr]
            case MatrixSelector():
                return [node.selector]
            case VectorSelector():
                self.selector(node)
                return []
            case DurationExpr():
                self.fail("unknown node type: *parser.DurationExpr", node)
            case _:
                return []

    def expect(self, node: Node, wanted: ValueType, where: str) -> None:
        if node.type != wanted:
            self.fail(f"expected type {TYPE_NAMES[wanted]} in {where}, got {TYPE_NAMES[node.type]}", node)

    def aggregation(self, node: Aggregation) -> list[_Task]:
        tasks: list[_Task] = [node.expr, lambda: self.expect(node.expr, "vector", "aggregation expression")]
        parameter = node.parameter
        if parameter is not None:
            wanted: ValueType = "string" if node.op == "count_values" else "scalar"
            tasks += [parameter, lambda: self.expect(parameter, wanted, "aggregation parameter")]
        return tasks

    def call(self, node: Call) -> list[_Task]:
        self.count_arguments(node)
        function = node.function
        name = quote(function.name)
        if function.name == "info" and len(node.args) > 1:
            self.info(node)
        tasks: list[_Task] = []
        last = len(function.arg_types) - 1
        for i, arg in enumerate(node.args):
            tasks.append(arg)
            wanted = function.arg_types[min(i, last)]
            if arg.type != wanted:
                tasks.append(partial(self.expect, arg, wanted, f"call to function {name}"))
        return tasks

    def count_arguments(self, node: Call) -> None:
        function, n_given = node.function, len(node.args)
        n_types, name = len(function.arg_types), quote(function.name)
        if function.variadic == 0:
            if n_given != n_types:
                self.fail(f"expected {n_types} argument(s) in call to {name}, got {n_given}", node)
            return
        n_least = n_types - 1
        if n_given < n_least:
            self.fail(f"expected at least {n_least} argument(s) in call to {name}, got {n_given}", node)
        n_most = n_least + function.variadic
        if function.variadic > 0 and n_given > n_most:
            self.fail(f"expected at most {n_most} argument(s) in call to {name}, got {n_given}", node)

    def info(self, node: Call) -> None:
        second = node.args[1]
        if second.type != "vector":
            got = TYPE_NAMES[second.type]
            self.fail(f'expected type instant vector in call to function "info", got {got}', node)
        if not isinstance(second, VectorSelector):
            self.fail("expected label selectors only", second)
        if second.name:
            self.fail("expected label selectors only, got vector selector instead", second)

    def unary(self, node: Unary) -> None:
        if node.expr.type not in ("scalar", "vector"):
            got = quote(TYPE_NAMES[node.expr.type])
            self.fail(f"unary expression only allowed on expressions of type scalar or instant vector, got {got}", node)

    def subquery(self, node: Subquery) -> None:
        if node.expr.type != "vector":
            self.fail(f"subquery is only allowed on instant vector, got {node.expr.type} instead", node)

    def selector(self, node: VectorSelector) -> None:
        if node.name:
            for matcher in node.matchers[:-1]:
                if matcher.name == METRIC_NAME:
                    names = f"{quote(node.name)} or {quote(matcher.value)}"
                    self.fail(f"metric name must not be set twice: {names}", node)
        elif not node.any_series and all(matcher.matches_empty() for matcher in node.matchers):
            self.fail("vector selector must contain at least one non-empty matcher", node)

    def binary(self, node: Binary) -> None:
        op, matching = node.op, node.matching
        if node.return_bool and op not in COMPARISONS:
            self.fail_at_operator("bool modifier can only be used on comparison operators", node)
        if op in COMPARISONS and not node.return_bool and _scalar_sides(node):
            self.fail_at_operator("comparisons between scalars must use BOOL modifier", node)
        if matching is not None and matching.on:
            for label in matching.labels:
                if label in matching.include:
                    reason = f"label {quote(label)} must not occur in ON and GROUP clause at once"
                    self.fail_at_operator(reason, node)
        for side in (node.lhs, node.rhs):
            if side.type not in ("scalar", "vector"):
                self.fail("binary expression must contain only scalar and instant vector types", side)
        if matching is not None:
            self.matching(node)
        if op in SET_OPERATORS and "scalar" in (node.lhs.type, node.rhs.type):
            self.fail(f"set operator {quote(op)} not allowed in binary scalar expression", node)

    def matching(self, node: Binary) -> None:
        matching = node.matching
        assert matching is not None
        filled = matching.fill_lhs is not None or matching.fill_rhs is not None
        if node.lhs.type != "vector" or node.rhs.type != "vector":
            if matching.labels:
                self.fail("vector matching only allowed between instant vectors", node)
            if filled:
                self.fail("filling in missing series only allowed between instant vectors", node)
        elif node.op in SET_OPERATORS:
            if matching.card in ("many-to-one", "one-to-many"):
                self.fail(f"no grouping allowed for {quote(node.op)} operation", node)
            if filled:
                self.fail("filling in missing series not allowed for set operators", node)

    def fail_at_operator(self, reason: str, node: Binary) -> NoReturn:
        """The place is the first byte after the left side that is no space."""
        start, end, text = node.lhs.end, node.rhs.start, self.text
        while start < len(text) and text[start] in b" \t\r\n":
            start += 1
        raise ParseError(reason, text, start, end)
