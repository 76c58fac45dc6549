"""Logging in and out, and what a session is worth."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from loguru import logger
from support.place import Place
from support.web_world import ORIGIN, WebWorld

from runner.web.identity.logouts import FILE, Logouts
from runner.web.identity.roles import Role
from runner.web.identity.sessions import KEY_FILE
from runner.web.identity.throttle import MOST_FAILURES, WINDOW_S, Throttle


@pytest.fixture
def world(place: Place) -> WebWorld:
    place.declare("nightly", "true")
    return WebWorld(place)


def is_inside(browser: TestClient) -> bool:
    done = browser.get("/requests")
    return done.status_code == 200 and "nightly" in done.text


def test_a_stranger_is_sent_to_the_login_and_comes_back_to_where_it_wanted(
    world: WebWorld,
) -> None:
    stranger = world.stranger(headers={"origin": ORIGIN})
    sent = stranger.get("/?status=error&page=2")
    assert sent.status_code == 303
    form = stranger.get(sent.headers["location"])
    assert 'value="/?status=error&amp;page=2"' in form.text
    answer = {"token": world.secret("maria"), "next": "/?status=error&page=2"}
    assert stranger.post("/login", data=answer).headers["location"] == "/?status=error&page=2"
    assert is_inside(stranger)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/a\nb",
        "",
    ],
)
def test_a_login_leads_nowhere_else(world: WebWorld, elsewhere: str) -> None:
    answer = {"token": world.secret("maria"), "next": elsewhere}
    assert world.stranger().post("/login", data=answer).headers["location"] == "/"
    link = f"/login?code={world.authentication.one_time.code}"
    page = world.stranger().get(
        link, params={"code": world.authentication.one_time.code, "next": elsewhere}
    )
    assert 'content="0; url=/"' in page.text


def test_the_cookie_is_hidden_from_scripts_and_other_sites(place: Place) -> None:
    world = WebWorld(place, is_secure=True)
    done = world.stranger().post("/login", data={"token": world.secret("maria")})
    attributes = {each.strip().lower() for each in done.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=strict", "secure", "path=/"} <= attributes
    assert not any(each.startswith("domain") for each in attributes)


def test_a_removed_or_expired_token_ends_its_sessions(world: WebWorld) -> None:
    browser = world.browser("maria")
    soon = datetime.now(UTC) + timedelta(seconds=30)
    other = world.stranger()
    assert other.post("/login", data={"token": world.secret("ben", expires=soon)}).is_redirect
    assert is_inside(browser) and is_inside(other)
    world.tokens.remove("maria")
    world.secret("maria", Role.ADMIN)  # another token of that name
    assert not is_inside(browser)
    assert is_inside(other)


def test_a_logout_makes_even_a_copy_of_the_cookie_worthless(world: WebWorld) -> None:
    browser, thief = world.browser("maria"), world.stranger()
    thief.cookies.update(browser.cookies)
    assert is_inside(thief)
    assert browser.post("/logout", data={"csrf": world.csrf(browser)}).status_code == 303
    assert not is_inside(browser)
    assert not is_inside(thief)


def test_a_logout_outlasts_a_restart_of_the_page_and_counts_for_other_pages(
    world: WebWorld,
) -> None:
    browser, other, neighbour = world.browser("maria"), world.browser("ben"), WebWorld(world.place)
    cookies, other_cookies = dict(browser.cookies), dict(other.cookies)
    thief = neighbour.stranger(cookies=cookies)
    assert is_inside(thief)
    browser.post("/logout", data={"csrf": world.csrf(browser)})
    assert not is_inside(thief), "another page of the same state folder"
    restarted = WebWorld(world.place)
    assert not is_inside(restarted.stranger(cookies=cookies))
    assert is_inside(restarted.stranger(cookies=other_cookies)), "only this login has ended"
    file = world.place.state / FILE
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("damaged")
    answer = restarted.stranger(cookies=cookies).get("/requests")
    assert answer.status_code == 503
    assert "remove it together with web.key" in answer.text


def test_a_logout_is_forgotten_when_its_cookie_would_have_expired(world: WebWorld) -> None:
    logouts = Logouts(world.place.state)
    logouts.add("old", time.time() - 1)
    logouts.add("new", time.time() + 60)
    assert [*Logouts(world.place.state).ids()] == ["new"]


def test_a_changed_or_foreign_cookie_is_no_login(world: WebWorld, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    name = world.authentication.sessions.cookie
    cookie = world.browser("maria").cookies[name]
    other_folder = tmp_path_factory.mktemp("other")
    foreign = WebWorld(Place(other_folder))
    forged = foreign.authentication.sessions.begun("maria", world.tokens.all()[0])
    for each in (cookie[:-1], cookie[1:], cookie + "A", "", "a.b.c", "x" * 9999, forged):
        stranger = world.stranger(cookies={name: each})
        assert not is_inside(stranger), each
    assert (world.place.state / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_the_printed_link_logs_in_once(world: WebWorld) -> None:
    link = f"/login?code={world.authentication.one_time.code}"
    first, second = world.stranger(), world.stranger()
    assert first.get(link).status_code == 200
    assert is_inside(first)
    again = second.get(link)
    assert again.status_code == 403
    assert "used before" in again.text
    assert not is_inside(second)


def test_a_click_in_a_mail_arrives_with_its_login(world: WebWorld) -> None:
    """The browser keeps a strict cookie to itself on a click in a mail program's page."""
    done = world.stranger().get("/?a=b", headers={"sec-fetch-site": "cross-site"})
    assert done.status_code == 200
    assert 'content="0; url=/?a=b"' in done.text
    away = world.stranger().get(
        f"{ORIGIN}//evil.example/", headers={"sec-fetch-site": "cross-site"}
    )
    assert "evil.example" not in away.text
    assert not away.headers.get("location", "/").startswith("//")


