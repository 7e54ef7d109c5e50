"""The graph page in a browser: links, requests, results, failures, times, keys."""

from __future__ import annotations

import random
import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

THANOS_KEYS = [
    ("g0.expr", 'sum by (job) (rate(http_requests_total{code="500"}[5m]))'),
    ("g0.tab", "0"),
    ("g0.stacked", "0"),
    ("g0.range_input", "6h"),
    ("g0.max_source_resolution", "5m"),
    ("g0.deduplicate", "0"),
    ("g0.partial_response", "0"),
    ("g0.store_matches", '[{"name":"10.0.0.5:10901"}]'),
    ("g0.engine", "thanos"),
    ("g0.analyze", "0"),
    ("g0.tenant", ""),
    ("g0.end_input", "2023-11-15 12:00:00"),
    ("g0.moment_input", "2023-11-15 12:00:00"),
    ("g0.step_input", "60"),
]
NOON = 1700049600  # 2023-11-15 12:00:00 UTC



def link(pairs: list[tuple[str, str]]) -> str:
    """A query string as Thanos encodes it."""
    return "?" + "&".join(f"{key}={quote(value, safe='()!*~')}" for key, value in pairs)


def range_link(expr: str = "m", end: str = "2023-11-15 12:00:00", range_: str = "1h", **more: str) -> str:
    """A link to a graph."""
    pairs = [("expr", expr), ("tab", "0"), ("range_input", range_), ("end_input", end), *more.items()]
    return link([(f"g0.{key}", value) for key, value in pairs])


def wave(fake: Any, n_series: int = 3, n_points: int = 61, start: float = NOON - 3600, step: float = 60) -> Any:
    """A matrix of slow waves."""
    series = [
        ({"__name__": "m", "n": str(n)}, [(start + i * step, str(n * 10 + i % 7)) for i in range(n_points)])
        for n in range(n_series)
    ]
    return fake.matrix(series)


def wait_for_queries(server: Any, page: Any, n: int) -> list[Any]:
    """The query requests, once there are n of them."""
    for _ in range(100):
        if len(server.queries()) >= n:
            break
        page.wait_for_timeout(50)
    assert len(server.queries()) >= n, [asked.pairs for asked in server.queries()]
    return server.queries()  # type: ignore[no-any-return]


def open_graph(page: Any, server: Any, query: str, *, drawn: bool = True) -> None:
    """Opens the graph page and waits for the chart."""
    page.goto(server.url + "/graph" + query)
    if drawn:
        page.wait_for_selector(".chart canvas")


# --- links and requests (checks 1 to 3) -----------------------------------------------------------------------------


def test_a_link_of_thanos_sends_the_very_request_of_thanos(page, server, fake):
    server.answer = lambda asked: wave(fake)
    open_graph(page, server, link(THANOS_KEYS))
    [asked] = wait_for_queries(server, page, 1)
    assert asked.path == "/api/v1/query_range"
    assert asked.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert asked.pairs == [
        ("query", 'sum by (job) (rate(http_requests_total{code="500"}[5m]))'),
        ("dedup", "false"),
        ("partial_response", "false"),
        ("storeMatch[]", '{__address__="10.0.0.5:10901"}'),
        ("start", str(NOON - 6 * 3600)),
        ("end", str(NOON)),
        ("step", "60"),
        ("max_source_resolution", "5m"),
        ("engine", "thanos"),
        ("analyze", "false"),
        ("tenant", ""),
    ]
    # The address is in the form that Thanos writes, and opening it again asks for the same.
    assert parse_qsl(urlsplit(page.url).query, keep_blank_values=True) == THANOS_KEYS
    page.goto(page.url)
    first, second = wait_for_queries(server, page, 2)
    assert second.pairs == first.pairs


