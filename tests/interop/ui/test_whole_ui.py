"""What holds for every page: prefixes, security policy, accessibility, size, themes, narrow screens."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from athanor.ui import assets

WEB = Path(assets.__file__).parent / "web"
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
GRAPH = "/graph?g0.expr=m&g0.tab=0&g0.range_input=1h&g0.end_input=2023-11-15%2012:00:00"


def answer(fake: Any) -> Any:
    """A graph of two series, or a vector of the same."""

    def reply(asked: Any) -> Any:
        if asked.path == "/api/v1/query":
            return fake.vector([({"__name__": "m", "a": "x"}, "1"), ({"__name__": "m", "a": "y"}, "2")])
        values = [(1700046000 + n * 60, str(n % 9)) for n in range(61)]
        return fake.matrix([({"__name__": "m", "a": "x"}, values), ({"__name__": "m", "a": "y"}, values)])

    return reply


# --- prefixes (check 15) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "external", "header", "header_value"),
    [
        ("/foo", "", "", ""),
        ("/bar", "/bar", "", ""),
        ("/pre", "", "X-Forwarded-Prefix", "/pre"),
        ("", "", "X-Forwarded-Prefix", "//evil.example/"),
        ("", "", "X-Forwarded-Prefix", "http://evil.example"),
    ],
)
def test_every_request_stays_below_the_prefix(browser, fake, prefix, external, header, header_value):
    server = fake.FakeQuery(prefix=prefix, external_prefix=external, prefix_header=header)
    server.stores = {"store": [fake.endpoint("a:1")]}
    server.answer = answer(fake)
    server.start()
    context = browser.new_context(extra_http_headers={header: header_value} if header else {})
    try:
        tab = context.new_page()
        urls: list[str] = []
        tab.on("request", lambda request: urls.append(request.url))
        tab.goto(server.url + GRAPH)
        tab.wait_for_selector(".chart canvas")
        tab.get_by_role("link", name="Endpoints", exact=True).click()
        tab.locator("table.stores").wait_for()
        assert tab.url.startswith(f"{server.url}/stores")
        tab.reload()
        tab.locator("table.stores").wait_for()
        assert [url for url in urls if not url.startswith((server.url + "/", "blob:", "data:"))] == []
    finally:
        context.close()
        server.stop()


# --- policy (check 16) and sizes (check 20) -------------------------------------------------------------------------


def test_the_policy_allows_no_inline_script_and_no_other_origin(page, server, fake):
    server.answer = answer(fake)
    response = page.goto(server.url + GRAPH)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "script-src" not in policy
    page.wait_for_selector(".chart canvas")
    page.evaluate("1")
    assert page.evaluate("[...document.scripts].every(script => script.src)")


def gzipped(paths: list[str]) -> int:
    """Bytes of these assets, compressed."""
    return sum(len(gzip.compress((assets.STATIC_DIR / path).read_bytes(), 9)) for path in paths)


def loaded(page: Any, server: Any) -> list[str]:
    """The scripts that the page fetched, as paths below the static directory."""
    urls = [url for url in page.watch.urls if url.endswith(".js")]
    return sorted({url[len(server.url) + 1 :] for url in urls})


def test_bundles_stay_within_their_budgets(page, server, fake):
    server.answer = answer(fake)
    page.goto(server.url + "/stores")
    page.locator("table.stores").wait_for()
    shell_bytes = gzipped(loaded(page, server))
    page.goto(server.url + GRAPH)
    page.wait_for_selector(".chart canvas")
    graph_bytes = gzipped(loaded(page, server))
    print("stores", shell_bytes, "graph", graph_bytes)
    assert shell_bytes <= 130_000
    assert graph_bytes <= 330_000


def test_the_title_says_page_or_expression(page, server):
    page.goto(server.url + "/graph?g0.expr=up")
    page.until("document.title === 'up · query · Athanor'")
    page.goto(server.url + "/graph")
    page.until("document.title === 'Graph · query · Athanor'")


def test_a_page_that_this_version_does_not_have_says_so(page, server):
    page.goto(server.url + "/alerts")
    page.get_by_text("No page at /alerts").wait_for()


# --- accessibility (checks 12 and 22) -------------------------------------------------------------------------------


STATES = ["full", "empty", "error"]


def axe_violations(tab: Any) -> list[str]:
    """What axe-core finds wrong with the page as it stands, for WCAG 2.2 A and AA."""
    tab.add_script_tag(path=str(AXE))
    found: list[str] = tab.evaluate(
        """async () => {
        const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
        const found = await axe.run(document, { runOnly: rules });
        const text = node => node.target + ' ' + node.failureSummary;
        return found.violations.map(v => v.id + ': ' + v.nodes.map(text).slice(0, 3).join(' | '));
        }"""
    )
    return found


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: run 'python -m athanor.ui.build'")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("path", ["graph", "table", "stores"])
def test_axe_finds_nothing(browser, server, fake, theme, state, path):
    if state == "full":
        server.answer = answer(fake)
        server.stores["sidecar"][0]["lastError"] = "rpc error: connection refused"
    elif state == "empty":
        server.answer = lambda asked: fake.matrix([]) if "range" in asked.path else fake.vector([])
        server.stores = {}
    else:
        server.answer = lambda asked: fake.Reply(
            '{"status":"error","errorType":"execution","error":"1:1: parse error"}', 422
        )
        server.stores_fail = True
    # The policy forbids foreign scripts; axe is one, so this context goes without.
    context = browser.new_context(color_scheme=theme, bypass_csp=True, viewport={"width": 1300, "height": 900})
    try:
        tab = context.new_page()
        address = "/stores" if path == "stores" else GRAPH if path == "graph" else GRAPH.replace("tab=0", "tab=1")
        tab.goto(server.url + address)
        wanted = (
            {"graph": ".chart canvas", "table": "table.data", "stores": "table.stores"}[path]
            if state == "full"
            else None
        )
        if wanted:
            tab.wait_for_selector(wanted)
        else:
            tab.wait_for_selector(".view-empty, .failed, .notice-line")
        tab.wait_for_timeout(300)
        assert axe_violations(tab) == []
    finally:
        context.close()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: run 'python -m athanor.ui.build'")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_open_menus_and_dialogs(browser, server, fake, theme):
    server.answer = answer(fake)
    context = browser.new_context(color_scheme=theme, bypass_csp=True, reduced_motion="reduce")
    try:
        tab = context.new_page()
        tab.goto(server.url + GRAPH)
        tab.wait_for_selector(".chart canvas")
        for name in ("Menu of panel 1", "All stores", "More"):
            tab.get_by_role("button", name=name, exact=True).click()
            tab.get_by_role("menu").wait_for()
            tab.wait_for_timeout(200)
            assert axe_violations(tab) == [], name
            tab.keyboard.press("Escape")
            tab.get_by_role("menu").wait_for(state="detached")
        for name, value in (("Keyboard shortcuts", ""), ("Time zone", "other")):
            if value:
                tab.get_by_label(name, exact=True).select_option(value)
            else:
                tab.get_by_role("button", name=name).click()
            tab.get_by_role("dialog").wait_for()
            tab.wait_for_timeout(200)
            assert axe_violations(tab) == [], name
            tab.keyboard.press("Escape")
            tab.get_by_role("dialog").wait_for(state="detached")
    finally:
        context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_series_colours_stand_out_from_the_background(browser, server, fake, theme):
    series = [({"n": str(n)}, [(1700046000 + i * 60, str(n)) for i in range(61)]) for n in range(8)]
    server.answer = lambda asked: fake.matrix(series)
    context = browser.new_context(color_scheme=theme)
    try:
        tab = context.new_page()
        tab.goto(server.url + GRAPH)
        tab.wait_for_selector(".legend .swatch")
        lowest = tab.evaluate(
            """() => {
            const channel = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const light = text => {
                const c = text.match(/[\\d.]+/g).slice(0, 3).map(v => channel(v / 255));
                return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
            };
            const back = light(getComputedStyle(document.querySelector('.panel')).backgroundColor);
            const lines = [...document.querySelectorAll('.legend .swatch line')];
            const ratios = lines.map(line => {
                const own = light(getComputedStyle(line).stroke);
                return (Math.max(own, back) + 0.05) / (Math.min(own, back) + 0.05);
            });
            return [Math.min(...ratios), new Set(lines.map(line => line.getAttribute('stroke'))).size];
            }"""
        )
        assert lowest[0] >= 3.0
        assert lowest[1] == 8
    finally:
        context.close()


def test_the_theme_is_remembered_under_the_key_of_thanos(page, server):
    page.goto(server.url + "/stores")
    page.get_by_role("button", name="Use dark theme").click()
    assert page.evaluate("localStorage.getItem('user-prefers-color-scheme')") == '"dark"'
    page.reload()
    assert page.evaluate("document.documentElement.dataset.mantineColorScheme") == "dark"
    page.get_by_role("button", name="Use browser-preferred theme").click()
    assert page.evaluate("localStorage.getItem('user-prefers-color-scheme')") == '"auto"'


@pytest.mark.parametrize("path", [GRAPH, GRAPH.replace("tab=0", "tab=1"), "/stores"])
@pytest.mark.parametrize("width", [320, 390, 768])
def test_narrow_screens_do_not_scroll_sideways(browser, server, fake, path, width):
    server.answer = answer(fake)
    context = browser.new_context(viewport={"width": width, "height": 800})
    try:
        tab = context.new_page()
        tab.goto(server.url + path)
        tab.wait_for_selector(".chart canvas, table.data")
        tab.wait_for_timeout(200)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        context.close()
