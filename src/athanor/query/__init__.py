"""The querier: PromQL over any set of StoreAPIs, deduplicated."""
