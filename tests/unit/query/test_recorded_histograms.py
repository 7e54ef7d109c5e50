"""Answers with native histograms, recorded from Prometheus 3.14 and Thanos 0.43 over the same blocks."""

from __future__ import annotations

import gzip
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.rpc import Call
from athanor.promql.features import Features
from athanor.store.service import services
from athanor.storeapi.proxy import Proxy
from athanor.storeapi.proxy_server import ProxyServer
from athanor.storeapi.server import store_service
from tests.unit.query.conftest import FIRST_MS, LAST_MS, LocalStore, Querier, open_gateway, open_querier

GOLDEN = Path(__file__).parents[2] / "golden/histograms"
T0_S = 1_700_006_400
POSITION = re.compile(r" \(\d+:\d+\)$")
VOLATILE = re.compile(r"127\.0\.0\.1:\d+|\b01[0-9A-Z]{24}\b")
INSTANT = {"time": T0_S + 760}
RANGE = {"start": T0_S + 300, "end": T0_S + 1200, "step": 300}


def recorded(name: str) -> Any:
    return json.loads(gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes()))


def querier_over(directory: Path, *blocks: str) -> Querier:
    for block in blocks:
        shutil.copytree(GOLDEN / block, directory / "bucket" / Path(block).name)
    gateway = open_gateway(directory / "bucket", directory / "store")
    store = LocalStore(services(gateway, lambda: FIRST_MS, lambda: LAST_MS))
    return open_querier(
        [store], features=Features(experimental_functions=True, duration_expressions=False, since_3_10=False)
    )


@pytest.fixture(scope="module")
def one_block(tmp_path_factory: pytest.TempPathFactory) -> Querier:
    return querier_over(tmp_path_factory.mktemp("one"), "blocks/01HF80000000000000000000AA")


@pytest.fixture(scope="module")
def two_blocks(tmp_path_factory: pytest.TempPathFactory) -> Querier:
    blocks = [f"blocks/01HF80000000000000000000{name}" for name in ("AA", "BB")]
    return querier_over(tmp_path_factory.mktemp("two"), *blocks)


@pytest.fixture(scope="module")
def downsampled(tmp_path_factory: pytest.TempPathFactory) -> Querier:
    blocks = [f"blocks_downsample/{path.name}" for path in (GOLDEN / "blocks_downsample").iterdir()]
    return querier_over(tmp_path_factory.mktemp("downsampled"), *blocks)


def ask(querier: Querier, mode: str, params: dict[str, Any]) -> dict[str, Any]:
    path = "/api/v1/query" if mode == "i" else "/api/v1/query_range"
    return json.loads(querier.ask("GET", path, params.items())[2])


def close(a: Any, b: Any) -> bool:
    """Equal, numbers within 1e-9 of each other."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(close, a, b))
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except (TypeError, ValueError):
        return False
    return (math.isnan(x) and math.isnan(y)) or math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-300)


def by_metric(result: Any) -> Any:
    if isinstance(result, list) and result and isinstance(result[0], dict):
        return sorted(result, key=lambda series: json.dumps(series["metric"], sort_keys=True))
    return result


def texts(answer: dict[str, Any]) -> list[str]:
    """Annotations of both kinds, without their positions, ports and names of blocks."""
    found = set()
    for text in [*answer.get("warnings", ()), *answer.get("infos", ())]:
        words = text.removeprefix("PromQL warning: ").removeprefix("PromQL info: ")
        found.add(VOLATILE.sub("", POSITION.sub("", words)))
    return sorted(found)


def difference(ours: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What differs, an empty text where nothing does."""
    if "error" in wanted or ours["status"] == "error":
        return "" if ours.get("error") == wanted.get("error") else f"{ours.get('error')!r} for {wanted.get('error')!r}"
    ours_data, data = ours["data"], wanted["data"]
    if ours_data["resultType"] != data["resultType"]:
        return "type of result"
    a, b = by_metric(ours_data["result"]), by_metric(data["result"])
    if not close(a, b):
        return f"{json.dumps(a)[:500]} for {json.dumps(b)[:500]}"
    if texts(ours) != texts(wanted):
        return f"{texts(ours)} for {texts(wanted)}"
    return ""


def thanos_answer(case: dict[str, Any]) -> dict[str, Any]:
    """The recorded answer of Thanos with Prometheus' engine."""
    wanted, changed = dict(case["prometheus"]), case["thanos_prometheus_engine"]
    if changed == "same":
        return wanted
    if "data" in changed:
        data = changed["data"]
        if isinstance(data, dict):
            return data
        wanted["data"] = {**wanted["data"], "result": data}
    if "annotations" in changed:
        wanted["warnings"], wanted["infos"] = changed["annotations"], []
    return wanted


@pytest.mark.parametrize("name", ["queries_selectors_operators", "queries_range_aggr", "queries_histogram_functions"])
def test_every_recorded_question_about_one_block_has_the_answer_of_thanos(name: str, one_block: Querier):
    differences = []
    for case in recorded(name):
        params = {"query": case["query"], **(INSTANT if case["mode"] == "i" else RANGE)}
        found = difference(ask(one_block, case["mode"], params), thanos_answer(case))
        if found:
            differences.append(f"{case['query']} ({case['mode']}): {found}")
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("dedup", ["true", "false"])
def test_every_recorded_question_about_two_replicas_has_the_answer_of_thanos(dedup: str, two_blocks: Querier):
    differences = []
    for case in recorded("queries_two_replicas"):
        if f"dedup_{dedup}" not in case:
            continue
        params = {"query": case["query"], "dedup": dedup, **case["params"]}
        found = difference(ask(two_blocks, case["mode"], params), case[f"dedup_{dedup}"])
        if found:
            differences.append(f"{case['query']} ({case['mode']}): {found}")
    assert not differences, "\n".join(differences)


def without_buckets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_buckets(v) for key, v in value.items() if key != "buckets"}
    return [without_buckets(v) for v in value] if isinstance(value, list) else value


def test_every_recorded_question_about_downsampled_histograms_has_the_answer_of_thanos(downsampled: Querier):
    """differs: the original divides the buckets of sum / count in place, once more each time it looks at them."""
    differences = []
    for case in recorded("queries_downsampled"):
        if case["engine"] != "prometheus":
            continue
        params = {"query": case["query"], "time": case["time"], "max_source_resolution": case["max_source_resolution"]}
        ours, wanted = ask(downsampled, "i", params), case["answer"]
        if case["max_source_resolution"] == "5m" and "rate" not in case["query"]:
            ours, wanted = without_buckets(ours), without_buckets(wanted)
        found = difference(ours, wanted)
        if found:
            differences.append(f"{case['query']} ({case['max_source_resolution']}): {found}")
    assert not differences, "\n".join(differences)


def test_the_store_api_of_the_query_sends_the_frames_of_the_original(tmp_path: Path):
    for name in ("AA", "BB"):
        block = GOLDEN / f"blocks/01HF80000000000000000000{name}"
        shutil.copytree(block, tmp_path / "bucket" / block.name)
    gateway = open_gateway(tmp_path / "bucket", tmp_path / "store")
    proxy = Proxy(lambda: [LocalStore(services(gateway, lambda: FIRST_MS, lambda: LAST_MS))])
    series = store_service(ProxyServer(proxy, lambda: Budget(1 << 28))).methods[0].handler
    for case in recorded("storeapi_query").values():
        frames = [frame.hex() for frame in series(bytes.fromhex(case["request"]), Call(CancelToken()))]
        assert (case["method"], case["code"], frames) == ("/thanos.Store/Series", "OK", case["frames"])
