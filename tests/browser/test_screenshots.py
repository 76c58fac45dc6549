"""The pictures of the page in the documentation. UPDATE_SCREENSHOTS=1 (with `-n 0`) takes them
anew; otherwise the tests check that the documents show them and that they stay small.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.browser import Site, visitor
from support.busy_night import Night
from support.place import ROOT, Place, wait_until

_ALERTS = 3
LARGEST = 150 * 1024
PICTURES = {
    "overview.png": ("/", {"width": 1120, "height": 720}, "light"),
    "overview-dark.png": ("/", {"width": 360, "height": 860}, "dark"),
    "request.png": ("/requests/import-bank-statements", {"width": 1120, "height": 650}, "light"),
}
FOLDER = ROOT / "runner/web/pictures"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_a_document_shows_it(name: str) -> None:
    path = FOLDER / name
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size <= LARGEST
    documents = (ROOT / "README.md", ROOT / "runner/README.md")
    assert any(f"web/pictures/{name}" in each.read_text() for each in documents)


@pytest.mark.skipif("UPDATE_SCREENSHOTS" not in os.environ, reason="takes pictures, checks nothing")
def test_pictures_are_taken(browser: Browser, tmp_path: Path) -> None:
    site = Site(Place(tmp_path), Night(count=14, is_bad=True), is_going_on=True)
    site.open()
    site.place.await_started("month-end")
    wait_until(lambda: len(site.place.events("alert.opened")) >= _ALERTS)
    try:
        for name, (path, size, scheme) in PICTURES.items():
            token = site.token(f"ana-{name.partition('.')[0]}", "operator")
            headers = {"Authorization": f"Bearer {token}"}
            options = {"viewport": size, "color_scheme": scheme, "timezone_id": "UTC"}
            with visitor(browser, site, extra_http_headers=headers, **options) as it:
                expect(it.open(path).locator("#live")).to_have_text("Live")
                it.page.screenshot(path=FOLDER / name)
    finally:
        site.close()
