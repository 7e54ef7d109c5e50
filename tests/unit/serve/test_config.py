"""Typed configuration from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.model.errors import OperatorError
from athanor.serve.available import CONFIGS
from athanor.serve.config import build, default_config, flag_names, selector_labels
from athanor.serve.config_query import QueryConfig
from athanor.serve.config_sidecar import SidecarConfig
from athanor.serve.config_store import StoreConfig
from athanor.serve.docs import flags_page
from athanor.serve.flags import evaluate, read_words
from athanor.serve.table import load_table

TABLE = load_table()


def parse(*argv: str):
    return evaluate(read_words(argv, TABLE), TABLE)


@pytest.mark.parametrize("command", CONFIGS)
def test_every_field_names_a_flag_of_its_command(command: str):
    assert flag_names(CONFIGS[command]) <= {flag.name for flag in TABLE.flags_of(command)}


def test_query_defaults_are_those_of_the_flags():
    config = default_config(QueryConfig, "query")
    assert (config.timeout_ms, config.lookback_ms, config.max_concurrent) == (120_000, 300_000, 20)
    assert config.partial_response
    assert config.endpoints == ()


def test_replica_labels_split_on_commas_and_lose_duplicates():
    config = build(QueryConfig, parse("query", "--query.replica-label=b,a", "--query.replica-label=a,"))
    assert config.replica_labels == ("a", "b")


def test_the_route_prefix_defaults_to_the_external_prefix():
    assert default_config(QueryConfig, "query", external_prefix="/x/").api_prefix == "/x"
    assert default_config(QueryConfig, "query", external_prefix="/x", route_prefix="y").api_prefix == "/y"
    assert default_config(QueryConfig, "query").api_prefix == ""


def test_of_two_spellings_of_a_limit_the_last_one_wins():
    config = build(
        StoreConfig,
        parse(
            "store",
            "--objstore.config=x",
            "--store.limits.request-series=1",
            "--store.grpc.touched-series-limit=2",
            "--store.grpc.series-sample-limit=600",
        ),
    )
    assert config.max_series == 2
    assert config.max_chunks == 5


def test_content_may_name_environment_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DIR", "/data")
    file = tmp_path / "bucket.yml"
    file.write_text("directory: $(DIR)\n")
    config = build(SidecarConfig, parse("sidecar", f"--objstore.config-file={file}"))
    assert config.objstore_config == "directory: /data\n"


def test_a_sidecar_without_a_bucket_has_an_empty_bucket_configuration():
    assert build(SidecarConfig, parse("sidecar")).objstore_config == ""


def test_selector_labels_are_go_quoted():
    assert selector_labels(('b="x\\ny"', "a=`q`")) == (("a", "q"), ("b", "x\ny"))
    with pytest.raises(OperatorError, match='unrecognized label "ab"'):
        selector_labels(("ab",))
    with pytest.raises(OperatorError, match="unquote label value: invalid syntax"):
        selector_labels(("a=b",))


def test_the_page_of_flags_in_the_docs_is_current():
    page = Path(__file__).parents[3] / "docs" / "flags.md"
    assert page.read_text(encoding="utf-8") == flags_page(TABLE), "run: python -m athanor.serve.docs > docs/flags.md"
