"""Tree -> text over several lines, as `format_query` answers (prometheus promql/parser/prettier.go)."""

from __future__ import annotations

from typing import TypeAlias

from athanor.promql.ast import Aggregation, Binary, Call, Node, Paren, StepInvariant, Subquery, Unary
from athanor.promql.errors import QueryError
from athanor.promql.printer import Piece, aggregation_head, matching, pieces, subquery_suffix, text

LINE_BYTES = 100  # longer nodes are split
_MAX_BYTES = 64 << 20  # why: indentation grows with depth, so a deep query of 1 MiB would need gigabytes
_Item: TypeAlias = "str | tuple[Node, int] | None"  # text; a node at a level; None: drop the spaces that follow


def pretty(root: Node) -> str:
    """A node of at most 100 bytes stays on one line; each level is indented by two spaces."""
    sizes = _sizes(root)
    out: list[str] = []
    stack: list[_Item] = [(root, 0)]
    n_bytes, trimming = 0, False
    while stack:
        item = stack.pop()
        if item is None:
            trimming = True
        elif isinstance(item, str):
            if trimming:
                item = item.lstrip(" ")
                trimming = not item
            n_bytes += len(item)
            if n_bytes > _MAX_BYTES:
                raise QueryError(f"formatted query is longer than {_MAX_BYTES} bytes; nest the expression less deeply")
            out.append(item)
        else:
            stack.extend(reversed(_lines(*item, sizes)))
    return "".join(out)


def _sizes(root: Node) -> dict[Node, int]:
    """Bytes of the normal form of every node."""
    order: list[tuple[Node, list[Piece]]] = []
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        parts = pieces(node)
        order.append((node, parts))
        stack.extend(part for part in parts if not isinstance(part, str))
    sizes: dict[Node, int] = {}
    for node, parts in reversed(order):
        sizes[node] = sum(
            len(part.encode("utf-8", "surrogateescape")) if isinstance(part, str) else sizes[part] for part in parts
        )
    return sizes


def _lines(node: Node, level: int, sizes: dict[Node, int]) -> list[_Item]:
    indent = "  " * level
    if isinstance(node, StepInvariant):
        return [(node.expr, level)]
    if isinstance(node, Unary):
        return [indent + node.op, None, (node.expr, level)]
    if isinstance(node, Subquery):
        # compat: a short subquery is not indented
        if sizes[node] <= LINE_BYTES:
            return [text(node)]
        return [(node.expr, level), *("".join(map(_text, subquery_suffix(node))),)]
    if sizes[node] > LINE_BYTES:
        match node:
            case Aggregation():
                parameter: list[_Item] = [] if node.parameter is None else [(node.parameter, level + 1), ",\n"]
                head = f"{indent}{aggregation_head(node)}(\n"
                return [head, *parameter, (node.expr, level + 1), f"\n{indent})"]
            case Binary():
                operator = f"{node.op}{' bool' if node.return_bool else ''}{matching(node.matching)}"
                return [(node.lhs, level + 1), f"\n{indent}{operator}\n", (node.rhs, level + 1)]
            case Call():
                args: list[_Item] = []
                for arg in node.args:
                    if args:
                        args.append(",\n")
                    args.append((arg, level + 1))
                return [f"{indent}{node.function.name}(\n", *args, f"\n{indent})"]
            case Paren():
                return [f"{indent}(\n", (node.expr, level + 1), f"\n{indent})"]
            case _:
                pass
    return [indent + text(node)]


def _text(piece: Piece) -> str:
    return piece if isinstance(piece, str) else text(piece)