def test_the_table_of_a_rule_link_sends_an_instant_query_at_now(page, server):
    page.goto(server.url + "/graph?g0.expr=up&g0.tab=1&g0.stacked=0&g0.range_input=1h")
    [asked] = wait_for_queries(server, page, 1)
    assert asked.path == "/api/v1/query"
    assert [key for key, _ in asked.pairs] == [
        "query",
        "dedup",
        "partial_response",
        "time",
        "engine",
        "analyze",
        "tenant",
    ]
    assert dict(asked.pairs) | {"time": ""} == {
        "query": "up",
        "dedup": "true",
        "partial_response": "true",
        "time": "",
        "engine": "thanos",
        "analyze": "false",
        "tenant": "",
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('?g0.expr=up{job="x"}', {"query": 'up{job="x"}'}),
        ("?g0.tab=0&g0.range_input=2h&g0.expr=up&g0.end_input=1700049600", {"start": str(NOON - 7200)}),
        ("?g1.expr=up", {"query": "up"}),
        ("?g0.expr=up&g0.end_input=2023-11-15T12:00:00Z", {"time": str(NOON)}),
        ("?g0.expr=up&g0.end_input=1700049600000", {"time": str(NOON)}),
        (
            "?g0.expr=up&g0.show_tree=0&g0.tab=graph&g0.range_input=1h&g0.end_input=2023-11-15+12%3A00%3A00"
            "&g0.res_type=fixed&g0.res_step=30&g0.display_mode=lines",
            {"step": "30", "end": str(NOON), "start": str(NOON - 3600)},
        ),
        (
            "?g0.range_input=1h&g0.end_input=2023-11-15%2012%3A00&g0.expr=up&g0.tab=0",
            {"query": "up", "end": str(NOON), "start": str(NOON - 3600), "step": "15"},
        ),
    ],
)
def test_links_of_every_dialect_ask_for_what_they_say(page, server, fake, query, expected):
    server.answer = lambda asked: wave(fake) if "range" in asked.path else fake.vector([({"__name__": "up"}, "1")])
    page.goto(server.url + "/graph" + query)
    [asked] = wait_for_queries(server, page, 1)
    assert {key: asked.value(key) for key in expected} == expected


@pytest.mark.parametrize(
    "part", ["g0.range_input=soon", "g0.end_input=yesterday", "g0.store_matches=%5B%7Bbroken", "g0.step_input=x"]
)
def test_what_a_link_says_wrong_is_left_out_with_a_visible_note(page, server, part):
    page.goto(f"{server.url}/graph?g0.expr=up&{part}")
    wait_for_queries(server, page, 1)
    assert "was not understood and left out" in page.locator(".notice-line").inner_text()
    assert "nvalid" not in page.url


def test_random_query_strings_cause_no_page_error(page, server):
    rng = random.Random(11)
    words = ["g0.", "g1.", "expr", "tab", "range_input", "end_input", "store_matches", "=", "&", "%", "%7B", "+", '"']
    words += ["{", "}", "[", "]", "1h", "up", "0", "1", "NaN", "é", "hide", "view", "tz", "refresh", "json"]
    page.goto(server.url + "/graph")
    page.wait_for_selector(".cm-content")
    for _ in range(500):
        text = "".join(rng.choice(words) for _ in range(rng.randint(0, 25)))
        page.evaluate(
            "text => { history.pushState(null, '', '?' + text); dispatchEvent(new PopStateEvent('popstate')) }", text
        )
    page.wait_for_selector(".cm-content")
    assert page.locator("text=This page failed").count() == 0


def test_switches_are_in_the_request_and_in_the_address_and_back_restores_them(page, server):
    page.goto(server.url + "/graph?g0.expr=up")
    wait_for_queries(server, page, 1)
    page.get_by_label("Deduplicate").uncheck()
    page.get_by_label("Partial response").uncheck()
    queries = wait_for_queries(server, page, 3)
    assert [(q.value("dedup"), q.value("partial_response")) for q in queries] == [
        ("true", "true"),
        ("false", "true"),
        ("false", "false"),
    ]
    assert "g0.deduplicate=0" in page.url
    assert "g0.partial_response=0" in page.url
    page.go_back()
    page.go_back()
    wait_for_queries(server, page, 5)
    assert page.get_by_label("Deduplicate").is_checked()
    assert "g0.deduplicate=1" in page.url


def test_a_drag_over_the_graph_zooms_to_whole_steps_and_the_address_says_the_same(page, server, fake):
    server.answer = lambda asked: wave(fake)
    open_graph(page, server, range_link())
    box = page.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 120, steps=4)
    page.mouse.up()
    asked = wait_for_queries(server, page, 2)[1]
    start, end = float(asked.value("start")), float(asked.value("end"))
    assert (end - start) % 15 == 0  # the step of a range of one hour
    assert end % 15 == 0
    assert 14 * 60 <= end - start <= 16 * 60
    page.reload()
    again = wait_for_queries(server, page, 3)[2]
    assert (again.value("start"), again.value("end")) == (asked.value("start"), asked.value("end"))


