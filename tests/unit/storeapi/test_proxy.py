"""The fan-out against the golden cases of the reference proxy, with stores in this process."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.matchers import Matcher, MatchType
from athanor.model.rpc import Call, StatusError
from athanor.storeapi.client import CallError, facts_of, rpc_error_text
from athanor.storeapi.endpoints import MissingStore
from athanor.storeapi.frames import SeriesFrame, warning_frame
from athanor.storeapi.limits import RequestLimits
from athanor.storeapi.matching import StoreFacts
from athanor.storeapi.messages import encode, info, thanos
from athanor.storeapi.proxy import Proxy, ProxyCall, batch_size_for, go_duration
from athanor.storeapi.proxy_server import ProxyServer
from athanor.storeapi.server import store_service
from athanor.storeapi.streams import StreamError, StreamFailure

_spec = importlib.util.spec_from_file_location("storeapi_reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

GOLDEN = Path(__file__).parents[2] / "golden" / "storeapi"
CASES = [
    c for c in json.loads((GOLDEN / "proxy_series.json").read_text())["cases"] if "selector_relabel_config" not in c
]


class ListCall:
    """A Series call over messages that are already there; an exception among them is raised."""

    def __init__(self, messages):
        self._messages = messages

    def __iter__(self):
        for message in self._messages:
            if isinstance(message, Exception):
                raise message
            yield message

    def cancel(self):
        pass


def raised(value):
    if isinstance(value, Exception):
        raise value
    return value


class FakeStore:
    """A store with fixed answers."""

    def __init__(self, facts, messages=(), names=None, values=None):
        self.facts = facts
        self.messages, self.names, self.values = list(messages), names, values
        self.requests = []
        self.raw = None

    def series(self, request, cancel, metadata):
        self.requests.append((thanos.SeriesRequest.FromString(request), dict(metadata)))
        return ListCall(self.messages)

    def label_names(self, request, cancel, metadata):
        self.requests.append((thanos.LabelNamesRequest.FromString(request), dict(metadata)))
        if self.raw is not None:
            return raised(self.raw)
        return encode(thanos.LabelNamesResponse(names=raised(self.names)))

    def label_values(self, request, cancel, metadata):
        self.requests.append((thanos.LabelValuesRequest.FromString(request), dict(metadata)))
        if self.raw is not None:
            return raised(self.raw)
        return encode(thanos.LabelValuesResponse(values=raised(self.values)))


def store_of(case, supports_removal):
    messages = []
    for response in case["responses"]:
        if "warning" in response:
            messages.append(warning_frame(response["warning"]))
        else:
            messages += reference.golden_frames([response["series"]])
    if case.get("call_error"):
        messages = [StreamError(StreamFailure(case["call_error"], "UNKNOWN", opening=True))]
    return FakeStore(
        StoreFacts(
            address=case["address"],
            label_sets=tuple(tuple(tuple(p) for p in s) for s in case["label_sets"]),
            min_time_ms=case["min_time"],
            max_time_ms=case["max_time"],
            supports_without_replica_labels=supports_removal,
        ),
        messages,
    )


def request_of(case):
    fields = dict(case)
    matchers = [
        thanos.LabelMatcher(type=("EQ", "NEQ", "RE", "NRE").index(m["type"]), name=m["name"], value=m["value"])
        for m in fields.pop("matchers")
    ]
    shard = fields.pop("shard_info", None)
    return thanos.SeriesRequest(matchers=matchers, shard_info=thanos.ShardInfo(**shard) if shard else None, **fields)


def run(proxy, request, **options):
    budget, warnings, rows = Budget(1 << 30), [], []
    call = ProxyCall(CancelToken(), warnings.append, **options)
    for batch in proxy.series(request, budget, call):
        rows += reference.rows_of(SeriesFrame(batch.labels, batch.chunks))
        budget.give(batch.held_bytes)
    assert budget.held_bytes == 0
    return rows, warnings


@pytest.mark.parametrize("supports_removal", [True, False])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_series_of_many_stores_are_those_of_the_reference(case, supports_removal):
    stores = [store_of(store, supports_removal) for store in case["stores"]]
    proxy = Proxy(lambda: stores, selector_labels=tuple(tuple(p) for p in case.get("selector_labels", [])))
    wanted = tuple(
        tuple(Matcher(MatchType[m["type"]], m["name"], m["value"]) for m in s) for s in case.get("store_matchers", [])
    )
    request = request_of(case["request"])
    if "expected_error" in case:
        with pytest.raises(StatusError) as caught:
            run(proxy, request, store_matchers=wanted)
        # The reference's test stores have no text of their own; ours always have one.
        words = case["expected_error"].split(" : ")
        assert caught.value.message.startswith(words[0]) and caught.value.message.endswith(words[-1])
        return
    rows, warnings = run(proxy, request, store_matchers=wanted)
    expected = []
    for item in case["expected_series"]:
        message = reference.golden_frames([item])[0]
        expected.append(([tuple(p) for p in item["labels"]], reference.rows_of_message(message)[0][1]))
    assert rows == expected
    assert len(warnings) == case["expected_warnings"]


def request_for(name="__name__", value="up", **fields):
    return thanos.SeriesRequest(
        min_time=0, max_time=10, matchers=[thanos.LabelMatcher(name=name, value=value)], **fields
    )


def facts(address="1.2.3.4:10901", **fields):
    return StoreFacts(address=address, min_time_ms=0, max_time_ms=9, supports_without_replica_labels=True, **fields)


def failing(failure):
    return FakeStore(facts(label_sets=((("cluster", "eu1"), ("replica", "a")),)), [StreamError(failure)])


TEXTS = [
    (
        StreamFailure("rpc error: code = Unavailable desc = x", "UNAVAILABLE", opening=True),
        "UNAVAILABLE",
        'fetch series for {cluster="eu1", replica="a"} Addr: 1.2.3.4:10901 MinTime: 0 MaxTime: 9: '
        "rpc error: code = Unavailable desc = x",
    ),
    (
        StreamFailure("rpc error: code = Internal desc = x", "INTERNAL"),
        "ABORTED",
        "receive series from Addr: 1.2.3.4:10901 MinTime: 0 MaxTime: 9: rpc error: code = Internal desc = x",
    ),
    (
        StreamFailure("context canceled", "ABORTED", timed_out=True),
        "ABORTED",
        "failed to receive any data in 1m30s from Addr: 1.2.3.4:10901 MinTime: 0 MaxTime: 9: context canceled",
    ),
]


@pytest.mark.parametrize(("failure", "code", "text"), TEXTS)
def test_a_failing_store_is_a_warning_or_the_end_of_the_request_in_the_words_of_the_original(failure, code, text):
    proxy = Proxy(lambda: [failing(failure)], response_timeout_s=90)
    assert run(proxy, request_for()) == ([], [text])
    with pytest.raises(StatusError) as caught:
        run(proxy, request_for(partial_response_strategy=1))
    assert (caught.value.code, caught.value.message) == (code, text)
    with pytest.raises(StatusError):
        run(proxy, request_for(partial_response_disabled=True))


def test_a_warning_of_a_store_aborts_a_request_without_partial_response():
    proxy = Proxy(lambda: [FakeStore(facts(), [warning_frame("w")])])
    assert run(proxy, request_for()) == ([], ["w"])
    with pytest.raises(StatusError, match="w"):
        run(proxy, request_for(partial_response_strategy=1))


def test_a_store_that_left_the_active_set_makes_matching_answers_partial():
    lost = MissingStore(facts(label_sets=((("cluster", "eu1"),),)), "connection refused", 60.0)
    proxy = Proxy(lambda: [FakeStore(facts())], missing=lambda: [lost])
    _, warnings = run(proxy, request_for())
    assert warnings == [
        'store {cluster="eu1"} Addr: 1.2.3.4:10901 MinTime: 0 MaxTime: 9 answered 60 s ago and is not reachable now; '
        "the answer lacks its data: connection refused"
    ]
    with pytest.raises(StatusError, match="is not reachable now"):
        run(proxy, request_for(partial_response_strategy=1))
    assert run(proxy, request_for("cluster", "us1")) == ([], [])


def test_stores_get_the_request_without_hints_and_with_the_tenant():
    store = FakeStore(facts())
    request = request_for(step=5, range=6, limit=7, response_batch_size=64, skip_chunks=True, aggregates=[1, 5])
    request.hints.type_url = "x"
    request.query_hints.func.name = "rate"
    run(Proxy(lambda: [store]), request, tenant="team-a")
    got, metadata = store.requests[0]
    assert metadata == {"thanos-tenant": "team-a"}
    assert not got.HasField("hints") and (got.step, got.range) == (0, 0)
    assert (got.limit, got.response_batch_size, got.skip_chunks, list(got.aggregates)) == (7, 64, True, [1, 5])
    assert got.query_hints.func.name == "rate"


def test_selector_labels_are_matched_and_consumed():
    store = FakeStore(facts())
    proxy = Proxy(lambda: [store], selector_labels=(("region", "eu"),))
    run(
        proxy,
        thanos.SeriesRequest(
            matchers=[thanos.LabelMatcher(name="a", value="b"), thanos.LabelMatcher(name="region", value="eu")]
        ),
    )
    assert [m.name for m in store.requests[0][0].matchers] == ["a"]
    with pytest.raises(StatusError) as caught:
        run(proxy, request_for("region", "eu"))
    assert (caught.value.code, caught.value.message) == (
        "INVALID_ARGUMENT",
        "no matchers specified (excluding selector labels)",
    )
    assert run(proxy, request_for("region", "us")) == ([], [])


def test_label_names_are_merged_and_failures_are_warnings():
    broken = FakeStore(facts("dead:1"), names=CallError("UNAVAILABLE", "rpc error: code = Unavailable desc = x"))
    proxy = Proxy(lambda: [FakeStore(facts(), names=["a", "c"]), FakeStore(facts(), names=["b", "c"]), broken])
    call = ProxyCall(CancelToken(), print)
    answer = proxy.label_names(thanos.LabelNamesRequest(start=0, end=1, limit=2), call)
    assert list(answer.names) == ["a", "b"]
    assert list(answer.warnings) == [
        "fetch label names from store Addr: dead:1 MinTime: 0 MaxTime: 9: rpc error: code = Unavailable desc = x"
    ]
    with pytest.raises(StatusError) as caught:
        proxy.label_names(thanos.LabelNamesRequest(partial_response_strategy=1), call)
    assert caught.value.code == "UNAVAILABLE"


def test_label_values_need_a_name_and_merge():
    proxy = Proxy(lambda: [FakeStore(facts(), values=["x"]), FakeStore(facts(), values=["w", "x"])])
    call = ProxyCall(CancelToken(), print)
    assert list(proxy.label_values(thanos.LabelValuesRequest(label="job"), call).values) == ["w", "x"]
    with pytest.raises(StatusError, match="label name parameter cannot be empty"):
        proxy.label_values(thanos.LabelValuesRequest(), call)


def test_a_proxy_advertises_the_union_of_its_stores_under_its_selector_labels():
    a = FakeStore(StoreFacts(label_sets=((("region", "us"), ("z", "1")),), min_time_ms=5, max_time_ms=7))
    tsdb = bytes.fromhex("0a0010051806")
    b = FakeStore(StoreFacts(label_sets=((("z", "2"),),), min_time_ms=1, max_time_ms=6, tsdb_infos=(tsdb,)))
    answer = Proxy(lambda: [a, b], selector_labels=(("region", "eu"),)).info()
    sets = [[(label.name, label.value) for label in s.labels] for s in answer.label_sets]
    assert sets == [[("region", "eu"), ("z", "1")], [("region", "eu"), ("z", "2")]]
    assert (answer.store.min_time, answer.store.max_time) == (1, 7)
    assert [(one.min_time, one.max_time) for one in answer.store.tsdb_infos] == [(5, 6)]
    nobody = Proxy(tuple).info()
    assert (nobody.store.min_time, nobody.store.max_time) == (-(2**63), 2**63 - 1)


def series_call(server, data):
    return list(store_service(server).methods[0].handler(data, Call(CancelToken())))


def test_the_proxys_own_store_api_sends_what_its_stores_sent():
    chunk = ([("a", "b")], [(1, 2, {"raw": (0, b"x", 5)})])
    frame = reference.single_frame(reference.series_message(*chunk))
    proxy = Proxy(lambda: [FakeStore(facts(), [warning_frame("w"), frame])])
    server = ProxyServer(proxy, lambda: Budget(1 << 20))
    assert series_call(server, encode(request_for(response_batch_size=-3))) == [warning_frame("w"), frame]
    with pytest.raises(StatusError, match="failed to unmarshal the received message: unexpected EOF"):
        series_call(server, b"\x0a")


@pytest.mark.parametrize(("batch_size", "sizes"), [(0, [1] * 7), (2, [2, 2, 2, 1]), (3, [3, 3, 1]), (100, [7])])
def test_the_proxys_own_store_api_fills_frames_across_the_frames_of_its_stores(batch_size, sizes):
    series = [([("a", str(i))], [(1, 2, {"raw": (0, b"%d" % i, 5)})]) for i in range(7)]
    made = [reference.series_message(*one) for one in series]
    store = FakeStore(facts(), [reference.batch_frame(made[i : i + 2]) for i in range(0, 7, 2)])
    budget = Budget(1 << 20)
    server = ProxyServer(Proxy(lambda: [store]), lambda: budget)
    sent = series_call(server, encode(request_for(response_batch_size=batch_size)))
    one = reference.single_frame if batch_size < 2 else None
    at, expected = 0, []
    for size in sizes:
        expected.append(one(made[at]) if one else reference.batch_frame(made[at : at + size]))
        at += size
    assert sent == expected and budget.held_bytes == 0


RECORDED = json.loads((GOLDEN / "query_over_store.json").read_text())


@pytest.mark.parametrize("case", RECORDED["cases"].values(), ids=RECORDED["cases"].keys())
def test_a_recorded_store_behind_our_proxy_gives_the_recorded_answers_of_the_originals_query(case):
    store = FakeStore(
        facts_of("127.0.0.1:22001", info.InfoResponse.FromString(bytes.fromhex(RECORDED["info"]))),
        [bytes.fromhex(frame) for frame in case["store_frames"]],
    )
    if "store_status" in case:
        code, message = case["store_status"]
        text = rpc_error_text(code, message)
        store.messages.append(StreamError(StreamFailure(text, code)))
        store.raw = CallError(code, text)
    elif case["method"] != "Series":
        store.raw = store.messages[0]
    methods = {m.name: m for m in store_service(ProxyServer(Proxy(lambda: [store]), lambda: Budget(1 << 30))).methods}
    handler, request = methods[case["method"]].handler, bytes.fromhex(case["request"])
    if "status" in case:
        with pytest.raises(StatusError) as caught:
            list(handler(request, Call(CancelToken())))
        assert [caught.value.code, caught.value.message] == case["status"]
        return
    answer = handler(request, Call(CancelToken()))
    frames = [answer] if isinstance(answer, bytes) else list(answer)
    assert [frame.hex() for frame in frames] == case.get("frames", case["store_frames"])


LIMITS = [
    (2, 0, [(1, 1)] * 3, "failed to send series: limit 2 violated (got 3)"),
    (3, 0, [(1, 1)] * 3, None),
    (2, 0, [(3, 3)], "failed to send series: limit 2 violated (got 3)"),
    (0, 50, [(1, 1)], "failed to send samples: limit 50 violated (got 120)"),
    (0, 240, [(3, 3)], "failed to send samples: limit 240 violated (got 360)"),
    (3, 360, [(3, 3)], None),
]


@pytest.mark.parametrize(("n_series", "n_samples", "frames", "error"), LIMITS)
def test_request_limits_fail_with_the_numbers(n_series, n_samples, frames, error):
    dropped = []
    limits = RequestLimits(n_series, n_samples, dropped.append)

    def send():
        for one in frames:
            limits.sending(*one)

    if error is None:
        send()
        assert dropped == []
        return
    with pytest.raises(StatusError) as caught:
        send()
    assert caught.value.message == error and len(dropped) == 1


def test_the_batch_size_follows_the_expected_size_of_a_series():
    assert [batch_size_for(n) for n in (0, 524, 5243, 1 << 20)] == [1000, 1000, 199, 16]


def test_durations_print_as_in_go():
    assert [go_duration(s) for s in (0, 0.25, 5, 60, 90, 3600)] == ["0s", "250ms", "5s", "1m0s", "1m30s", "1h0m0s"]
