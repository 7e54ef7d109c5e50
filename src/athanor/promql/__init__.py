"""PromQL: text -> tree -> plan -> arrays."""
