from __future__ import annotations

import json
from pathlib import Path

import pytest

from athanor.bucket import BucketCounters, FilesystemBucket, open_bucket
from athanor.bucket.s3_config import S3Config, parse_duration_ms, parse_s3_config
from athanor.bucket.yaml_config import ConfigError, compose, expand_environment
from athanor.model.errors import AthanorError, NotAvailableError, OperatorError

RECORDED = json.loads((Path(__file__).parents[2] / "golden/bucket/objstore_config_errors.json").read_text())
LATER = ("gcs", "azure", "swift", "cos", "oss", "bos", "oci", "obs")
OURS = {name: case for name, case in RECORDED.items() if not name.startswith(LATER) and name != "env_expand_unset"}


def texts_of(error: str) -> list[str]:
    """The recorded text, outermost first: the original printed the causes innermost first, then what it was doing."""
    lines = error.replace('\\"', '"').split("\\n")
    lines = lines[: lines.index("preparing tools bucket ls command failed")]
    joined: list[str] = []
    for line in lines:
        if line.startswith("  line "):
            joined[-1] += "\n" + line
        else:
            joined.append(line)
    return joined[::-1]


@pytest.mark.parametrize("name", OURS)
def test_a_configuration_is_taken_or_refused_with_the_recorded_text(name: str, tmp_path: Path):
    case = OURS[name]
    text = case["config"].replace("<dir>", str(tmp_path))
    if not case["error"]:
        list(open_bucket(text, lambda _: BucketCounters()).iter())
        return
    with pytest.raises(OperatorError) as raised:
        open_bucket(text, lambda _: BucketCounters())
    assert str(raised.value) == ": ".join(texts_of(case["error"]))


@pytest.mark.parametrize("kind", ["GCS", "azure", "SWIFT", "COS", "ALIYUNOSS", "BOS", "OCI", "OBS"])
def test_other_providers_say_that_they_are_not_available(kind: str):
    with pytest.raises(NotAvailableError, match=f"not available in this version: bucket type {kind.upper()}"):
        open_bucket(f"type: {kind}\nconfig: {{}}\n", lambda _: BucketCounters())


def test_an_unset_variable_is_an_error_and_an_empty_one_is_not():
    with pytest.raises(ConfigError, match='found reference to unset environment variable "NOT_SET_X"'):
        expand_environment("directory: $(NOT_SET_X)", {})
    assert expand_environment("a: $(X)$(Y)$Z", {"X": "1", "Y": ""}) == "a: 1$Z"


def test_scalars_keep_their_text_in_string_fields():
    config = parse_s3_config(compose("endpoint: e\naccess_key: 0123\nsecret_key: 1e5\nregion: yes\n"))
    assert (config.access_key, config.secret_key, config.region) == ("0123", "1e5", "yes")


def test_bools_take_the_words_of_yaml_1_1():
    config = parse_s3_config(compose("endpoint: e\ninsecure: on\nsend_content_md5: No\n"))
    assert (config.insecure, config.send_content_md5) == (True, False)


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("017", 15), ("0x1F", 31), ("1_000", 1000), ("~", 0)])
def test_numbers_have_the_forms_of_yaml_1_1(text: str, number: int):
    assert parse_s3_config(compose(f"endpoint: e\nmax_retries: {text}\n")).max_retries == number


def test_a_wrong_type_names_line_value_and_type():
    with pytest.raises(ConfigError) as raised:
        parse_s3_config(compose("endpoint: e\ninsecure: maybe\nmax_retries: a long text\npart_size: -1\n"))
    assert str(raised.value) == (  # lines count in the re-encoded text, whose keys are sorted
        "yaml: unmarshal errors:\n"
        "  line 2: cannot unmarshal !!str `maybe` into bool\n"
        "  line 3: cannot unmarshal !!str `a long ...` into int\n"
        "  line 4: cannot unmarshal !!int `-1` into uint64"
    )


def test_defaults_hold_where_http_config_is_given_in_part():
    config = parse_s3_config(compose("endpoint: e\nhttp_config:\n  idle_conn_timeout: 1m30s500ms\n"))
    assert config.http_config.idle_conn_timeout_ms == 90_500
    assert config.http_config.response_header_timeout_ms == 120_000


@pytest.mark.parametrize(("text", "expected_ms"), [("0", 0), ("1d12h", 129_600_000), ("5m", 300_000), ("10ms", 10)])
def test_durations_have_the_syntax_of_prometheus(text: str, expected_ms: int):
    assert parse_duration_ms(text) == expected_ms


def test_a_bad_duration_is_named():
    with pytest.raises(ConfigError, match=r'not a valid duration string: "1\.5h"'):
        parse_s3_config(compose("endpoint: e\nhttp_config:\n  idle_conn_timeout: 1.5h\n"))


@pytest.mark.parametrize(
    ("size_bytes", "part_bytes"),
    [(1, 16 << 20), (63 << 20, 16 << 20), (64 << 20, 64 << 20), (65 << 20, 64 << 20)],
)
def test_parts_are_small_below_the_configured_part_size(size_bytes: int, part_bytes: int):
    assert S3Config(endpoint="e").part_bytes(size_bytes) == part_bytes


def test_hedging_may_be_configured_as_long_as_it_is_off(tmp_path: Path):
    text = f"type: FILESYSTEM\nconfig: {{directory: {tmp_path}}}\nhedging_config: {{enabled: %s}}\n"
    open_bucket(text % "false", lambda _: BucketCounters())
    with pytest.raises(NotAvailableError, match="hedging_config"):
        open_bucket(text % "true", lambda _: BucketCounters())


def test_the_bucket_is_metered_under_its_own_name(tmp_path: Path):
    seen = []

    def counters(name: str) -> BucketCounters:
        seen.append(name)
        return BucketCounters()

    bucket = open_bucket(f"type: FILESYSTEM\nprefix: p\nconfig: {{directory: {tmp_path}}}\n", counters)
    bucket.upload("a", b"1")
    assert seen == [f"fs: {tmp_path}"]
    assert bytes(FilesystemBucket(tmp_path).get("p/a")) == b"1"


def test_a_missing_key_file_is_an_error_of_the_operator():
    text = "type: S3\nconfig:\n  endpoint: e\n  sse_config: {type: SSE-C, encryption_key: /nonexistent}\n"
    with pytest.raises(AthanorError, match="create S3 client: initialize s3 client SSE-C"):
        open_bucket(text, lambda _: BucketCounters())
