"""The overview fits every window, and is red only where something needs a person.

The test's process renders it beside a real runner, and the browser gets it without a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route
from support.busy_night import Night
from support.place import Place
from support.web_world import ORIGIN, WebWorld

WIDTHS = (360, 1280, 2560)
_RED = """() => {
  const style = (each) => getComputedStyle(each);
  const probe = document.body.appendChild(document.createElement("i"));
  const reds = ["--bad", "--bad-ink"].map((name) => {
    probe.style.color = `var(${name})`;
    return style(probe).color;
  });
  probe.remove();
  return [...document.body.querySelectorAll("*")].filter((each) =>
    ["color", "fill", "stroke", "backgroundColor", "borderLeftColor"].some((name) =>
      reds.includes(style(each)[name]))).map((each) => each.outerHTML.slice(0, 120));
}"""
"""Returns the elements that have one of the two red colours of the page."""


def faults(page: Page, *, is_bad: bool) -> Iterator[str]:
    """Yield what is wrong with an open page at each width, light and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        red = page.evaluate(_RED)
        if bool(red) is not is_bad:
            yield f"{scheme}: red is {red[:3]}"
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if wide := page.evaluate("document.documentElement.scrollWidth - innerWidth"):
                yield f"{scheme}, {width} px: {wide} px too wide"


@pytest.mark.parametrize("is_bad", [False, True], ids=["green", "bad"])
@pytest.mark.parametrize("count", [5, pytest.param(500, marks=pytest.mark.campaign)])
def test_the_overview_fits_and_is_red_only_if_something_needs_a_person(
    browser: Browser, tmp_path: Path, count: int, is_bad: bool
) -> None:
    place = Place(tmp_path)  # the fixture of that name would check each line of the night
    world, night = WebWorld(place), Night(count=count, is_bad=is_bad)
    night.write_requests(place.jobs)
    night.write_log(place.log)
    place.declare("recovers", "test -e ../again || { touch ../again; exit 3; }")
    client = world.program("ana")

    def answer(route: Route) -> None:
        found = client.get(route.request.url.removeprefix(ORIGIN))
        route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    runner, context = place.start(), browser.new_context(java_script_enabled=False)
    try:
        assert [place.run("exec", "recovers").returncode for _ in range(2)] == [3, 0]
        world.index()
        page = context.new_page()
        page.route("**/*", answer)
        page.goto(ORIGIN)
        assert list(faults(page, is_bad=is_bad)) == []
    finally:
        context.close()
        world.site.history.close()
        place.stop(runner)