def test_an_address_that_fails_too_often_must_wait(world: WebWorld) -> None:
    secret = world.secret("maria")
    stranger = world.stranger()
    for number in range(MOST_FAILURES):
        header = {"authorization": f"Bearer wrong{number}"}
        done = (
            stranger.post("/login", data={"token": "wrong"})
            if number % 2
            else stranger.get("/", headers=header)
        )
        assert done.status_code in (303, 403)
    right = {"authorization": f"Bearer {secret}"}
    for done in (
        stranger.post("/login", data={"token": secret}),
        stranger.get("/", headers=right),
        stranger.get("/login?code=guess"),
    ):
        assert done.status_code == 429
        assert 0 < int(done.headers["retry-after"]) <= WINDOW_S
        assert "nightly" not in done.text


def test_a_throttle_forgets_after_its_window_and_counts_a_network_as_one() -> None:
    throttle = Throttle()
    for number in range(MOST_FAILURES):
        throttle.note_failure(f"2001:db8::{number}", 0.0)
    assert throttle.wait_s("2001:db8::ffff", 1.0) == WINDOW_S - 1
    assert throttle.wait_s("2001:db8:0:1::1", 1.0) == 0
    assert throttle.wait_s("2001:db8::1", WINDOW_S) == 0
    for number in range(5000):  # its memory is bounded
        throttle.note_failure(f"10.1.{number // 256}.{number % 256}", 1.0)
    assert len(throttle._failures) <= 4096


def test_each_refusal_is_reported_where_the_page_runs(world: WebWorld) -> None:
    reported: list[str] = []
    sink = logger.add(lambda message: reported.append(message.record["message"]))
    browser, stranger = world.browser("maria"), world.stranger()
    stranger.post("/login", data={"token": "wrong"})
    stranger.get("/", headers={"host": "evil.example"})
    stranger.post("/login", headers={"origin": "https://evil.example"})
    browser.get("/confirm/pause")
    browser.post("/confirm/kill", data={"csrf": "forged", "target": "nightly"})
    logger.remove(sink)
    assert reported == [
        "refused a wrong or expired token from testclient",
        "refused GET / from testclient: unknown host; name the page's address with "
        "`web: {url: …}` in runner.yaml",
        "refused POST /login from testclient: the request comes from another site",
        "refused GET /confirm/pause to maria: Pause needs the role admin",
        "refused POST /confirm/kill to maria: the form is too old, or comes from another page: "
        "load it again",
    ]
