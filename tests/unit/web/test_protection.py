"""Host, Origin, bodies and headers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.place import Place
from support.web_world import HOST, ORIGIN, WebWorld

from runner.web.identity.roles import Role
from runner.web.protection import LARGEST_BODY, Names

NAMES = Names(hosts=frozenset({"runner.example"}), origin="https://runner.example")


@pytest.fixture
def world(place: Place) -> WebWorld:
    place.declare("nightly", "true")
    return WebWorld(place, names=NAMES)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8080", "[::1]:80", "runner.example", "10.0.0.7:8080"]
)
def test_the_page_answers_under_its_own_names_and_any_address(world: WebWorld, host: str) -> None:
    assert world.stranger().get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1",
        "runner.example@evil.example",
        "a b",
    ],
)
def test_a_rebound_name_gets_nothing_even_with_a_valid_token(world: WebWorld, host: str) -> None:
    program = world.program("maria", Role.ADMIN)
    for path in ("/", "/healthz", "/login", "/static/pages.css", "/api/v1/requests"):
        done = program.get(path, headers={"host": host})
        assert done.status_code == 403, path
        assert "nightly" not in done.text


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"origin": ORIGIN}, True),
        ({"origin": "https://runner.example"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": f"http://{HOST}.evil.example"}, False),
        ({"origin": "http://localhost:9999"}, False),
        ({"origin": f"ftp://{HOST}"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_a_change_must_come_from_the_page_itself(
    world: WebWorld, headers: dict[str, str], is_own: bool
) -> None:
    secret = world.secret("maria")
    done = world.stranger().post("/login", data={"token": secret}, headers=headers)
    assert done.status_code == (303 if is_own else 403)
    assert bool(done.cookies) == is_own


def test_a_body_that_is_too_large_is_refused_with_and_without_a_length(world: WebWorld) -> None:
    stranger = world.stranger()
    large = {"token": "x" * LARGEST_BODY}
    assert stranger.post("/login", data=large).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield b"token="
        for _ in range(64):
            yield b"x" * (LARGEST_BODY // 32)

    form = {"content-type": "application/x-www-form-urlencoded"}
    done = stranger.post("/login", content=chunks(), headers=form)
    assert done.status_code >= 400


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "1.5", "１"])
def test_a_length_that_is_no_number_is_refused(world: WebWorld, length: str) -> None:
    headers = [(b"content-length", length.encode())]
    done = world.stranger().post("/login", content=b"", headers=headers)
    assert done.status_code == 413


@pytest.mark.parametrize("path", ["/", "/login", "/healthz", "/static/pages.css", "/nothing"])
def test_every_response_forbids_framing_scripts_of_others_and_guessing(
    world: WebWorld, path: str
) -> None:
    headers = world.program("maria").get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers
