"""The wire messages against bytes written by the reference encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from athanor.model.errors import DataError
from athanor.storeapi import messages
from athanor.storeapi.messages import decode, encode, hints, info, prometheus, thanos

GOLDEN = Path(__file__).parents[2] / "golden" / "storeapi"
CASES = json.loads((GOLDEN / "wire_messages.json").read_text())["messages"]
PACKAGES = {"thanos": thanos, "thanos.info": info, "hintspb": hints, "prometheus": prometheus}


def message_class(full_name):
    package, _, name = full_name.rpartition(".")
    return getattr(PACKAGES[package], name)


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c['message']}" for i, c in enumerate(CASES)])
def test_a_decoded_message_encodes_to_the_same_bytes(case):
    data = bytes.fromhex(case["hex"])
    assert encode(decode(message_class(case["message"]), data)).hex() == case["hex"]


def test_the_fields_of_a_series_request_are_what_the_golden_text_says():
    request = decode(thanos.SeriesRequest, bytes.fromhex(CASES[0]["hex"]))
    assert (request.min_time, request.max_time) == (-62135596800000, 1700000000000)
    assert [(m.type, m.name, m.value) for m in request.matchers] == [(0, "__name__", "up"), (2, "job", "a|b")]
    assert list(request.aggregates) == [1, 2]
    assert request.partial_response_strategy == messages.ABORT
    assert request.query_hints.series_hash_label_name == "__cf_series_hash__"
    assert (request.shard_info.shard_index, request.shard_info.total_shards) == (1, 3)
    assert list(request.without_replica_labels) == ["replica"]
    assert (request.limit, request.response_batch_size) == (10, 64)


def test_a_rule_that_was_never_evaluated_carries_gos_zero_time():
    group = thanos.RuleGroup(name="g", file="f", interval=30)
    assert encode(group).hex() == "0a0167120166210000000000003e40320b088092b8c398feffffff01"


def test_an_empty_label_set_of_a_tsdb_is_written():
    assert encode(info.TSDBInfo(min_time=5, max_time=6)).hex() == "0a0010051806"


def test_hints_carry_the_type_url_of_the_reference():
    packed = messages.pack_hints(
        hints.SeriesResponseHints(queried_blocks=[hints.Block(id="00000000010000000000000000")])
    )
    assert encode(thanos.SeriesResponse(hints=packed)).hex() == CASES[4]["hex"]


def test_the_metadata_map_holds_entries_whose_only_field_is_number_two():
    answer = thanos.MetricMetadata()
    answer.metadata["up"].metas.add(type="gauge", help="h")
    assert answer.metadata["up"].SerializeToString().hex() == "120a0a056761756765120168"
    assert encode(answer).hex() == "0a120a027570" + "120c" + "120a0a056761756765120168"


def test_broken_bytes_are_a_data_error_that_names_the_place():
    with pytest.raises(DataError, match=r"request of 1.2.3.4: 1 bytes are not a thanos.SeriesRequest"):
        decode(thanos.SeriesRequest, b"\x0a", "request of 1.2.3.4")
