"""Values that every package shares: labels, matchers, time, columns of series; nothing here does I/O."""
