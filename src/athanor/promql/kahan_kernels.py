# mypy: ignore-errors
"""Compensated addition as Prometheus does it (util/kahansum), for kernels."""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, inlined


@inline
def inc(x, s, c):
    """Neumaier's compensated addition: s, c with x more."""
    t = s + x
    if abs(t) == np.inf:
        c = 0.0
    elif abs(s) >= abs(x):
        c += (s - t) + x
    else:
        c += (x - t) + s
    return t, c


@inlined
def inc_without_branch(x, s, c):
    """The same as selections, so that several run side by side."""
    t = s + x
    is_bigger = abs(s) >= abs(x)
    big = s if is_bigger else x
    small = x if is_bigger else s
    c += (big - t) + small
    return t, 0.0 if abs(t) == np.inf else c
