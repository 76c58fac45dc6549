"""Text that others control, on every page: it is shown as text, and loads and runs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from support.place import Place, wait_until
from support.web_world import WebWorld, routes_of

from runner.web.identity.roles import Role

MARK = "pwned"
HOSTILE = (
    f"\"'><script>{MARK}()</script><img src=x onerror={MARK}()><svg/onload={MARK}()>"
    f"{{{{ {MARK} }}}}{{% raw %}}\u202e\x1b]8;;javascript:{MARK}()\x07link\x1b]8;;\x07"
)
IN_NAMES = f"<img src=x onerror={MARK}()>&amp;\"'"
FAR_OFF = {"schedule": {"frequency": "monthly", "day": 1, "at": "02:00"}}
OWN = ("/", "#", "?", "data:,")


class Reader(HTMLParser):
    """Collects what a browser would run or load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script" and not (values.get("src") or "").startswith("/static/"):
            self.wrong.append("a script of the page's own text")
        if tag in ("iframe", "object", "embed", "base", "foreignobject", "style"):
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc", "xlink:href"):
                self.wrong.append(f"{tag} {name}={value}")
            if name in ("href", "src", "action", "formaction") and value is not None:
                is_own = value.startswith(OWN) and not value.startswith("//")
                if not is_own:
                    self.wrong.append(f"{tag} {name}={value}")


@pytest.fixture
def hostile(place: Place) -> Iterator[tuple[WebWorld, list[str]]]:
    """Everything that a file, a process or a person can say is hostile."""
    texts: dict[str, object] = {
        "description": HOSTILE,
        "owner": HOSTILE,
        "labels": {"team": HOSTILE},
        "context": {"client": HOSTILE, "organization": HOSTILE},
    }
    (place.folder / "out").write_text(HOSTILE * 3)
    place.declare("prints", "cat ../out; exit 3", FAR_OFF, top=texts, params={"a": HOSTILE})
    program = {"process": {"command": [f"/nowhere/{IN_NAMES}"]}, "timing": "run_immediately"}
    place.write("cannot.yaml", json.dumps({**program, **texts}))
    place.write(f"{IN_NAMES}.yaml".replace("/", ""), f"process: {{'{IN_NAMES}': 1}}\n")
    place.write("bad.yaml", json.dumps({"process": {"shell": HOSTILE, HOSTILE: 1}}))
    runner = place.start()
    place.run("exec", "prints")
    place.run("pause", "--reason", HOSTILE)
    world = WebWorld(place)
    finished = place.await_finished("prints") + place.await_finished("cannot")
    wait_until(lambda: place.events("alert.opened"))
    world.index()
    yield world, [each["execution"] for each in finished]
    assert place.stop(runner) == 0


def pages_of(
    browser: TestClient, world: WebWorld, executions: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield every page, and pages whose address is hostile, with their HTML."""
    hostile = quote(HOSTILE, safe="")
    values = ["prints", "cannot", hostile, *executions]
    for method, path in routes_of(world.app):
        if method != "GET" or path.endswith("/events"):
            continue
        for value in values if "{" in path else [""]:
            for query in ("", f"?q={hostile}&status={hostile}&code={hostile}&next={hostile}"):
                address = "".join(
                    part if index % 2 == 0 else value
                    for index, part in enumerate(path.replace("}", "{").split("{"))
                )
                done = browser.get(address + query)
                kind = done.headers.get("content-type", "")
                assert done.headers["x-content-type-options"] == "nosniff"
                if kind.startswith("text/html"):
                    yield address + query, done.text
                else:
                    assert not kind.startswith(("image/svg", "text/xml", "application/xhtml"))
    for name, target in (("exec", "prints"), ("kill", hostile), ("nothing", hostile)):
        address = f"/confirm/{name}?target={target}"
        yield address, browser.get(address).text


def test_hostile_text_is_shown_as_text_on_every_page(
    hostile: tuple[WebWorld, list[str]],
) -> None:
    world, executions = hostile
    browser = world.browser("maria", Role.ADMIN)
    seen = 0
    for address, html in pages_of(browser, world, executions):
        assert Reader(html).wrong == [], address
        assert not {*"\x1b\x07\u202e"} & {*html}, address
        seen += MARK in html
    assert seen >= 5, "the pages do show these texts"
    assert "{{" in browser.get("/requests/prints").text, "no template runs in a value"


def test_a_refused_form_shows_what_was_filled_in_as_text(
    hostile: tuple[WebWorld, list[str]],
) -> None:
    world, _ = hostile
    browser = world.browser("maria", Role.ADMIN)
    form = {"csrf": world.csrf(browser), "until": HOSTILE, "reason": HOSTILE, "target": HOSTILE}
    for action in ("pause", "acknowledge", "exec", "kill", "backfill"):
        done = browser.post(f"/confirm/{action}", data=form)
        assert Reader(done.text).wrong == [], action
    done = world.stranger().post("/login", data={"token": HOSTILE, "next": f"/{HOSTILE}"})
    assert Reader(done.text).wrong == []
