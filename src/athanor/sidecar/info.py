"""What the sidecar says about itself on the Info service: only what it serves.

differs: the original also announces rules, targets, metadata, exemplars and status, which this version does not have;
announcing them would turn every such request of a querier into an error.
"""

from __future__ import annotations

from typing import Any

from athanor.model.rpc import StatusError
from athanor.sidecar.state import MAX_TIME_MS, SidecarState
from athanor.storeapi.messages import info, thanos

COMPONENT = "sidecar"


def info_response(state: SidecarState) -> Any:
    """An ``InfoResponse``; StatusError while Prometheus is away, so that queriers drop the endpoint."""
    if not state.is_up:
        raise StatusError("UNKNOWN", "Not ready")
    labels = thanos.ZLabelSet(labels=[thanos.Label(name=n, value=v) for n, v in state.external_labels])
    lowest_ms = state.min_time_ms
    store = info.StoreInfo(
        min_time=lowest_ms,
        max_time=MAX_TIME_MS,
        supports_sharding=True,
        supports_without_replica_labels=True,
        tsdb_infos=[info.TSDBInfo(labels=labels, min_time=lowest_ms, max_time=MAX_TIME_MS)],
    )
    return info.InfoResponse(label_sets=[labels], ComponentType=COMPONENT, store=store)