def test_a_typed_step_beyond_11000_points_is_raised_and_says_so(page, server, fake):
    server.answer = lambda asked: wave(fake)
    open_graph(page, server, range_link(range_="1d", step_input="1"))
    [asked] = wait_for_queries(server, page, 1)
    assert asked.value("step") == "8"
    assert "raised from 1s" in page.get_by_test_id("statistics").inner_text()


def test_two_panels_run_together_and_removing_the_first_renumbers_the_second(page, server):
    page.goto(server.url + "/graph?g0.expr=a&g1.expr=b")
    assert {q.value("query") for q in wait_for_queries(server, page, 2)} == {"a", "b"}
    page.get_by_label("Menu of panel 1").click()
    page.get_by_role("menuitem", name="Remove panel").click()
    page.wait_for_url(re.compile(r"g0\.expr=b"))
    assert "g1.expr" not in page.url


# --- results --------------------------------------------------------------------------------------------------------


def test_the_table_shows_a_column_per_label_that_differs_and_sorts(page, server, golden):
    server.answer = lambda asked: _golden(golden["rate"], server)
    page.goto(server.url + "/graph?g0.expr=x")
    table = page.locator("table.data")
    table.wait_for()
    assert table.locator("thead th").all_inner_texts() == ["instance", "mode", "value"]
    table.get_by_role("button", name="value").click()
    assert table.locator("tbody tr").first.locator("td").all_inner_texts()[:3] == ["b", "idle", "0.77"]
    assert table.locator("th").nth(2).get_attribute("aria-sort") == "descending"
    title = table.locator("tbody tr").first.locator("td").nth(2).get_attribute("title")
    assert title == "0.7699999999999997"  # the text as sent


def _golden(case: dict[str, Any], server: Any) -> Any:
    import sys

    return sys.modules[type(server).__module__].Reply(case["body"], case["status"])


def test_a_range_selector_in_the_table_lists_its_samples(page, server, golden):
    server.answer = lambda asked: _golden(golden["engine_thanos_range_selector"], server)
    page.goto(server.url + "/graph?g0.expr=demo_temp[1m]")
    page.locator("table.data tbody tr").nth(7).wait_for()
    assert "20.625" in page.locator("table.data").inner_text()
    assert "2023-11-14 22:13:35" in page.locator("table.data").inner_text()


def test_labels_and_errors_with_markup_stay_text(page, server, golden, fake):
    server.answer = lambda asked: _golden(golden["html_label"], server)
    page.goto(server.url + "/graph?g0.expr=demo_odd")
    page.locator("table.data").wait_for()
    assert 'html <b>&"q" \\ é' in page.locator("table.data").inner_text()
    evil = "<img src=x onerror=document.title=1>"
    server.answer = lambda asked: fake.matrix([({"a": evil}, [(NOON, "1")]), ({"a": "b"}, [(NOON, "2")])], [evil])
    open_graph(page, server, range_link(evil))
    assert evil in page.locator(".legend").inner_text()
    assert evil in page.locator(".warnings").inner_text()
    server.answer = lambda asked: fake.Reply(
        '{"status":"error","errorType":"execution","error":"<img src=x onerror=alert(1)>"}', 422
    )
    page.get_by_role("button", name="Run").click()
    assert "<img src=x" in page.get_by_role("alert").inner_text()
    assert page.locator("main img").count() == 0


def shown_after_ms(page: Any) -> float:
    """From the last byte of the answer to the picture or table: reading it, handing it over, drawing it."""
    page.until("performance.getEntriesByName('athanor:drawn').length > 0", 60_000)
    took: float = page.evaluate(
        """() => {
        const [answer] = performance.getEntriesByName('athanor:answer');
        const [drawn] = performance.getEntriesByName('athanor:drawn');
        return drawn.startTime - answer.startTime + answer.detail;
        }"""
    )
    return took


@pytest.mark.alone
def test_ten_thousand_series_show_at_once_with_few_nodes_and_scroll_to_the_end(page, server, fake):
    rows = [({"__name__": "m", "n": f"{n:05d}"}, str(n)) for n in range(10_000)]
    server.answer = lambda asked: fake.vector(rows)
    page.goto(server.url + "/graph?g0.expr=m")
    page.locator("table.data tbody tr").nth(5).wait_for()
    shown_ms = shown_after_ms(page)
    print("10 000 rows shown after", shown_ms, "ms")
    assert shown_ms < 1500
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    scroll = page.locator(".table-scroll")
    scroll.evaluate("element => { element.scrollTop = element.scrollHeight }")
    page.locator("table.data td", has_text="09999").first.wait_for()
    assert page.locator("table.data tbody tr").count() <= 100


