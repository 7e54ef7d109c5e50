"""The endpoint set with scripted endpoints and a clock by hand; address resolution; the metric label's cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from athanor.model.errors import DataError, OperatorError, TransientError
from athanor.model.log import silent
from athanor.model.metrics import Registry
from athanor.storeapi.client import CallError
from athanor.storeapi.endpoints import (
    NOT_AN_ENDPOINT,
    EndpointSet,
    EndpointSpec,
    register_connections,
    truncated_label_sets,
)
from athanor.storeapi.messages import info
from athanor.storeapi.resolve import Resolver, SrvRecord, check_address, resolve

GOLDEN = Path(__file__).parents[2] / "golden" / "storeapi"


def answer(component="store", labels=(("region", "eu"),), first_ms=1, last_ms=9):
    response = info.InfoResponse(ComponentType=component)
    label_set = response.label_sets.add()
    for name, value in labels:
        label_set.labels.add(name=name, value=value)
    response.label_sets.add()
    response.store.min_time, response.store.max_time = first_ms, last_ms
    response.store.supports_without_replica_labels = True
    return response


class World:
    """Answers by address, a clock, and what was connected and closed."""

    def __init__(self):
        self.answers, self.now_s, self.closed, self.events, self.names = {}, 0.0, [], [], {}

    def connect(self, spec):
        world = self

        class Scripted:
            address = spec.address

            def info(self, timeout_s, wait_for_ready):
                said = world.answers.get(
                    spec.address, CallError("UNAVAILABLE", "rpc error: code = Unavailable desc = x")
                )
                if isinstance(said, Exception):
                    raise said
                return said

            def close(self):
                world.closed.append(spec.address)

        return Scripted()

    def endpoint_set(self, *specs):
        return EndpointSet(
            specs,
            silent(),
            connect=self.connect,
            clock=lambda: self.now_s,
            resolver=lambda addresses, log: Resolver(addresses, log, self.lookup),
            on_event=lambda event: self.events.append((event.kind, event.address)),
        )

    def lookup(self, address):
        if address not in self.names:
            raise TransientError("no such name")
        return self.names[address]


def addresses(endpoints):
    return [endpoint.facts.address for endpoint in endpoints]


def test_an_endpoint_is_used_once_it_answers_and_not_before():
    world = World()
    endpoints = world.endpoint_set(EndpointSpec("a:1"))
    endpoints.update()
    assert endpoints.stores() == [] and endpoints.statuses() == [] and world.closed == ["a:1"]
    world.answers["a:1"] = answer()
    endpoints.update()
    assert addresses(endpoints.stores()) == ["a:1"]
    status = endpoints.statuses()[0]
    assert (status.name, status.component, status.last_error) == ("a:1", "store", None)
    assert status.label_sets == ((("region", "eu"),),) and (status.min_time_ms, status.max_time_ms) == (1, 9)


def test_a_store_that_stops_answering_is_missing_until_the_unhealthy_timeout_has_passed():
    world = World()
    world.answers["a:1"] = answer()
    endpoints = world.endpoint_set(EndpointSpec("a:1"))
    endpoints.update()
    del world.answers["a:1"]
    world.now_s = 60.0
    endpoints.update()
    assert endpoints.stores() == []
    missing = endpoints.missing()
    assert [(m.facts.address, m.silent_s, m.error) for m in missing] == [
        ("a:1", 60.0, "rpc error: code = Unavailable desc = x")
    ]
    assert endpoints.statuses()[0].last_error == "rpc error: code = Unavailable desc = x"
    world.now_s = 299.0
    endpoints.update()
    assert len(endpoints.missing()) == 1
    world.now_s = 300.0
    endpoints.update()
    assert endpoints.missing() == [] and endpoints.statuses() == []
    assert world.events == [("added", "a:1"), ("failed", "a:1"), ("removed", "a:1")]


def test_a_store_that_answers_again_is_used_again():
    world = World()
    world.answers["a:1"] = answer()
    endpoints = world.endpoint_set(EndpointSpec("a:1"))
    endpoints.update()
    del world.answers["a:1"]
    endpoints.update()
    world.answers["a:1"] = answer(last_ms=20)
    endpoints.update()
    assert [e.facts.max_time_ms for e in endpoints.stores()] == [20] and endpoints.missing() == []
    assert [kind for kind, _ in world.events] == ["added", "failed", "recovered"]


def test_a_strict_endpoint_is_used_for_every_query_before_it_ever_answered():
    world = World()
    endpoints = world.endpoint_set(EndpointSpec("s:1", strict=True))
    endpoints.update()
    world.now_s = 1000.0
    endpoints.update()
    facts = endpoints.stores()[0].facts
    assert (facts.min_time_ms, facts.max_time_ms, facts.label_sets) == (-(2**63), 2**63 - 1, ())
    assert endpoints.missing() == []


def test_a_strict_endpoint_cannot_be_a_name_that_stands_for_several():
    with pytest.raises(OperatorError, match=r"dns\+x:1 is a dynamically specified endpoint i.e. it uses SD"):
        World().endpoint_set(EndpointSpec("dns+x:1", strict=True))


def test_a_vanished_address_is_missing_unless_an_equal_store_has_taken_its_place():
    world = World()
    world.names["dns+x:1"] = ("a:1", "b:1")
    world.answers = {"a:1": answer(labels=(("region", "eu"),)), "b:1": answer(labels=(("region", "us"),))}
    endpoints = world.endpoint_set(EndpointSpec("dns+x:1"))
    endpoints.update()
    assert addresses(endpoints.stores()) == ["a:1", "b:1"]
    world.names["dns+x:1"] = ("c:1",)
    world.answers["c:1"] = answer(labels=(("region", "us"),), last_ms=10)
    world.now_s = 31.0
    endpoints.update()
    assert addresses(endpoints.stores()) == ["c:1"]
    assert [m.facts.address for m in endpoints.missing()] == ["a:1"]
    assert world.closed == []
    world.now_s = 331.0
    endpoints.update()
    assert endpoints.missing() == [] and sorted(world.closed) == ["a:1", "b:1"]


def test_a_failed_lookup_keeps_the_last_answer():
    world = World()
    world.names["dns+x:1"] = ("a:1",)
    world.answers["a:1"] = answer()
    endpoints = world.endpoint_set(EndpointSpec("dns+x:1"))
    endpoints.update()
    del world.names["dns+x:1"]
    world.now_s = 31.0
    endpoints.update()
    assert addresses(endpoints.stores()) == ["a:1"]


def test_a_server_without_the_info_service_is_no_endpoint():
    world = World()
    world.answers["a:1"] = answer()
    endpoints = world.endpoint_set(EndpointSpec("a:1"))
    endpoints.update()
    world.answers["a:1"] = CallError("UNIMPLEMENTED", "unknown service thanos.info.Info")
    endpoints.update()
    assert endpoints.statuses()[0].last_error == NOT_AN_ENDPOINT
    world.answers["a:1"] = DataError("Info of a:1: bytes")
    endpoints.update()
    assert endpoints.statuses()[0].last_error == "Info of a:1: bytes"


def test_an_endpoint_without_a_store_is_found_by_its_other_services():
    world = World()
    response = info.InfoResponse(ComponentType="rule")
    response.rules.SetInParent()
    world.answers["a:1"] = response
    endpoints = world.endpoint_set(EndpointSpec("a:1"))
    endpoints.update()
    assert endpoints.stores() == [] and addresses(endpoints.with_api("rules")) == ["a:1"]


def test_connections_are_counted_by_label_sets_and_component():
    world, registry = World(), Registry()
    world.answers = {"a:1": answer(), "b:1": answer(), "c:1": answer("sidecar", labels=())}
    endpoints = world.endpoint_set(*(EndpointSpec(a) for a in world.answers))
    register_connections(registry, endpoints)
    endpoints.update()
    assert [(labels, value) for _, labels, value in registry.families()[0].samples] == [
        ((("external_labels", "no_external_labels"), ("store_type", "sidecar")), 1.0),
        ((("external_labels", '{region="eu"}'), ("store_type", "store")), 2.0),
    ]


@pytest.mark.parametrize("case", json.loads((GOLDEN / "endpoint_label_truncation.json").read_text())["cases"])
def test_long_label_sets_are_cut_between_characters(case):
    assert truncated_label_sets(case["input"], 10) == case["output"]


def test_addresses_are_resolved_by_their_lookup_type():
    def ips(host, both):
        return {"h": ["10.0.0.1", "10.0.0.2", *(["::1"] if both else [])], "t": ["10.0.0.9"]}[host]

    def srv(name):
        return [SrvRecord("t", 7)]

    def found(address):
        return resolve(address, addresses=ips, srv=srv)

    assert found("1.2.3.4:5") == ("1.2.3.4:5",)
    assert found("dns+h:5") == ("10.0.0.1:5", "10.0.0.2:5")
    assert found("dnsdualstack+h:5") == ("10.0.0.1:5", "10.0.0.2:5", "[::1]:5")
    assert found("dnssrv+_grpc._tcp.x") == ("10.0.0.9:7",)
    assert found("dnssrvnoa+_grpc._tcp.x") == ("t:7",)


def test_names_of_this_machine_resolve_without_a_name_server():
    assert resolve("dns+localhost:10901") == ("127.0.0.1:10901",)


def test_a_lookup_without_a_port_or_of_an_unknown_type_is_refused_at_the_start():
    with pytest.raises(OperatorError, match="missing port in address"):
        check_address("dns+host")
    with pytest.raises(OperatorError, match="unknown lookup 'magic'"):
        check_address("magic+host:1")
