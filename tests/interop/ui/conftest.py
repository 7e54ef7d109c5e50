"""Fixtures of the browser tests: one Chromium, a page and a server for each test."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athanor.ui import assets

GOLDEN = Path(__file__).parents[2] / "golden" / "ui" / "http.json"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def load(name: str) -> Any:
    """A module that stands beside the tests; they are imported by path, so there is no package to import it from."""
    spec = importlib.util.spec_from_file_location(f"ui_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fake_query = load("fake_query")


@pytest.fixture(scope="session")
def fake() -> Any:
    """The module with the answers that tests put together."""
    return fake_query


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Answers of a real Thanos, by name."""
    cases: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
    return cases


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium of the machine."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    if not assets.is_built():
        pytest.skip("the web UI is not built: run 'python -m athanor.ui.build'")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def server() -> Iterator[Any]:
    """A running server with three endpoints; a test that needs a prefix makes its own."""
    fake_server = fake_query.FakeQuery(
        stores={
            "sidecar": [
                fake_query.endpoint("10.0.0.5:10901", minTime=1700000000000),
                fake_query.endpoint("10.0.0.6:10901", "b", minTime=1700000000000),
            ],
            "store": [fake_query.endpoint("10.0.0.9:10901", minTime=1690000000000, maxTime=1700003600000)],
        }
    )
    fake_server.start()
    yield fake_server
    fake_server.stop()


class Watch:
    """What a page did that it must not do: errors, blocked resources, requests to other hosts."""

    def __init__(self, page: Any) -> None:
        self.errors: list[str] = []
        self.urls: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(f"page error: {error}"))
        page.on("console", self._console)
        page.on("request", lambda request: self.urls.append(request.url))

    def _console(self, message: Any) -> None:
        # The browser itself reports every answer of 400 and more; tests of errors cause them on purpose.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)


def until(page: Any, expression: str, timeout_ms: int = 10_000) -> None:
    """Waits for a JavaScript expression; Playwright's own wait evaluates inside the page, which the policy forbids."""
    for _ in range(timeout_ms // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not true after {timeout_ms} ms: {expression}")


@pytest.fixture
def page(browser: Any, server: Any) -> Iterator[Any]:
    """A fresh page at 1400x900 in UTC; the test fails when the page logs an error or leaves its origin."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, timezone_id="UTC", reduced_motion="reduce")
    tab = context.new_page()
    tab.set_default_timeout(10_000)
    watch = Watch(tab)
    tab.watch = watch
    tab.until = lambda expression, timeout_ms=10_000: until(tab, expression, timeout_ms)
    yield tab
    context.close()
    assert watch.errors == []
    origin = "/".join(server.url.split("/")[:3])
    assert [url for url in watch.urls if not url.startswith((origin, "blob:", "data:"))] == []
