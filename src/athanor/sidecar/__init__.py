"""Beside Prometheus: ships its finished blocks, serves its recent data on the StoreAPI.

prometheus.py     the HTTP API of the Prometheus; remote_read.py: its streamed answers as columns
state.py          what is known of it now; watch.py: keeping that fresh; validate.py: its flags
store.py, info.py the services; ships through athanor.ship
"""
