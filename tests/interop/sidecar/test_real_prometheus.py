"""The sidecar's services over a real Prometheus that holds the blocks of the recorded one.

The recorder's Prometheus was 3.14; where an older one answers with other bytes for the same samples, times are
compared.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError, TransientError
from athanor.model.log import silent
from athanor.model.metrics import Gauge, Histogram, Registry
from athanor.model.rpc import Call, StatusError, UnaryMethod
from athanor.sidecar.info import info_response
from athanor.sidecar.limits import SeriesLimits
from athanor.sidecar.prometheus import Prometheus
from athanor.sidecar.state import SidecarState
from athanor.sidecar.store import PrometheusStore
from athanor.sidecar.watch import PrometheusWatcher
from athanor.storeapi.messages import encode, info, thanos
from athanor.storeapi.server import store_service

GOLDEN = Path(__file__).parents[2] / "golden"
RECORDED = json.loads((GOLDEN / "sidecar/sidecar.json").read_text())
RESPONSES = {
    "Series": thanos.SeriesResponse,
    "LabelNames": thanos.LabelNamesResponse,
    "LabelValues": thanos.LabelValuesResponse,
}
NOT_OURS = {
    "info": "announces services that this version does not have; compared below",
    "batch_neg": "the original panics; ours answers as for 0",
    "unknown_method": "the server's own",
    "unknown_service": "the server's own",
}
OTHER_BYTES = ("point", "at_block_max")  # one sample cut out of a chunk: 3.14 writes one byte less


class Nobody:
    def ready(self) -> None: ...

    def not_ready(self, reason: object = None) -> None: ...


@pytest.fixture(scope="module")
def state(prometheus_url: str) -> SidecarState:
    known = SidecarState(lambda now_ms: -(2**63))
    prometheus = Prometheus(prometheus_url, "test")
    watcher = PrometheusWatcher(prometheus, known, Nobody(), Gauge(), interval_ms=100, timeout_ms=5_000, log=silent())
    watcher.wait_until_known(CancelToken())
    return known


def store_of(url: str, state: SidecarState, max_series: int = 0, max_samples: int = 0) -> PrometheusStore:
    limits = SeriesLimits(max_series, max_samples, Registry())
    return PrometheusStore(Prometheus(url, "test"), state, limits, Histogram())


def answer(store: PrometheusStore, method: str, request: bytes) -> tuple[str, str, list[bytes]]:
    found = next(m for m in store_service(store).methods if m.name == method.rpartition("/")[2])
    call = Call(CancelToken(timeout_s=20))
    try:
        if isinstance(found, UnaryMethod):
            return "OK", "", [found.handler(request, call)]
        return "OK", "", list(found.handler(request, call))
    except StatusError as error:
        return error.code, error.message, []


def without_data(frame: bytes) -> bytes:
    response = thanos.SeriesResponse.FromString(frame)
    for chunk in response.series.chunks:
        chunk.raw.ClearField("data")
        chunk.raw.ClearField("hash")
    return encode(response)


@pytest.mark.parametrize("name", [name for name in RECORDED if name not in NOT_OURS])
def test_a_recorded_call_is_answered_as_recorded(name: str, prometheus_url: str, state: SidecarState):
    case = RECORDED[name]
    code, message, frames = answer(store_of(prometheus_url, state), case["method"], bytes.fromhex(case["request"]))
    recorded = [bytes.fromhex(frame) for frame in case["frames"]]
    if name in OTHER_BYTES:
        frames, recorded = [without_data(f) for f in frames], [without_data(f) for f in recorded]
    assert (code, message, frames) == (case["code"], case["message"], recorded)


def test_info_is_the_recorded_one_without_the_services_that_are_missing(state: SidecarState):
    recorded = info.InfoResponse.FromString(bytes.fromhex(RECORDED["info"]["frames"][0]))
    for service in ("rules", "metric_metadata", "targets", "exemplars", "status"):
        recorded.ClearField(service)
    assert encode(info_response(state)) == encode(recorded)


def test_info_fails_while_prometheus_is_away(state: SidecarState):
    away = SidecarState(lambda now_ms: 0)
    away.facts = state.facts
    with pytest.raises(StatusError, match="Not ready"):
        info_response(away)


EVERYTHING = thanos.SeriesRequest(
    min_time=1700006400000,
    max_time=1700020800000,
    matchers=[thanos.LabelMatcher(type=2, name="__name__", value=".+")],
)


def test_a_limit_on_series_sends_what_fits_and_then_fails(prometheus_url: str, state: SidecarState):
    frames: list[bytes] = []
    with pytest.raises(StatusError) as raised:
        frames.extend(store_of(prometheus_url, state, max_series=3).series(EVERYTHING, Call(CancelToken())))
    assert len(frames) == 3
    assert (raised.value.code, str(raised.value)) == ("UNKNOWN", "failed to send series: limit 3 violated (got 4)")


def test_a_limit_on_samples_counts_120_for_each_chunk(prometheus_url: str, state: SidecarState):
    with pytest.raises(StatusError, match=r"failed to send samples: limit 1 violated \(got "):
        list(store_of(prometheus_url, state, max_samples=1).series(EVERYTHING, Call(CancelToken())))


def test_a_cancelled_call_ends(prometheus_url: str, state: SidecarState):
    call = Call(CancelToken())
    call.cancel.cancel("the client left")
    with pytest.raises(AthanorError):
        list(store_of(prometheus_url, state).series(EVERYTHING, call))


def test_a_prometheus_that_is_away_is_a_transient_failure(state: SidecarState):
    with pytest.raises(TransientError, match="send request"):
        list(store_of("http://127.0.0.1:1", state).series(EVERYTHING, Call(CancelToken())))
