"""The endpoints page in a browser."""

from __future__ import annotations

import re


def test_sick_endpoints_come_first_and_counts_are_per_type(page, server, fake):
    server.stores["sidecar"][1] |= {"lastError": "rpc error: code = Unavailable " + "x" * 400}
    page.goto(server.url + "/stores")
    rows = page.locator("table.stores tbody tr:not(.message-row)")
    rows.nth(2).wait_for()
    assert "10.0.0.6:10901" in rows.first.inner_text()
    assert "down" in rows.first.inner_text()
    assert page.locator(".summary").inner_text().split() == ["sidecar", "1/2", "up", "store", "1/1", "up"]
    assert "2 of 3" in page.get_by_test_id("stores-status").inner_text()
    assert page.title() == "Endpoints · query · Athanor"
    # A long message is cut to two lines, opens in place, and never widens the page.
    message = page.locator(".message")
    assert message.bounding_box()["height"] < 60
    page.get_by_role("button", name="more", exact=True).click()
    page.until("document.querySelector('.message').offsetHeight > 30")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_open_ends_are_unbounded_and_a_store_without_blocks_has_no_data(page, server, fake):
    server.stores = {
        "store": [
            fake.endpoint("a:1", minTime=-9223372036854775808, maxTime=9223372036854775807),
            fake.endpoint("b:1", minTime=9223372036854775807, maxTime=-9223372036854775808, labelSets=[]),
            fake.endpoint("c:1", minTime=1700000000000, maxTime=1700003600000),
        ]
    }
    page.goto(server.url + "/stores")
    rows = page.locator("table.stores tbody tr")
    rows.nth(2).wait_for()
    assert rows.nth(0).inner_text().count("unbounded") == 2
    assert "no data" in rows.nth(1).inner_text()
    assert "2023-11-14 22:13:20" in rows.nth(2).inner_text()
    assert "2023-11-14 23:13:20" in rows.nth(2).inner_text()


def test_filters_are_in_the_address_and_survive_a_reload(page, server):
    page.goto(server.url + "/stores")
    page.get_by_label("Filter endpoints").fill('replica="b"')
    page.until("document.querySelectorAll('table.stores tbody tr').length === 1")
    page.reload()
    page.until("document.querySelectorAll('table.stores tbody tr').length === 1")
    assert page.get_by_label("Filter endpoints").input_value() == 'replica="b"'
    page.get_by_label("Filter endpoints").fill("")
    page.locator(".summary-item", has_text="store").click()
    page.wait_for_url(re.compile("type=store"))
    assert page.locator("table.stores tbody tr").count() == 1
    page.go_back()
    page.until("document.querySelectorAll('table.stores tbody tr').length === 3")


def test_more_label_sets_open_on_demand(page, server, fake):
    server.stores = {"store": [fake.endpoint("a:1", labelSets=[{"replica": str(n)} for n in range(7)])]}
    page.goto(server.url + "/stores")
    page.locator(".label-set").nth(1).wait_for()
    assert page.locator(".label-set").count() == 2
    page.get_by_role("button", name="5 more").click()
    page.until("document.querySelectorAll('.label-set').length === 7")


def test_an_endpoint_that_goes_down_or_leaves_is_seen_within_ten_seconds(page, server):
    page.goto(server.url + "/stores")
    page.get_by_text("3 of 3 endpoints up").wait_for()
    server.stores["sidecar"][0]["lastError"] = "gone"
    page.get_by_text("2 of 3 endpoints up").wait_for(timeout=10_000)
    del server.stores["sidecar"][0]
    page.locator(".badge", has_text="left").wait_for(timeout=10_000)


def test_a_server_that_stops_answering_leaves_the_last_data_with_its_time(page, server):
    page.goto(server.url + "/stores")
    page.locator("table.stores").wait_for()
    server.stores_fail = True
    page.get_by_text(re.compile(r"Data from \d\d:\d\d:\d\d")).wait_for(timeout=10_000)
    assert page.locator("table.stores tbody tr").count() == 3
    server.stores_fail = False
    page.get_by_role("button", name="Retry").click()
    page.get_by_text(re.compile("Data from")).wait_for(state="detached")


def test_no_endpoints_says_how_to_get_some(page, server):
    server.stores = {}
    page.goto(server.url + "/stores")
    page.get_by_text("--endpoint=HOST:PORT").wait_for()


def test_five_hundred_endpoints_stay_below_100_rows(page, server, fake):
    server.stores = {"store": [fake.endpoint(f"store-{n}:10901") for n in range(500)]}
    page.goto(server.url + "/stores")
    page.locator("table.stores tbody tr").nth(50).wait_for()
    assert page.locator("table.stores tbody tr").count() <= 100
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    page.get_by_role("button", name="Next").click()
    page.locator("table.stores").get_by_text("store-90:10901", exact=True).wait_for()