def test_a_spike_of_one_sample_in_11000_points_is_drawn(page, server, fake):
    def answer(asked: Any) -> Any:
        start = float(asked.value("start"))
        values = [(start + n, "5" if n != 5432 else "1000") for n in range(10_801)]
        return fake.matrix([({"__name__": "m"}, values)])

    server.answer = answer
    open_graph(page, server, range_link(range_="3h", step_input="1"))
    page.wait_for_timeout(200)
    top = page.evaluate(PIXELS_IN_ROWS, [0.05, 0.15])
    assert top > 0  # something is drawn between 5 % and 15 % below the top: only the spike reaches there
    middle = page.evaluate(PIXELS_IN_ROWS, [0.9, 1.0])
    assert middle > 0


# Counts the pixels of the plot that have a strong colour, in a band of rows given as shares of its height.
PIXELS_IN_ROWS = """([from, to]) => {
    const canvas = document.querySelector('.chart .u-wrap > canvas');
    const over = document.querySelector('.chart .u-over').getBoundingClientRect();
    const box = canvas.getBoundingClientRect();
    const k = canvas.width / box.width;
    const context = canvas.getContext('2d');
    const y = Math.round((over.top - box.top + over.height * from) * k);
    const height = Math.round(over.height * (to - from) * k);
    const data = context.getImageData((over.left - box.left) * k, y, over.width * k, height).data;
    let n = 0;
    for (let i = 0; i < data.length; i += 4) {
        const low = Math.min(data[i], data[i + 1], data[i + 2]);
        const high = Math.max(data[i], data[i + 1], data[i + 2]);
        if (data[i + 3] > 120 && high - low > 40) n++;
    }
    return n;
}"""

PIXELS_IN_COLUMNS = (
    PIXELS_IN_ROWS.replace(
        "const y = Math.round((over.top - box.top + over.height * from) * k);",
        "const y = Math.round((over.top - box.top) * k);"
        "const x = Math.round((over.left - box.left + over.width * from) * k);",
    )
    .replace(
        "const height = Math.round(over.height * (to - from) * k);",
        "const height = Math.round(over.height * k); const width = Math.round(over.width * (to - from) * k);",
    )
    .replace("(over.left - box.left) * k, y, over.width * k, height", "x, y, width, height")
)


def test_missing_steps_are_not_bridged_and_a_lone_sample_is_visible(page, server, fake):
    start = NOON - 3600
    values = (
        [(start + n * 60, "1") for n in range(10)]
        + [(start + 30 * 60, "2")]
        + [(start + n * 60, "1") for n in range(50, 61)]
    )
    server.answer = lambda asked: fake.matrix([({"__name__": "m"}, values)])
    open_graph(page, server, range_link(step_input="60"))
    page.wait_for_timeout(200)
    assert page.evaluate(PIXELS_IN_COLUMNS, [0.02, 0.14]) > 0
    assert page.evaluate(PIXELS_IN_COLUMNS, [0.2, 0.45]) == 0
    assert page.evaluate(PIXELS_IN_COLUMNS, [0.49, 0.51]) > 0
    assert page.evaluate(PIXELS_IN_COLUMNS, [0.55, 0.8]) == 0


@pytest.mark.alone
def test_a_thousand_series_of_11000_points_are_drawn_without_blocking_the_page(page, server, fake):
    def answer(asked: Any) -> Any:
        start = int(float(asked.value("start")))
        parts = []
        samples = [",".join(f'[{start + n},"{(n * k) % 97}"]' for n in range(10_801)) for k in (3, 5, 7, 11)]
        for row in range(1000):
            parts.append(f'{{"metric":{{"__name__":"m","n":"{row}"}},"values":[{samples[row % 4]}]}}')
        body = '{"status":"success","data":{"resultType":"matrix","result":[' + ",".join(parts) + '],"analysis":{}}}'
        return fake.Reply(body)

    server.answer = answer
    page.set_default_timeout(60_000)
    page.add_init_script(
        """window.longTasks = [];
        const observer = new PerformanceObserver(list => list.getEntries().forEach(e => longTasks.push(e.duration)));
        observer.observe({ type: 'longtask', buffered: true });"""
    )
    open_graph(page, server, range_link(range_="3h", step_input="1"))
    page.wait_for_timeout(1500)
    text = page.locator(".limited").inner_text()
    assert "of 1\u2009000 series" in text
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    longest = page.evaluate("Math.max(0, ...longTasks)")
    shown_ms = shown_after_ms(page)
    print("1000 x 10 801 points drawn after", shown_ms, "ms; longest task", longest, "ms")
    assert shown_ms < 2500
    assert longest < 200
    page.locator(".legend tbody tr").nth(3).hover()
    page.wait_for_selector(".chart .is-faded")


