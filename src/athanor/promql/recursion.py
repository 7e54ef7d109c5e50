"""Recursion with a stack of its own: a query may be nested as deeply as its text allows.

A recursive function is written as a generator: ``result = yield other(...)`` calls, ``return`` returns, exceptions go
to the caller as usual. ``run`` drives the first of them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Recursive: TypeAlias = Generator["Recursive[Any]", Any, T]


def run(first: Recursive[T]) -> T:
    stack: list[Recursive[Any]] = [first]
    value: Any = None
    error: BaseException | None = None
    while stack:
        try:
            called = stack[-1].send(value) if error is None else stack[-1].throw(error)
        except StopIteration as end:
            stack.pop()
            value, error = end.value, None
        except BaseException as raised:
            stack.pop()
            value, error = None, raised
        else:
            stack.append(called)
            value, error = None, None
    if error is not None:
        raise error
    result: T = value
    return result
