"""One runner, one page and one browser for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the extra `test` brings playwright")

from playwright.sync_api import Browser
from support.browser import Site, Visitor, launched, visitor
from support.busy_night import Night
from support.place import Place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    found = Site(Place(folder), Night(count=10, is_bad=True))
    found.declare_odd_ones()
    try:
        found.open()
        for name in ("hostile", "colourful", "fails", "month"):
            found.place.await_finished(name)
        found.place.await_started("waits")
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def admin_token(site: Site) -> str:
    return site.token("ana", "admin")


@pytest.fixture
def admin(browser: Browser, site: Site, admin_token: str) -> Iterator[Visitor]:
    with visitor(
        browser, site, extra_http_headers={"Authorization": f"Bearer {admin_token}"}
    ) as it:
        yield it