# --- failures (checks 10 and 11) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "content_type", "body", "words"),
    [
        (
            422,
            "application/json",
            '{"status":"error","errorType":"execution","error":"many-to-many"}',
            "execution many-to",
        ),
        (
            503,
            "application/json",
            '{"status":"error","errorType":"timeout","error":"query timed out"}',
            "--query.timeout",
        ),
        (200, "application/json", '{"status":"succ', "not JSON"),
        (502, "text/html", "<html>bad gateway</html>", "HTTP 502"),
        (401, "text/html", "<html>login</html>", "login"),
    ],
)
def test_a_failure_has_text_and_retry_and_the_old_result_stays_marked_old(
    page, server, fake, status, content_type, body, words
):
    server.answer = lambda asked: fake.vector([({"__name__": "up", "job": "old"}, "1")])
    page.goto(server.url + "/graph?g0.expr=up")
    page.locator("table.data").wait_for()
    server.answer = lambda asked: fake.Reply(body, status, content_type)
    page.get_by_role("button", name="Run").click()
    alert = page.locator(".failed")
    alert.wait_for()
    assert words in alert.inner_text()
    assert "old result" in page.get_by_test_id("statistics").inner_text()
    assert "is-old" in (page.locator(".view").get_attribute("class") or "")
    assert page.locator("table.data").count() == 1
    server.answer = lambda asked: fake.vector([({"__name__": "up", "job": "new"}, "2")])
    alert.get_by_role("button", name="Retry").click()
    alert.wait_for(state="detached")
    assert "old result" not in page.get_by_test_id("statistics").inner_text()


def test_a_parse_error_is_shown_with_a_caret_at_its_position(page, server, golden):
    server.answer = lambda asked: _golden(golden["bad_regex"], server)
    page.goto(server.url + "/graph?g0.expr=" + quote('demo_temp{instance=~"("}'))
    page.locator(".caret").wait_for()
    assert page.locator(".caret").inner_text().split("\n")[1].index("^") == 10  # 1:11


def test_a_slow_answer_does_not_replace_the_one_asked_for_after_it(page, server, fake):
    def answer(asked: Any) -> Any:
        reply = fake.vector([({"__name__": asked.value("query")}, "1")])
        reply.delay_s = 1.5 if asked.value("query") == "slow" else 0
        return reply

    server.answer = answer
    page.goto(server.url + "/graph?g0.expr=slow")
    wait_for_queries(server, page, 1)
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("fast ")
    page.keyboard.press("Enter")
    page.locator("table.data", has_text="fast").wait_for()
    page.wait_for_timeout(1800)
    assert "fast" in page.locator("table.data").inner_text()


def test_a_hanging_query_can_be_cancelled_after_a_second(page, server, fake):
    def answer(asked: Any) -> Any:
        reply = fake.vector([])
        reply.delay_s = 20
        return reply

    server.answer = answer
    page.goto(server.url + "/graph?g0.expr=slow")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Run").wait_for()


def test_an_empty_result_says_what_was_asked_and_where_the_data_is(page, server, fake):
    server.answer = lambda asked: fake.vector([])
    for stores in server.stores.values():
        for entry in stores:
            entry["maxTime"] = 1700003600000
    page.goto(server.url + "/graph?g0.expr=nothing")
    empty = page.locator(".view-empty")
    empty.get_by_text("No series match").wait_for()
    empty.get_by_text("The newest data of all endpoints is from 2023-11-14 23:13:20 UTC.").wait_for()


# --- coverage (check 4) ---------------------------------------------------------------------------------------------


