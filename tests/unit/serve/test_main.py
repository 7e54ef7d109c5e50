"""From the command line to a running role and back, with a small role in place of the real one."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import types
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import athanor
from athanor.model.errors import DataError
from athanor.serve import main as main_module
from athanor.serve.available import CONFIGS
from athanor.serve.config import sources
from athanor.serve.config_query import QueryConfig
from athanor.serve.grpc_server import GrpcServer
from athanor.serve.http_server import HttpServer
from athanor.serve.main import ROLES, main
from athanor.serve.process import Runtime

ROOT = Path(athanor.__file__).parent
ARGV = ["athanor", "query", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", "--log.format=json"]
Run = Callable[[QueryConfig, Runtime], None]


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Puts a function in the place of the query role."""
    before = sys.getswitchinterval()
    monkeypatch.setitem(ROLES, "query", "athanor_role_under_test")

    def use(run: Run) -> None:
        module = types.ModuleType("athanor_role_under_test")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    yield use
    sys.setswitchinterval(before)


def servers(config: QueryConfig, runtime: Runtime) -> tuple[GrpcServer, HttpServer]:
    grpc = GrpcServer(
        runtime,
        address=config.grpc_address,
        grace_ms=config.grpc_grace_period_ms,
        max_connection_age_ms=config.grpc_max_connection_age_ms,
        services=(),
    )
    http = HttpServer(
        runtime, address=config.http_address, grace_ms=config.http_grace_period_ms, n_threads=config.max_concurrent
    )
    runtime.group.add("grpc", grpc.start, grpc.stop)
    runtime.group.add("http", http.start, http.stop)
    runtime.log.info("starting query node")
    return grpc, http


def messages(err: str) -> list[str]:
    return [json.loads(line).get("msg", "") for line in err.splitlines()]


def test_a_role_starts_serves_and_stops_on_a_signal(role, capsys: pytest.CaptureFixture[str]):
    pages: list[bytes] = []

    def run(config: QueryConfig, runtime: Runtime) -> None:
        _, http = servers(config, runtime)

        def visit() -> None:
            runtime.probes.ready()
            pages.append(urllib.request.urlopen(f"http://{http.address}/-/ready", timeout=5).read())
            threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()

        runtime.group.add("visit", visit, lambda reason: None)

    role(run)
    assert main(ARGV) == 0
    assert pages == [b"OK"]
    assert messages(capsys.readouterr().err) == [
        "disabled TLS, key and cert must be set to enable",
        "starting query node",
        "listening for serving gRPC",
        "changing probe status",
        "listening for requests and metrics",
        "Listening on",
        "TLS is disabled.",
        "changing probe status",
        "caught signal. Exiting.",
        "changing probe status",
        "internal server is shutting down",
        "internal server is shutdown gracefully",
        "changing probe status",
        "internal server is shutting down",
        "gracefully stopping internal server",
        "internal server is shutdown gracefully",
        "exiting",
    ]


def test_a_failing_setup_and_a_failing_run_end_with_their_stage(role, capsys: pytest.CaptureFixture[str]):
    def setup_fails(config: QueryConfig, runtime: Runtime) -> None:
        raise DataError("bad block") from ValueError("byte 7")

    role(setup_fails)
    assert main(ARGV) == 1
    assert json.loads(capsys.readouterr().err)["err"] == "byte 7\nbad block\npreparing query command failed"

    role(lambda config, runtime: servers(config, runtime) and None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main([*ARGV[:2], f"--http-address={address}", *ARGV[3:]]) == 1
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert last["err"].split("\n") == [
        f"listen tcp {address}: bind: address already in use",
        "serve HTTP and metrics",
        "query command failed",
    ]


def test_the_runtime_carries_the_flags_for_status_pages(role):
    seen: list[Runtime] = []

    def run(config: QueryConfig, runtime: Runtime) -> None:
        seen.append(runtime)
        runtime.group.add_loop("nothing", lambda cancel: None)

    role(run)
    assert main([*ARGV, "--store=dns+a:1", "--query.timeout=90s"]) == 0
    assert seen[0].shown_flags["query.timeout"] == "1m30s"
    assert seen[0].shown_flags["endpoint"] == "dns+a:1"
    assert seen[0].flags["query.max-concurrent"] == 20


def test_a_process_ends_although_a_thread_does_not(tmp_path: Path):
    (tmp_path / "stuck.py").write_text(
        "import threading, time\n"
        "def run(config, runtime):\n"
        "    threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "    runtime.group.add_loop('nothing', lambda cancel: None)\n"
    )
    code = "from athanor.serve import main; main.ROLES['query'] = 'stuck'; main.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "query"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0
    assert "msg=exiting" in done.stderr


def test_help_and_errors_import_nothing_heavy():
    code = (
        "import sys; from athanor.serve.main import main; main(['athanor', 'query', '--help']); "
        "print([m for m in ('numpy', 'numba', 'grpc', 'aiohttp', 'uvloop', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", ROLES)
def test_every_flag_that_is_accepted_is_read_by_its_role(command: str):
    """A field that nothing reads is a flag accepted silently: wire it, or take it out of the configuration."""
    entry = ROOT / "serve" / f"{main_module.ROLES[command].rpartition('.')[2]}.py"
    if not entry.exists():
        pytest.skip(f"{entry.name} is not part of this checkout")
    config = CONFIGS[command]
    readers = [path for path in (ROOT / "serve").glob("*.py") if path.name not in ("config.py", "main.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in readers if not path.name.startswith("config_"))
    own = (ROOT / "serve" / f"config_{command}.py").read_text(encoding="utf-8")
    common = {"log_level", "log_format", "debug_name", "auto_gomemlimit_ratio"}  # read by main
    unread = [
        name
        for name, _ in sources(config)
        if name not in common
        and not re.search(rf"\bconfig\.{name}\b", text)
        and not re.search(rf"\bself\.{name}\b", own)
    ]
    assert unread == []
