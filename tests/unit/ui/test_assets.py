"""Which bytes and headers belong to a path of the web UI."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from athanor.model.errors import OperatorError
from athanor.ui import assets

INDEX = """<!doctype html>
<html><head><title>Athanor</title>
<link rel="icon" href="./favicon.svg" /><script src="./boot.js"></script>
<script type="module" crossorigin src="./static/index-BxY12_3a.js"></script></head><body></body></html>
"""


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A small built application."""
    (tmp_path / "static").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / ".stamp").write_text("secret")
    (tmp_path / "static" / "index-BxY12_3a.js").write_text("code" * 1000)
    (tmp_path / "static" / "index-BxY12_3a.js.gz").write_bytes(b"gzipped code")
    return tmp_path


def config_of(page: assets.Asset) -> dict[str, str]:
    """The variables that a page carries."""
    match = re.search(r'name="athanor-config" content="([^"]*)"', page.body.decode())
    assert match is not None
    config: dict[str, str] = json.loads(html.unescape(match[1]))
    return config


@pytest.mark.parametrize(
    ("external", "header", "expected"),
    [
        ("", None, ""),
        ("", "/pre", "/pre"),
        ("", "/pre/", "/pre"),
        ("", "http://h/a//b/../c/", "/a/c"),
        ("", "pre", "/pre"),
        ("", "/", ""),
        ("/bar", None, "/bar"),
        ("/bar", "/pre", "/bar"),
        ("http://example.org/ext/p/", None, "/ext/p"),
        # A header must not send the assets to another host.
        ("", "//evil.example", ""),
        ("", "//evil.example/x", "/x"),
        ("", "http:////evil.example", "/evil.example"),
        ("", "/%2f%2fevil", "/evil"),
        ("", "/\\evil", "/evil"),
        ("", "http://[", ""),
    ],
)
def test_the_prefix_is_the_clean_path_of_flag_or_header(external, header, expected):
    assert assets.path_prefix(external, header) == expected


def test_the_page_carries_the_variables_of_thanos_and_relative_links_without_a_prefix(static):
    page = assets.index_page(assets.PageVariables(query_url="http://localhost:10902"), static)
    assert config_of(page) == {
        "pathPrefix": "",
        "component": "query",
        "queryURL": "http://localhost:10902",
        "tenantHeader": "THANOS-TENANT",
        "defaultTenant": "default-tenant",
        "displayTenantBox": "none",
    }
    assert 'src="./static/index-BxY12_3a.js"' in page.body.decode()
    headers = page.headers()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")


def test_links_of_the_page_begin_with_the_prefix_and_nothing_in_it_becomes_markup(static):
    prefix = assets.path_prefix('/a"><script>')
    page = assets.index_page(assets.PageVariables(path_prefix=prefix, component='"><b>', shows_tenant_box=True), static)
    text = page.body.decode()
    assert 'src="/a&quot;&gt;&lt;script&gt;/static/index-BxY12_3a.js"' in text
    assert "<b>" not in text
    assert config_of(page)["component"] == '"><b>'
    assert config_of(page)["displayTenantBox"] == "inline-block"


def test_hashed_assets_are_kept_for_a_year_and_others_asked_for_again(static):
    script = assets.asset("/static/index-BxY12_3a.js", static)
    assert script is not None
    assert script.headers()["Cache-Control"] == "public, max-age=31536000, immutable"
    assert script.headers()["Content-Type"] == "text/javascript; charset=utf-8"
    icon = assets.asset("/favicon.svg", static)
    assert icon is not None
    assert icon.headers()["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("accept", "is_gzipped"),
    [
        ("gzip, deflate, br", True),
        ("GZIP", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.5", True),
    ],
)
def test_compressed_files_go_to_clients_that_take_them(static, accept, is_gzipped):
    script = assets.asset("/static/index-BxY12_3a.js", static)
    assert script is not None
    assert (script.payload(accept) == b"gzipped code") == is_gzipped
    headers = script.headers(accept)
    assert ("Content-Encoding" in headers) == is_gzipped
    assert headers["Vary"] == "Accept-Encoding"
    assert headers["ETag"].endswith('-gzip"') == is_gzipped


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/index.html",
        "/static",
        "/static/",
        "/static/nope.js",
        "/.stamp",
        "/static/../.stamp",
        "/static/../../assets.py",
        "//etc/passwd",
        "/static/index-BxY12_3a.js.gz",
        "/static\\..\\.stamp",
        "/favicon.svg/x",
        "/fav\0icon.svg",
    ],
)
def test_no_other_path_has_an_asset(static, path):
    assert assets.asset(path, static) is None


def test_a_rebuilt_file_is_read_again(static):
    before = assets.asset("/favicon.svg", static)
    (static / "favicon.svg").write_text("<svg><!-- other --></svg>")
    after = assets.asset("/favicon.svg", static)
    assert before is not None
    assert after is not None
    assert before.etag != after.etag


def test_a_missing_build_says_how_to_make_one(tmp_path):
    assert not assets.is_built(tmp_path)
    with pytest.raises(OperatorError, match=r"python -m athanor\.ui\.build"):
        assets.index_page(assets.PageVariables(), tmp_path)
