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
from support.small_png import screenshot

_ALERTS = 3
LARGEST = 100 * 1024
PICTURES = {
    14: {
        "overview.png": ("/", (1120, 720), "light"),
        "overview-phone.png": ("/", (360, 860), "light"),
        "request.png": ("/requests/import-bank-statements", (1120, 650), "light"),
    },
    500: {"overview-wall.png": ("/", (2560, 1080), "dark")},
}
"""By the number of requests: the path of the page, the window and the colours."""
_WALL, _SCALE = 2000, 0.75
"""A window from this width on is drawn at this scale, as documents show it small."""
FOLDER = ROOT / "runner/web/pictures"


@pytest.mark.parametrize("name", [name for each in PICTURES.values() for name in each])
def test_a_picture_is_small_and_a_document_shows_it(name: str) -> None:
    path = FOLDER / name
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size <= LARGEST
    documents = (ROOT / "README.md", ROOT / "runner/README.md")
    assert any(f"web/pictures/{name}" in each.read_text() for each in documents)


@pytest.mark.skipif("UPDATE_SCREENSHOTS" not in os.environ, reason="takes pictures, checks nothing")
@pytest.mark.parametrize("count", PICTURES)
def test_pictures_are_taken(browser: Browser, tmp_path: Path, count: int) -> None:
    site = Site(Place(tmp_path), Night(count=count, is_bad=True), is_going_on=True)
    site.open()
    site.place.await_started("month-end")
    wait_until(lambda: len(site.place.events("alert.opened")) >= _ALERTS)
    headers = {"Authorization": f"Bearer {site.token('ana', 'operator')}"}
    try:
        for name, (path, (width, height), scheme) in PICTURES[count].items():
            options = {
                "viewport": {"width": width, "height": height},
                "device_scale_factor": _SCALE if width >= _WALL else 1,
                "color_scheme": scheme,
                "timezone_id": "UTC",
            }
            with visitor(browser, site, extra_http_headers=headers, **options) as it:
                expect(it.open(path).locator("#live")).to_have_text("Live")
                expect(it.page.locator("main")).not_to_contain_text("history is being")
                (FOLDER / name).write_bytes(screenshot(it.page))
    finally:
        site.close()
