"""Random questions that a Prometheus answered, 3.14 once and 2.42 live, asked of our engine over the same data."""
