# mypy: ignore-errors
"""Numbers that the kernels of native histograms and their callers share; there is no kernel here to load."""

from __future__ import annotations

CUSTOM = -53
UNKNOWN, RESET, NOT_RESET, GAUGE = 0, 1, 2, 3

# Members of Work.meta and Work.scalars.
SCHEMA, HINT, N_POS, N_NEG, N_BOUNDS = range(5)
THRESHOLD, COUNT, SUM, ZERO, COUNT_C, SUM_C, ZERO_C = range(7)
# Members of Built.n.
ROWS, LAYOUTS, INDEXES, BOUNDS, BUCKETS = range(5)

# What an addition tells: flags, or INCOMPATIBLE.
INCOMPATIBLE, COLLISION, RECONCILED = -1, 1, 2
# What quantiles and fractions tell of observations that were NaN.
NO_NOTE, ALL_NAN, SKEWED, EXCLUDED = 0, 1, 2, 3
STAT_COUNT, STAT_SUM, STAT_AVG, STAT_STDVAR, STAT_STDDEV = range(5)
# What a series' windows told: bits of flags[i].
MIXED, NOT_COUNTER, NOT_GAUGE, SCHEMAS, SUBTRACTED, ADDED, COLLIDED, AGGREGATED = 1, 2, 4, 8, 16, 32, 64, 128
# The state of a group whose histograms could not be added.
DEAD = 2
