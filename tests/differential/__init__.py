"""Random questions that Prometheus 3.14 answered once, asked again of our engine over the same data."""
