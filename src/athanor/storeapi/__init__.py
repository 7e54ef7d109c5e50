"""The StoreAPI: wire messages, frames of series, client, endpoint set, fan-out, server."""
