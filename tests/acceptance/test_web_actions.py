"""The buttons of the page: what they show first, what they do, and who may press them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from support.place import GATE, Place, wait_until
from support.web_world import WebWorld

from runner.web.actions import ACTIONS, Action, Target
from runner.web.identity.roles import Role, Scope

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2026-01-01 02:00"}}
FINANCE = Scope(labels=frozenset({"team=finance"}))


@pytest.fixture
def world(place: Place) -> Iterator[WebWorld]:
    place.declare("nightly", GATE, DAILY, top={"labels": {"team": "finance"}})
    place.declare("other", GATE, DAILY)
    place.declare("fails", "false", "run_immediately", top={"labels": {"team": "finance"}})
    place.declare(
        "report",
        'echo "$RUNNER_PARAM_YEAR $RUNNER_PARAM_LEDGER"',
        params={"year": 2025, "ledger": "main"},
    )
    runner = place.start()
    wait_until(lambda: place.events("alert.opened"))
    yield WebWorld(place)
    place.open_gate()
    assert place.stop(runner) == 0


def press(world: WebWorld, browser: TestClient, action: str, **fields: str) -> tuple[int, str]:
    """Press a button and its confirmation, as a form does; return the status and the page."""
    form = {"csrf": world.csrf(browser), **fields}
    done = browser.post(f"/confirm/{action}", data=form)
    world.place.await_log()
    return done.status_code, done.text


def target_of(action: Action) -> dict[str, str]:
    return {} if action.target is Target.RUNNER else {"target": "nightly"}


def test_a_press_shows_its_effect_first_and_then_does_it(world: WebWorld) -> None:
    browser = world.browser("maria", Role.OPERATOR)
    asked = browser.get("/confirm/unschedule?target=nightly").text
    assert "Now: scheduled, next fires" in asked
    assert "Then: unscheduled, no more fires." in asked
    assert "differs from its file" in asked
    assert world.place.events("request.unscheduled") == [], "nothing happens before the press"
    assert press(world, browser, "unschedule", target="nightly")[0] == 303
    (record,) = world.place.events("request.unscheduled")
    assert (record["requested_by"], record["requested_via"]) == ("web:maria", "web")
    assert press(world, browser, "schedule", target="nightly")[0] == 303
    assert press(world, browser, "reschedule", target="fails")[0] == 303
    assert [each["action"] for each in world.place.events("web.changed")] == [
        "login",
        "unschedule",
        "schedule",
        "reschedule",
    ]
    wait_until(lambda: "web:maria logged in" in world.place.console())


def test_a_request_runs_with_the_parameters_of_the_form(world: WebWorld) -> None:
    browser = world.browser("maria", Role.OPERATOR)
    asked = browser.get("/confirm/exec?target=report").text
    assert dict(re.findall(r'name="param\.(\w+)" value="([^"]*)"', asked)) == {
        "year": "2025",
        "ledger": "main",
    }
    form = {"target": "report", "param.year": "2026", "param.ledger": "main"}
    done = browser.post("/confirm/exec", data={"csrf": world.csrf(browser), **form})
    (finished,) = world.place.await_finished("report")
    assert done.headers["location"] == f"/executions/{finished['execution']}"
    assert finished["output_tail"] == "2026 main\n"
    assert finished["requested_by"] == "web:maria"


def test_a_running_execution_is_killed_by_its_id(world: WebWorld) -> None:
    browser = world.browser("maria", Role.OPERATOR)
    assert press(world, browser, "exec", target="nightly")[0] == 303
    (started,) = world.place.await_started("nightly")
    execution = started["execution"]
    asked = browser.get("/confirm/kill", params={"target": execution}).text
    assert f"execution {execution}, process {started['pid']}." in asked
    assert "runs beside" in browser.get("/confirm/exec?target=nightly").text.replace(
        "would run beside", "runs beside"
    )
    assert press(world, browser, "kill", target=execution)[0] == 303
    world.place.await_finished("nightly", status="killed")
    status, page = press(world, browser, "kill", target=execution)
    assert status == 409
    assert "there is no request or execution" in page


def test_an_alert_is_silenced_until_a_time(world: WebWorld) -> None:
    browser = world.browser("maria", Role.OPERATOR)
    status, page = press(world, browser, "acknowledge", target="fails", until="yesterday")
    assert (status, "is not in the future" in page) == (409, True)
    status, page = press(world, browser, "acknowledge", target="fails", until="")
    assert (status, "say until when" in page) == (409, True)
    assert press(world, browser, "acknowledge", target="fails", until="2h")[0] == 303
    (alert,) = world.place.items("alerts")
    assert alert["acknowledged_by"] == "web:maria"


def test_an_admin_pauses_resumes_reloads_and_backfills(world: WebWorld) -> None:
    browser = world.browser("root", Role.ADMIN)
    assert press(world, browser, "pause", reason="month end", until="2h")[0] == 303
    assert press(world, browser, "resume")[0] == 303
    assert press(world, browser, "reload")[0] == 303
    status, page = press(world, browser, "pause", reason=" ")
    assert (status, "needs a reason" in page) == (409, True)
    since = datetime.now(UTC) - timedelta(days=3)
    span = {"target": "nightly", "from": f"{since:%Y-%m-%d}", "to": "yesterday"}
    status, page = press(world, browser, "backfill", **span)
    assert status in (200, 409), page  # how much of the past is known depends on the store
    assert not world.place.events("execution.started", "nightly")


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_nobody_does_what_the_role_does_not_allow(place: Place, action: Action) -> None:
    place.declare("nightly", "true", DAILY)
    world = WebWorld(place)
    for role in Role:
        if role.allows(action.role):
            continue
        browser, program = world.browser(f"a-{role}", role), world.program(f"b-{role}", role)
        fields = {"until": "2h", "reason": "x", "from": "2h", "to": "now", **target_of(action)}
        assert press(world, browser, action.name, **fields)[0] == 403
        assert program.post(f"/confirm/{action.name}", data=fields).status_code == 403
        asked = browser.get(f"/confirm/{action.name}", params=target_of(action))
        assert asked.status_code == 403


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_form_without_its_own_token_does_nothing(place: Place, action: Action) -> None:
    place.declare("nightly", "true", DAILY)
    world = WebWorld(place)
    browser, other = world.browser("maria", Role.ADMIN), world.browser("ben", Role.ADMIN)
    fields = {"until": "2h", "reason": "x", "from": "2h", "to": "now", **target_of(action)}
    for forged in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": world.csrf(other)}):
        done = browser.post(f"/confirm/{action.name}", data={**fields, **forged})
        assert done.status_code == 403
        header = {"x-csrf-token": forged.get("csrf", "")}
        done = browser.post(f"/confirm/{action.name}", data=fields, headers=header)
        assert done.status_code == 403


def test_a_token_with_a_scope_touches_only_what_it_matches(world: WebWorld) -> None:
    browser = world.browser("maria", Role.ADMIN, FINANCE)
    for action in ("schedule", "unschedule", "reschedule", "exec", "backfill", "resume"):
        status, page = press(world, browser, action, target="other", **{"from": "2h", "to": "now"})
        assert status == 409, (action, page)
        assert "there is no request" in page
    for fields in ({}, {"target": "other"}):
        status, page = press(world, browser, "pause", reason="x", **fields)
        assert status in (403, 409)
    assert press(world, browser, "reload")[0] == 403
    assert press(world, browser, "resume")[0] == 403
    assert press(world, browser, "acknowledge", target="log", until="2h")[0] == 409
    assert {each["action"] for each in world.place.events("web.changed")} == {"login"}
    assert "other" not in browser.get("/").text
    assert press(world, browser, "unschedule", target="nightly")[0] == 303
    assert press(world, browser, "acknowledge", target="fails/failure", until="2h")[0] == 303


def test_a_token_with_a_scope_kills_only_what_it_matches(world: WebWorld) -> None:
    everything = world.browser("root", Role.ADMIN)
    for name in ("nightly", "other"):
        assert press(world, everything, "exec", target=name)[0] == 303
    (other,) = world.place.await_started("other")
    (own,) = world.place.await_started("nightly")
    browser = world.browser("maria", Role.OPERATOR, FINANCE)
    for target in ("other", other["execution"], other["execution"][-8:]):
        status, page = press(world, browser, "kill", target=target)
        assert (status, "there is no execution" in page) == (409, True), target
    assert press(world, browser, "kill", target=own["execution"])[0] == 303
    world.place.await_finished("nightly", status="killed")
    assert world.place.finished("other") == []


def test_the_page_follows_the_zone_of_the_runner(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.web.site._ZONE_S", 0.0)
    place.declare("nightly", "true", DAILY)
    world = WebWorld(place)
    assert world.site.places.zone == "UTC"
    runner = place.start("--timezone", "Europe/Madrid")
    wait_until(lambda: world.site.places.zone == "Europe/Madrid")
    assert place.stop(runner) == 0


def test_a_refused_login_is_not_recorded(world: WebWorld) -> None:
    stranger = world.stranger()
    assert stranger.post("/login", data={"token": "guess"}).status_code == 403
    assert stranger.get("/login?code=guess").status_code == 403
    assert world.browser("maria").get("/").status_code == 200
    (login,) = wait_until(lambda: world.place.events("web.changed"))
    assert (login["action"], login["requested_by"]) == ("login", "web:maria")
