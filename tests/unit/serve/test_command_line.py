"""The command line, replayed against recordings of Thanos 0.43 (tests/golden/flags)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from athanor.model.errors import NotAvailableError
from athanor.serve.available import CONFIGS, require_available
from athanor.serve.flags import evaluate, read_words
from athanor.serve.main import main, shown_flags
from athanor.serve.table import load_table
from athanor.serve.usage import flag_column, shown_value, usage_line

GOLDEN = Path(__file__).parents[2] / "golden" / "flags"
CLI = json.loads((GOLDEN / "cli.json").read_text())
CASES = {case["name"]: case for case in CLI["cases"]}
HELP = json.loads((GOLDEN / "help_columns.json").read_text())["commands"]
STATUS = json.loads((GOLDEN / "status_flags.json").read_text())["commands"]
TABLE = load_table()

LEGACY = {"legacy_bucket": "tools bucket ls", "legacy_check": "tools rules-check", "legacy_downsample": "tools bucket"}
"""Differs on purpose: old command words are understood."""
ROLE_RUNS = {
    name
    for name, case in CASES.items()
    if case["stderr_kind"] == "log lines" and name not in ("gomemlimit_ratio", "gomemlimit_ratio_2")
}
CONFIG_ERRORS = [
    "store_no_objstore",
    "store_both_objstore",
    "store_objstore_missing_file",
    "store_objstore_env",
    "store_times",
    "query_strict_dns",
    "gomemlimit_ratio",
    "gomemlimit_ratio_2",
]
TEXT_CASES = [name for name, case in CASES.items() if name not in ROLE_RUNS and name not in LEGACY]


@pytest.fixture
def work_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name, text in CLI["working_directory"].items():
        if name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", TEXT_CASES)
@pytest.mark.usefixtures("work_dir")
def test_texts_streams_and_exit_codes_are_those_of_the_original(name: str, capsys: pytest.CaptureFixture[str]):
    case = CASES[name]
    if name == "journald" and Path("/run/systemd/journal/socket").is_socket():
        pytest.skip("this machine has a journal")
    assert main(case["argv"]) == case["exit"]
    out, err = capsys.readouterr()
    assert out == case["stdout"]
    lines = err.splitlines()
    match case["stderr_kind"]:
        case "plain":
            assert err == case["stderr"]
        case "usage":
            assert re.sub(r"\n\s+", " ", err).startswith(case["stderr_first_line"])
        case "version text":
            assert lines[0].startswith(case["stderr_first_line_starts"])
            assert [line.partition(":")[0] for line in lines[1:]] == case["stderr_lines_keys"]
        case "usage, blank line, error line":
            assert re.sub(r"\n\s+", " ", err).startswith(case["stderr_first_line"])
            assert lines[-1] == case["stderr_last_line"]
            assert lines[-2] == ""
        case "log lines":
            assert "failed to configure Go runtime memory limits" in err
        case "Go panic":
            assert lines[-1].endswith("empty duration string")


@pytest.mark.parametrize("name", CONFIG_ERRORS)
@pytest.mark.usefixtures("work_dir")
def test_start_up_checks_log_the_chain_of_the_original(name: str, capsys: pytest.CaptureFixture[str]):
    case = CASES[name]
    assert main([*case["argv"], "--log.format=json"]) == case["exit"]
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    want = dict(case["log"][-1])
    assert line["level"] == want["level"]
    assert line["err"].split("\n") == (want["err"] if isinstance(want["err"], list) else [want["err"]])


@pytest.mark.parametrize("command", HELP)
def test_help_lists_the_flags_of_the_original(command: str):
    assert usage_line("thanos", command, TABLE) == HELP[command]["usage"]
    shown = [flag for flag in TABLE.flags_of(command) if not flag.hidden]
    columns = [
        {
            "name": flag.name,
            "short": flag.short or None,
            "neg": flag.is_bool,
            "value": None if flag.is_bool else shown_value(flag),
            "rep": flag.repeatable,
        }
        for flag in shown
    ]
    assert columns == HELP[command]["flags"]


@pytest.mark.parametrize("command", STATUS)
def test_values_show_as_in_status_flags(command: str):
    parsed = evaluate(read_words(STATUS[command]["args"], TABLE), TABLE)
    want = dict(STATUS[command]["data"])
    if command == "tools bucket web":
        want["web.route-prefix"] = ""  # the original fills it in when the command starts
    assert shown_flags(parsed, TABLE) == want


@pytest.mark.parametrize(("name", "modern"), LEGACY.items())
def test_old_command_words_stand_for_the_modern_command(name: str, modern: str, capsys: pytest.CaptureFixture[str]):
    assert main(CASES[name]["argv"]) == 1
    assert capsys.readouterr().err.startswith(f"thanos: error: not available in this version: {modern}")


@pytest.mark.parametrize("command", [c.name for c in TABLE.commands.values() if c.runnable and c.name != "help"])
def test_a_command_works_or_says_that_it_is_not_available(command: str):
    words = read_words(command.split(), TABLE)
    words.given += [g for f in TABLE.flags_of(command) if f.required for g in read_words(_given(f), TABLE).given]
    parsed = evaluate(words, TABLE)
    if command in CONFIGS:
        require_available(parsed)
    else:
        with pytest.raises(NotAvailableError, match=f"not available in this version: {command}$"):
            require_available(parsed)


def _given(flag) -> list[str]:
    value = flag.enum[0] if flag.enum else "x"
    return [*flag.command.split(), f"--{flag.name}={value}"]


def _require(*argv: str) -> None:
    require_available(evaluate(read_words(argv, TABLE), TABLE))


def test_a_flag_that_is_not_available_may_be_given_its_default():
    _require("query", "--query.mode=local", "--no-query.auto-downsampling", "--query.dynamic-lookback-delta")
    _require("store", "--cache-index-header", "--store.index-header-lazy-reader-idle-timeout=300s")
    with pytest.raises(NotAvailableError, match=r"not available in this version: --query\.mode$"):
        _require("query", "--query.mode=distributed")
    with pytest.raises(NotAvailableError, match=r"not available in this version: --cache-index-header$"):
        _require("store", "--no-cache-index-header")


def test_flags_without_a_command_are_not_accepted_silently(capsys: pytest.CaptureFixture[str]):
    assert main(["athanor", "--help-man"]) == 1
    assert capsys.readouterr().err == "athanor: error: not available in this version: --help-man\n"


def test_every_flag_with_a_default_parses_it():
    for command in TABLE.commands.values():
        for flag in (*command.flags, *command.legacy_flags):
            flag.default_value()


def test_old_flag_names_fill_the_modern_flag():
    parsed = evaluate(read_words(["query", "--store=a:1", "--endpoint=b:1", "--rule=c:1"], TABLE), TABLE)
    assert parsed.values["endpoint"] == ("a:1", "b:1", "c:1")
    require_available(parsed)


def test_an_argument_file_holds_one_argument_per_line(tmp_path: Path):
    file = tmp_path / "args"
    file.write_text("# comment\n\n--endpoint=a:1\n--endpoint\nb:1\n")
    parsed = evaluate(read_words(["query", f"@{file}"], TABLE), TABLE)
    assert parsed.values["endpoint"] == ("a:1", "b:1")


def test_short_flags_take_an_attached_value():
    words = read_words(["tools", "bucket", "ls", "-ojson"], TABLE)
    assert evaluate(words, TABLE).values["output"] == "json"
    assert flag_column(words.given[0].flag).startswith("-o, --output=")


def test_long_help_goes_to_stdout(capsys: pytest.CaptureFixture[str]):
    assert main(["athanor", "--help-long"]) == 0
    out, err = capsys.readouterr()
    assert "usage: athanor tools bucket mark" in out
    assert err == ""
