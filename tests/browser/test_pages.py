"""The pages in a real browser, on a real runner."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from playwright.sync_api import Browser, Page, expect
from support.browser import PATIENCE_MS, SIZES, Site, Visitor, visitor
from support.place import wait_until

expect.set_options(timeout=PATIENCE_MS)


def execution_of(site: Site, request: str) -> str:
    return str(site.place.finished(request, group=None)[0]["execution"])


def paths_of(site: Site) -> list[str]:
    """Return an address of each kind of page."""
    return [
        "/",
        "/requests",
        "/requests/fails",
        f"/executions/{execution_of(site, 'month')}",
        f"/executions/{execution_of(site, 'fails')}",
        "/executions?request=fails",
        "/changes",
        "/confirm/exec?target=report",
    ]


def _faults(visitor: Visitor, paths: Iterable[str], *rules: str) -> dict[str, list[str]]:
    """Return what is wrong with pages: violations, and a width that must be scrolled."""
    found = {}
    for path in paths:
        visitor.open(path)
        faults = visitor.violations(*rules)
        if overflow := visitor.overflow():
            faults.append(f"wider than the window by {overflow} px")
        if faults:
            found[path] = faults
    return found


def test_every_page_is_accessible_and_fits_a_phone(
    browser: Browser, site: Site, admin_token: str
) -> None:
    header = {"Authorization": f"Bearer {admin_token}"}
    with visitor(browser, site, extra_http_headers=header, **SIZES["phone"]) as phone:
        assert _faults(phone, paths_of(site)) == {}
    with visitor(browser, site, **SIZES["desk"]) as stranger:
        stranger.open("/")
        assert stranger.violations() == []


def test_the_dark_pages_have_enough_contrast_and_fit_a_wall_and_paper_is_light(
    browser: Browser, site: Site, admin_token: str
) -> None:
    headers = {"Authorization": f"Bearer {admin_token}"}
    options: dict[str, Any] = {"extra_http_headers": headers, "color_scheme": "dark"}
    with visitor(browser, site, **options, **SIZES["wall"]) as dark:
        assert _faults(dark, ["/", "/requests/fails"], "color-contrast") == {}
        ground = dark.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert ground == "rgb(18, 23, 27)"
        dark.page.emulate_media(media="print")
        panel = dark.page.locator("#timing").evaluate("it => getComputedStyle(it).backgroundColor")
        assert panel == "rgb(255, 255, 255)", "paper is light"
        expect(dark.page.get_by_role("navigation")).to_be_hidden()
        expect(dark.page.locator("#why")).to_be_hidden()


def next_request(site: Site) -> str:
    """Return what fires next: of several requests, the first by name."""
    coming = site.place.items("next")
    return min((str(each["scheduled_for"]), str(each["request"])) for each in coming)[1]


def test_the_overview_answers_at_one_look(admin: Visitor, site: Site) -> None:
    page = admin.open("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("a person")
    expect(page).to_have_title(re.compile(r"^\(\d+\) Overview"))
    expect(page.locator("#needs")).to_contain_text("fails")
    expect(page.locator("#running")).to_contain_text("waits")
    # Near a full hour so many are due at once that a name like price-feed is not listed.
    wait_until(lambda: next_request(site) in page.locator("#next").inner_text(), what="the next")
    expect(page.locator("#timeline svg[role=group]").first).to_be_visible()
    expect(page.locator("#timeline .missed").first).to_be_attached()
    expect(page.locator("#counts")).to_contain_text("success")


def test_times_are_in_the_zone_of_the_viewer_with_utc_in_the_tooltip(
    admin: Visitor, site: Site
) -> None:
    page = admin.open(f"/executions/{execution_of(site, 'fails')}")
    expect(page.locator("#zone")).to_have_text("America/New_York")
    shown = page.locator("#title time")
    utc, local = shown.get_attribute("title"), shown.inner_text()
    assert utc is not None and utc.endswith(" UTC")
    assert int(utc[11:13]) - int(local[11:13]) in (4, 5, 4 - 24, 5 - 24)


def test_a_new_execution_appears_without_a_reload(admin: Visitor, site: Site) -> None:
    page = admin.open("/requests/report")
    expect(page.locator("#history")).to_contain_text("It has not run yet")
    page.evaluate("window.isSame = true")
    assert site.place.run("exec", "report").returncode == 0
    expect(page.locator("#history")).to_contain_text("success")
    assert page.evaluate("window.isSame") is True


def test_the_output_of_a_running_execution_grows_on_the_page(admin: Visitor, site: Site) -> None:
    (started,) = site.place.await_started("grows")
    page = admin.open(f"/executions/{started['execution']}")
    expect(page.locator("#output pre")).to_have_text(re.compile("begins"))
    (site.place.folder / "more").touch()
    expect(page.locator("#output pre")).to_have_text(re.compile("begins\\s+goes on"))
    expect(page.locator("#title")).to_contain_text("processing")


def test_nothing_that_a_stranger_writes_becomes_markup(admin: Visitor, site: Site) -> None:
    for path in ("/", "/requests", "/requests/hostile", "/changes"):
        page = admin.open(path)
        assert "owned" not in page.title()
        assert page.locator("main script, main img").count() == 0, path
    page = admin.open(f"/executions/{execution_of(site, 'hostile')}")
    expect(page.locator("#output pre")).to_contain_text("<script>")
    assert page.locator("main script, main img").count() == 0


def test_a_long_output_comes_in_pages_and_in_its_colours(admin: Visitor, site: Site) -> None:
    page = admin.open(f"/executions/{execution_of(site, 'colourful')}")
    expect(page.locator("#output .f1")).to_have_text("done")
    expect(page.locator("#output h2")).to_contain_text(re.compile(r"page (\d+) of \1"))
    page.get_by_role("link", name="Earlier").click()
    expect(page.locator("#output pre")).to_contain_text("of the output")
    page = admin.open(f"/executions/{execution_of(site, 'colourful')}?page=1")
    expect(page.locator("#output .f2")).to_have_text("posted")


def test_a_group_is_a_waterfall_of_its_members(admin: Visitor, site: Site) -> None:
    page = admin.open(f"/executions/{execution_of(site, 'month')}")
    expect(page.locator("#members tbody tr")).to_have_count(2)
    page.get_by_role("link", name="month › load").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("month › load")


def await_keys(page: Page) -> None:
    """Wait until a page takes keys: the browser drops those that come before its first paint."""
    expect(page.locator("#keys-button")).to_be_visible()  # the script shows it when it listens
    page.evaluate("() => new Promise(then => requestAnimationFrame(() => setTimeout(then)))")


def test_the_keyboard_alone_is_enough(admin: Visitor) -> None:
    page = admin.open("/")
    await_keys(page)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("/")
    page.keyboard.type("fails")
    page.keyboard.press("Enter")
    expect(page.locator("#requests tbody tr")).to_have_count(1)
    await_keys(page)
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page).to_have_title("Changes · Runner")
    await_keys(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_keys_can_be_turned_off(admin: Visitor) -> None:
    page = admin.open("/changes")
    await_keys(page)
    page.keyboard.press("?")
    page.get_by_label("Keys are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_without_javascript_everything_can_be_read_and_pressed(
    browser: Browser, site: Site
) -> None:
    with visitor(browser, site, java_script_enabled=False) as plain:
        plain.log_in(site.token("otto", "operator"), "/requests/stock-sync")
        page = plain.page
        expect(page.locator("#zone")).to_have_text("UTC")
        page.get_by_role("link", name="Unschedule").click()
        expect(page.locator("main")).to_contain_text("Then: unscheduled, no more fires.")
        page.get_by_role("button", name="Unschedule").click()
        expect(page.locator("#title")).to_contain_text("unscheduled")
        expect(page.locator("main")).to_contain_text("by web:otto")
        page.get_by_role("link", name="Overview").click()
        expect(page.locator("#timeline .lane").first).to_be_visible()


def test_a_viewer_sees_no_buttons_and_is_refused(browser: Browser, site: Site) -> None:
    with visitor(browser, site) as guest:
        guest.log_in("wrong")
        expect(guest.page.get_by_role("alert")).to_be_visible()
        guest.troubles.clear()  # the browser reports the status of a refusal
        guest.log_in(site.token("vera", "viewer"), "/requests/fails")
        expect(guest.page.get_by_role("heading", level=1)).to_have_text("fails")
        assert guest.page.locator("#title .button").count() == 0
        guest.open("/confirm/exec?target=fails")
        expect(guest.page.get_by_role("alert")).to_contain_text("operator")
        guest.troubles.clear()
        guest.open("/")
        guest.page.get_by_role("button", name="Log out").click()
        expect(guest.page.get_by_label("Token")).to_be_visible()
