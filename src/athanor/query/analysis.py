"""What a query does and what it has cost, as JSON: the operators of ``query_explain``, the tree of ``analyze``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from athanor.promql.explain import Explained
from athanor.query.json_result import json_text

NOT_EXPLAINABLE = "Query not explainable"

Members = Callable[[Explained], Sequence[str]]


def _name_only(operator: Explained) -> Sequence[str]:
    return ()


def tree_text(root: Explained, members: Members = _name_only) -> str:
    """A tree of operators. members: what stands between an operator's name and its children, as ``"key":value``.

    A query may be nested as deeply as its text allows, so there is no recursion, and every piece is written once.
    """
    pieces: list[str] = []
    stack: list[Explained | str] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            pieces.append(item)
            continue
        pieces.append("{" + ",".join((f'"name":{json_text(item.name)}', *members(item))))
        if item.children:
            pieces.append(',"children":[')
            stack.append("]}")
            for at, child in enumerate(reversed(item.children), 1 - len(item.children)):
                stack.append(child)
                if at:
                    stack.append(",")
        else:
            pieces.append("}")
    return "".join(pieces)