def test_a_killed_store_is_missing_from_the_coverage_also_when_the_answer_has_no_warning(page, server, golden):
    import json

    before = json.loads(golden["stores_before"]["body"])["data"]
    after = json.loads(golden["stores_after"]["body"])["data"]
    server.stores = before
    server.answer = lambda asked: _golden(golden["silent"], server)
    page.goto(server.url + "/graph?g0.expr=demo_temp")
    coverage = page.get_by_test_id("coverage")
    coverage.get_by_text("2 of 2 endpoints answered").wait_for()
    # At once: the answer names the endpoint, the endpoint list does not know yet.
    server.answer = lambda asked: _golden(golden["warned"], server)
    page.get_by_role("button", name="Run").click()
    coverage.get_by_text("1 of 2 endpoints answered").wait_for()
    assert "store 127.0.0.1:21310 did not answer this query" in coverage.inner_text()
    # Later: no warning any more, and still not complete.
    server.stores = after
    server.answer = lambda asked: _golden(golden["silent"], server)
    page.get_by_role("button", name="Run").click()
    page.locator(".warnings").wait_for(state="detached")
    coverage.get_by_text("store 127.0.0.1:21310 down since 02:43:02").wait_for(timeout=10_000)
    assert "1 of 2 endpoints answered" in coverage.inner_text()
    assert "1 of 2 endpoints up" in page.locator(".pill").inner_text()
    # And when it has left the list altogether, this visit remembers it.
    server.stores = {"store": after["store"][:1]}
    coverage.get_by_text("left the set at").wait_for(timeout=10_000)
    assert "1 of 2 endpoints answered" in coverage.inner_text()


def test_information_about_the_query_is_no_sign_of_a_partial_answer(page, server, golden):
    server.answer = lambda asked: _golden(golden["infos"], server)
    page.goto(server.url + "/graph?g0.expr=rate(demo_temp[1m])")
    page.locator(".warnings li", has_text="might not be a counter").wait_for()
    assert "state-ok" in page.get_by_test_id("coverage").get_attribute("class")


# --- completion (check 9) -------------------------------------------------------------------------------------------


def test_completion_asks_for_at_most_1000_names_that_contain_the_typed_letters(page, server):
    server.names = [f"metric_{n:06d}_seconds_total" for n in range(150_000)] + ["http_requests_total"]
    page.goto(server.url + "/graph")
    page.locator(".cm-content").click()
    page.keyboard.type("sum(rate(http_requ", delay=40)
    option = page.locator(".cm-tooltip-autocomplete li", has_text="http_requests_total")
    option.wait_for()
    page.wait_for_timeout(500)  # the editor ignores Enter while a list is new, and a late answer opens it anew
    page.keyboard.press("Enter")
    assert page.locator(".cm-content").inner_text().strip() == "sum(rate(http_requests_total))"
    asked = [a for a in server.asked if a.path == "/api/v1/label/__name__/values"]
    assert asked
    assert all(int(a.value("limit")) <= 1000 for a in asked)
    assert all('__name__=~"(?i).*' in a.value("match[]") for a in asked if a.value("match[]"))
    assert len(asked) < 12  # not one request per letter


@pytest.mark.alone
def test_typing_stays_quick_with_150000_names(page, server):
    server.names = [f"metric_{n:06d}_seconds_total" for n in range(150_000)]
    page.goto(server.url + "/graph")
    page.locator(".cm-content").click()
    page.evaluate(
        """() => {
        window.slowest = 0;
        const note = entry => { window.slowest = Math.max(window.slowest, entry.duration) };
        new PerformanceObserver(list => list.getEntries().forEach(note)).observe({ type: 'longtask' });
        }"""
    )
    page.keyboard.type("metric_00_seconds_to", delay=30)
    page.wait_for_timeout(500)
    assert page.evaluate("window.slowest") < 200


# --- keyboard and time zones (checks 13 and 14) ---------------------------------------------------------------------


def test_the_keyboard_alone_runs_a_query_and_changes_the_range(page, server, fake):
    server.answer = lambda asked: wave(fake) if "range" in asked.path else fake.vector([({"__name__": "up"}, "1")])
    page.goto(server.url + "/graph")
    page.locator(".cm-content").wait_for()
    page.until("document.activeElement?.classList.contains('cm-content')")  # focused on load
    page.keyboard.type("up ")
    page.keyboard.press("Enter")
    wait_for_queries(server, page, 1)
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    wait_for_queries(server, page, 2)
    page.keyboard.press("-")
    queries = wait_for_queries(server, page, 3)
    assert float(queries[2].value("end")) - float(queries[2].value("start")) == 7200
    page.keyboard.press("[")
    moved = wait_for_queries(server, page, 4)[3]
    assert abs(float(queries[2].value("end")) - float(moved.value("end")) - 3600) < 10
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("Keyboard shortcuts").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.get_by_role("heading", name="Endpoints").wait_for()


