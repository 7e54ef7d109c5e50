"""Which stores a request reaches, and what external labels do to its matchers: golden decision tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from athanor.model.matchers import Matcher, MatchType
from athanor.model.rpc import StatusError
from athanor.storeapi.matching import StoreFacts, consume_external, overlay, parse_matchers, refusal, wire_matchers
from athanor.storeapi.messages import thanos

GOLDEN = Path(__file__).parents[2] / "golden" / "storeapi"
SELECTION = json.loads((GOLDEN / "store_selection.json").read_text())
EXTERNAL = json.loads((GOLDEN / "external_label_matching.json").read_text())


def matchers(cases):
    return tuple(Matcher(MatchType[m["type"]], m["name"], m["value"]) for m in cases)


def pairs(labels):
    return tuple(tuple(p) for p in labels)


@pytest.mark.parametrize("case", [c for c in SELECTION["store_matches"] if c["debug_logging"]])
def test_a_store_is_chosen_by_time_and_label_sets(case):
    store, request = case["store"], case["request"]
    facts = StoreFacts(
        label_sets=tuple(pairs(s) for s in store["label_sets"]),
        min_time_ms=store["min_time"],
        max_time_ms=store["max_time"],
    )
    reason = refusal(facts, request["min_time"], request["max_time"], matchers(request["matchers"]))
    assert reason == case["reason"]


@pytest.mark.parametrize("case", SELECTION["address_matchers"])
def test_a_store_is_chosen_by_its_address(case):
    facts = StoreFacts(address=case["store_address"], is_local=case["is_local"])
    assert refusal(facts, 0, 1, (), [matchers(m) for m in case["store_matchers"]]) == case["reason"]


def external_cases():
    for group, labels in (
        ("filter_ext_label_matchers", "block_external_labels"),
        ("block_set_label_matchers", "block_set_labels"),
    ):
        for case in EXTERNAL[group]["cases"]:
            yield EXTERNAL[group][labels], case["matchers"], case["block_matches"], case["remaining_matchers"]
    for case in EXTERNAL["matches_external_labels"]:
        yield case["external_labels"], case["matchers"], case["match"], case["remaining_matchers"]


@pytest.mark.parametrize(("labels", "given", "matches", "remaining"), list(external_cases()))
def test_matchers_on_external_labels_are_consumed(labels, given, matches, remaining):
    left = consume_external(pairs(labels), matchers(given))
    assert left == (matchers(remaining) if matches else None)


def test_the_external_label_wins_over_a_stored_one():
    assert overlay([("region", "eu")], [("z", "1"), ("region", "us"), ("a", "1")]) == (
        ("a", "1"),
        ("region", "eu"),
        ("z", "1"),
    )


def test_matchers_survive_the_wire():
    given = matchers([{"type": t, "name": "a", "value": "b.*"} for t in ("EQ", "NEQ", "RE", "NRE")])
    assert parse_matchers(wire_matchers(given)) == given


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [(7, "x", "unrecognized label matcher type 7"), (2, "(", "error parsing regexp: missing closing ): `(`")],
)
def test_a_broken_matcher_is_an_invalid_argument_with_the_text_of_the_original(kind, value, text):
    with pytest.raises(StatusError) as caught:
        parse_matchers([thanos.LabelMatcher(type=kind, name="a", value=value)])
    assert (caught.value.code, caught.value.message) == ("INVALID_ARGUMENT", text)
