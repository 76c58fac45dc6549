"""Alerts as a person and the monitor log see them, through restarts and kill -9."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.place import Place, acts_alone, check_log, wait_until

from runner.values import parse_instant

EACH_SECOND = {"schedule": {"frequency": "secondly"}}
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}


def await_alert(place: Place, event: str, request: str | None, check: str) -> dict[str, object]:
    return wait_until(
        lambda: next(
            (
                each
                for each in place.events(f"alert.{event}", check=check)
                if each["request"] == request
            ),
            None,
        ),
        what=f"{check} of {request} {event}",
    )


def alternation(place: Place) -> dict[tuple[object, object], list[str]]:
    """Return the events of each check in order."""
    found: dict[tuple[object, object], list[str]] = {}
    for record in place.records():
        if str(record["event"]).startswith("alert."):
            key = (record["request"], record["check"])
            found.setdefault(key, []).append(str(record["event"]).removeprefix("alert."))
    return found


def test_a_failure_alerts_once_and_its_end_once_through_restarts_and_kill_9(place: Place) -> None:
    place.declare("fail", f"test -e {place.folder}/fixed", EACH_SECOND)
    runner = place.start()
    opened = await_alert(place, "opened", "fail", "failure")
    assert (opened["count"], opened["message"]) == (1, "exit code 1")
    assert opened["execution"] == place.finished("fail", status="error")[0]["execution"]
    place.await_finished("fail", status="error", count=2)
    runner.kill()
    runner.wait(timeout=60)
    assert "failure" in [each["check"] for each in place.items("alerts")]
    runner = place.start()
    place.await_finished("fail", status="error", count=4)
    place.stop(runner)
    place.start()
    place.await_finished("fail", status="error", count=5)
    (place.folder / "fixed").touch()
    closed = await_alert(place, "closed", "fail", "failure")
    assert closed["since"] == opened["since"]
    place.await_finished("fail", status="success", count=2)
    # On a busy machine a fire may be missed, too, and that is another alert.
    assert alternation(place)["fail", "failure"] == ["opened", "closed"]
    assert place.run("alerts").stderr == "no alert is open\n"
    check_log(place.log)


CHECKS = {"fail": "failure", "absent": "absent"}


def test_open_alerts_are_listed_with_their_request_and_in_status(place: Place) -> None:
    place.declare("fail", "exit 3", {"run_immediately": {}})
    place.declare(
        "absent", "true", DAILY, top={"expect": {"success_every": "1s"}, "owner": "finance"}
    )
    place.start()
    await_alert(place, "opened", "fail", "failure")
    await_alert(place, "opened", "absent", "absent")
    shown = place.run("alerts").stdout
    assert "fail     failure  1      exit code 3" in shown, shown
    assert "absent   absent   1      no success for 1s" in shown, shown
    opened = [each["request"] for each in place.items("alerts")]  # whichever was first
    assert sorted(opened) == ["absent", "fail"]
    listed = ", ".join(f"{each} {CHECKS[each]}" for each in opened)
    assert place.run("monitor").stderr == f"2 open alerts: {listed} (`runner alerts`)\n"
    assert place.run("monitor", "--output", "json").stderr == ""
    status = place.run("status").stdout
    assert "alerts    2\n" in status
    assert ": exit code 3" in status
    (item,) = (each for each in place.items("ls") if each["request"] == "absent")
    assert [each["check"] for each in item["alerts"]] == ["absent"]
    assert "alert: absent" in place.run("ls").stdout
    assert "no success for 1s" in place.run("show", "absent").stdout
    (status_item,) = place.items("status")
    assert [each["request"] for each in status_item["alerts"]] == opened


def test_an_acknowledged_alert_says_by_whom_and_until_when(place: Place) -> None:
    place.declare("fail", "exit 3", {"run_immediately": {}})
    runner = place.start()
    await_alert(place, "opened", "fail", "failure")
    done = place.run("alerts", "--ack", "fail", "--until", "2h")
    assert (done.returncode, done.stdout[:32]) == (0, "fail/failure: acknowledged until"), done
    place.stop(runner)
    (alert,) = place.items("alerts")
    assert alert["acknowledged_by"] == place.person
    until = parse_instant(str(alert["acknowledged_until"]))
    assert isinstance(until, datetime)
    assert f"by {place.person}" in place.run("alerts").stdout
    with place.acted_on():
        again = place.run("alerts", "--ack", "fail/failure", "--until", "3h")
    assert again.returncode == 0, again.stderr
    (alert,) = place.items("alerts")
    assert parse_instant(str(alert["acknowledged_until"])) > until


@acts_alone
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--ack", "fail"), 2, "belong together"),
        (("--until", "2h"), 2, "belong together"),
        (("--ack", "fail", "--until", "yesterday"), 2, "not in the future"),
        (("--ack", "fial", "--until", "2h"), 1, "there is no request 'fial'"),
        (("--ack", "fail", "--until", "2h"), 1, "no such alert is open"),
        (("--ack", "disk", "--until", "2h"), 1, "no such alert is open"),
    ],
)
def test_what_cannot_be_acknowledged_is_refused(
    place: Place, arguments: tuple[str, ...], code: int, words: str
) -> None:
    place.declare("fail", "true", DAILY)
    done = place.run("alerts", *arguments)
    assert done.returncode == code
    assert words in done.stdout + done.stderr


def test_a_missed_fire_alerts_until_the_next_start(place: Place) -> None:
    schedule = {"frequency": "secondly", "misfire_grace": "1s"}
    place.declare("tick", "true", {"schedule": schedule})
    runner = place.start()
    place.await_finished("tick", status="success")
    place.stop(runner)
    last = parse_instant(str(place.finished("tick")[-1]["scheduled_for"]))
    wait_until(lambda: datetime.now(UTC) > last + timedelta(seconds=4), what="fires are missed")
    place.start()
    opened = await_alert(place, "opened", "tick", "missed")
    (miss,) = place.finished("tick", status="misfired")
    assert (opened["count"], opened["message"]) == (miss["missed_count"], miss["message"])
    await_alert(place, "closed", "tick", "missed")


def test_explain_names_the_alert_that_a_fire_belongs_to(place: Place) -> None:
    place.declare("fail", f"test -e {place.folder}/fixed", EACH_SECOND)
    place.start()
    opened = await_alert(place, "opened", "fail", "failure")
    (failed, *_) = place.finished("fail", status="error")
    at = str(failed["scheduled_for"])
    assert "the alert failure was open from" in place.run("explain", "fail", "--at", at).stdout
    (place.folder / "fixed").touch()
    closed = await_alert(place, "closed", "fail", "failure")
    (item,) = place.items("explain", "fail", "--at", at)
    assert item["alerts"] == [
        {
            "check": "failure",
            "since": opened["since"],
            "until": closed["time"],
            "message": "exit code 1",
        }
    ]
    late = place.await_finished("fail", status="success", count=2)[-1]
    (item,) = place.items("explain", "fail", "--at", str(late["scheduled_for"]))
    assert item["alerts"] == []


def test_an_execution_that_runs_too_long_alerts_until_it_ends(place: Place) -> None:
    place.declare(
        "slow",
        f"while [ ! -e {place.folder}/go ]; do sleep 0.1; done",
        {"run_immediately": {}},
        top={"expect": {"duration": "500ms", "finish_within": "1s"}},
    )
    runner = place.start()
    await_alert(place, "opened", "slow", "overrun")
    await_alert(place, "opened", "slow", "late")
    runner.kill()
    runner.wait(timeout=60)
    place.start()
    place.open_gate()
    await_alert(place, "closed", "slow", "overrun")
    await_alert(place, "closed", "slow", "late")
    events = alternation(place)
    assert events["slow", "overrun"] == events["slow", "late"] == ["opened", "closed"]


def test_unscheduling_removing_and_renaming_a_request_closes_its_alerts(place: Place) -> None:
    for name in ("one", "two", "three"):
        place.declare(name, "false", EACH_SECOND)
    place.start()
    for name in ("one", "two", "three"):
        await_alert(place, "opened", name, "failure")
    assert place.run("unschedule", "one").returncode == 0
    assert await_alert(place, "closed", "one", "failure")["message"] == "unscheduled"
    (place.jobs / "two.yaml").unlink()
    assert await_alert(place, "closed", "two", "failure")["message"] == "removed"
    place.declare("three", "true", EACH_SECOND, top={"name": "four", "formerly": "three"})
    assert await_alert(place, "closed", "three", "failure")["message"] == "renamed to four"
    wait_until(lambda: place.items("alerts") == [], what="no alert is open")
