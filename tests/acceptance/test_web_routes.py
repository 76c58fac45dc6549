"""Every route of the page, listed from the application itself: who gets in, and what shows."""

from __future__ import annotations

import re

import pytest
from support.place import Place
from support.web_world import ORIGIN, STATIC, WebWorld, routes_of

from runner.web.identity.roles import Role, Scope

FOR_STRANGERS = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/login"),
    ("POST", "/login"),
}
ENDLESS = ("/events",)
"""The ends of paths whose responses do not end."""
FINANCE = Scope(labels=frozenset({"team=finance"}), client="acme")
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}


def filled(path: str, value: str) -> str:
    return re.sub(r"\{[^}]*\}", value, path)


@pytest.fixture
def world(place: Place) -> WebWorld:
    place.declare(
        "seen", "true", DAILY, top={"labels": {"team": "finance"}, "context": {"client": "acme"}}
    )
    return WebWorld(place)


def test_every_route_needs_a_viewer_but_the_few_for_strangers(world: WebWorld) -> None:
    for method, path in routes_of(world.app):
        if method == "HEAD" or (method, path) in FOR_STRANGERS:
            continue
        for headers in ({}, {"origin": ORIGIN}, {"authorization": "Basic cm9vdDpyb290"}):
            done = world.stranger(headers=headers).request(method, filled(path, "seen"))
            is_refused = done.status_code == 401 or (
                done.status_code == 303 and done.headers["location"].startswith("/login")
            )
            assert is_refused, (method, path, done.status_code)
            assert "seen" not in done.text


def test_every_change_needs_the_token_of_a_form_from_a_browser(world: WebWorld) -> None:
    browser = world.browser("maria", Role.ADMIN)
    for method, path in routes_of(world.app):
        if method in ("GET", "HEAD") or (method, path) in FOR_STRANGERS:
            continue
        for content in ({"data": {"target": "seen"}}, {"json": {"target": "seen"}}):
            done = browser.request(method, filled(path, "seen"), **content)  # type: ignore[arg-type]
            assert done.status_code == 403, (method, path, done.status_code)
        done = browser.request(
            method, filled(path, "seen"), headers={"origin": "https://evil.example"}
        )
        assert done.status_code == 403, (method, path)


def test_no_route_shows_a_token_what_is_outside_its_scope(world: WebWorld) -> None:
    secrets = {
        "description": "the-veiled-description",
        "owner": "the-veiled-owner",
        "labels": {"team": "finance", "note": "the-veiled-label"},
        "context": {"client": "the-veiled-client"},
    }
    place = world.place
    place.declare("ops-job", "echo the-veiled-output; echo $$; false", DAILY, top=secrets)
    place.write("broken.yaml", "name: the-veiled-broken\nprocess: {the-veiled-key: 1}\n")
    runner = place.start()
    assert place.run("exec", "ops-job").returncode == 1
    (record,) = place.await_finished("ops-job")
    world.index()
    everything = world.program("root", Role.ADMIN)
    scoped = world.program("maria", Role.ADMIN, FINANCE)
    shown = set()
    for method, path in routes_of(world.app):
        if method != "GET" or path.endswith(ENDLESS):
            continue
        for value in ("ops-job", record["execution"]):
            address = filled(path, value)
            if "veiled" in everything.get(address).text:
                shown.add(path)
            text = scoped.get(address).text
            assert "veiled" not in text, (address, text)
            assert "{" in path or "ops-job" not in text, (address, text)
    own = {"/requests", "/requests/{name:path}", "/executions/{execution}"}
    assert own <= shown, "a token without a scope sees it"
    assert place.stop(runner) == 0


def test_a_path_leads_out_of_no_folder(world: WebWorld) -> None:
    """Static files and outputs: no form of `..` reaches a file beside them."""
    world.place.state.joinpath("outputs").mkdir(exist_ok=True)
    browser = world.program("root", Role.ADMIN)
    for method, path in routes_of(world.app):
        if method != "GET" or "{" not in path or path.endswith(ENDLESS):
            continue
        for way in OUT:
            done = browser.get(filled(path, way))
            assert "sha256" not in done.text, (path, way)
            assert "root:x:0" not in done.text, (path, way)
    for way in OUT:
        done = browser.get(f"{STATIC}/{way}")
        assert done.status_code == 404, way


OUT = [
    "../web-tokens.json",
    "..%2fweb-tokens.json",
    "..%2f..%2fweb-tokens.json",
    "%2e%2e/web-tokens.json",
    "..%5cweb-tokens.json",
    "....//web-tokens.json",
    "%2fetc%2fpasswd",
    "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%00",
    "..%c0%af..%c0%afetc/passwd",
    "../login.py",
    "..%2flogin.py",
]