def test_the_chart_is_read_and_zoomed_with_the_arrow_keys(page, server, fake):
    server.answer = lambda asked: wave(fake, n_series=1)
    open_graph(page, server, range_link(step_input="60"))
    page.locator(".chart-focus").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.locator(".graph-view > [aria-live=polite]", has_text="2023-11-15 11:02:00").wait_for(state="attached")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    asked = wait_for_queries(server, page, 2)[1]
    assert (int(asked.value("start")), int(asked.value("end"))) == (NOON - 3600 + 120, NOON - 3600 + 720)


@pytest.mark.parametrize(
    ("zone", "shown", "first_tick"),
    [("Asia/Kolkata", "2023-11-15 17:30:00", "16:30"), ("America/New_York", "2023-11-15 07:00:00", "06:00")],
)
def test_axis_field_and_table_show_the_chosen_zone_and_the_address_stays_utc(
    page, server, fake, zone, shown, first_tick
):
    server.answer = lambda asked: wave(fake)
    open_graph(page, server, range_link() + "&tz=" + quote(zone, safe=""))
    assert page.get_by_label(re.compile("End time")).nth(1).input_value() == shown
    assert quote("2023-11-15 12:00:00") in page.url
    box = page.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 50)
    tooltip = page.locator(".tooltip-time")
    tooltip.wait_for()
    assert first_tick in tooltip.inner_text()
    field = page.get_by_label(re.compile("End time")).nth(1)
    field.fill(shown.replace(":00:00", ":15:00").replace(":30:00", ":45:00"))
    field.press("Enter")
    asked = wait_for_queries(server, page, 2)[1]
    assert int(asked.value("end")) == NOON + 900
    assert quote("2023-11-15 12:15:00") in page.url


def test_a_range_across_a_change_of_the_clocks_has_its_true_length(page, server, fake):
    server.answer = lambda asked: wave(fake, start=1699142400)
    open_graph(page, server, range_link(end="2023-11-05 12:00:00", range_="12h") + "&tz=America%2FNew_York")
    assert page.get_by_label(re.compile("End time")).nth(1).input_value() == "2023-11-05 07:00:00"
    [asked] = wait_for_queries(server, page, 1)
    assert int(asked.value("end")) - int(asked.value("start")) == 12 * 3600


def test_the_legend_isolates_hides_and_sorts_and_the_address_keeps_it(page, server, fake):
    server.answer = lambda asked: wave(fake, n_series=4)
    open_graph(page, server, range_link())
    legend = page.locator(".legend")
    legend.get_by_role("button", name="max").click()
    assert 'n="3"' in legend.locator("tbody tr").first.inner_text()
    legend.locator("tbody tr").first.get_by_role("button").click()
    page.until("document.querySelectorAll('.legend tr.is-off').length === 3")
    page.reload()
    page.wait_for_selector(".chart canvas")
    assert page.locator(".legend tr.is-off").count() == 3
    page.get_by_role("button", name="Show all series").click()
    page.until("document.querySelectorAll('.legend tr.is-off').length === 0")
    assert len(server.queries()) == 2  # only the reload asked again


def test_the_refresh_clock_asks_again_and_never_aborts_a_slow_query(page, server, fake):
    def answer(asked: Any) -> Any:
        reply = fake.vector([({"__name__": "up"}, str(len(server.queries())))])
        reply.delay_s = 2.5
        return reply

    server.answer = answer
    page.goto(server.url + "/graph?g0.expr=up&refresh=1s")
    page.locator("table.data").wait_for()
    assert page.locator("table.data tbody tr td.number").inner_text() == "1"
    wait_for_queries(server, page, 2)


def test_the_first_visit_offers_expressions_from_the_names_of_the_server(page, server):
    page.goto(server.url + "/graph")
    page.get_by_role("button", name="sum by (job) (rate(http_requests_total[5m]))").click()
    [asked] = wait_for_queries(server, page, 1)
    assert asked.value("query") == "sum by (job) (rate(http_requests_total[5m]))"
    assert page.locator(".cm-content").inner_text() == "sum by (job) (rate(http_requests_total[5m]))"
