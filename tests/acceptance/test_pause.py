"""`pause` and `resume`: what is held, across restarts and kill -9, and where it is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from support.place import Place, acts_alone, check_log, wait_until

from runner.values import parse_instant

EACH_SECOND = {"schedule": {"frequency": "secondly"}}
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}
REASON = "the database moves"


def fires(place: Place, name: str = "tick") -> list[str]:
    """Return the fire times that ran, without those that a pause held."""
    return [str(each["scheduled_for"]) for each in place.finished(name, status="success")]


def spans(place: Place, name: str = "tick") -> list[tuple[str, str, int]]:
    return [
        (str(each["missed_from"]), str(each["missed_until"]), int(str(each["missed_count"])))
        for each in place.finished(name, status="skipped", reason="paused")
    ]


def now_text() -> str:
    return datetime.now(UTC).isoformat()


def has_passed(instant: datetime) -> bool:
    return datetime.now(UTC) > instant


def await_seconds(count: int) -> None:
    """Wait until some fires of a request that fires each second have fallen due."""
    end = datetime.now(UTC) + timedelta(seconds=count)
    wait_until(partial(has_passed, end), what=f"{count} s have passed")


def test_a_pause_holds_fires_through_kill_9_and_restart_until_the_resume(place: Place) -> None:
    place.declare("tick", "true", EACH_SECOND)
    runner = place.start()
    place.await_finished("tick", count=1)
    paused = place.run("pause", "--reason", REASON)
    assert (paused.returncode, paused.stdout) == (0, "all requests: paused\n"), paused.stderr
    (record,) = place.events("runner.paused")
    assert (record["requested_by"], record["message"]) == (place.person, REASON)
    assert (record["paused"], record["paused_until"]) == (None, None)
    await_seconds(2)
    runner.kill()
    runner.wait(timeout=60)
    runner = place.start()
    await_seconds(2)
    status = place.run("status").stdout
    assert f" by {place.person}: {REASON}" in status
    assert status.startswith("paused    all requests since ")
    resumed = place.run("resume")
    assert (resumed.returncode, resumed.stdout) == (0, "all requests: resumed\n"), resumed.stderr
    before = len(fires(place))
    place.await_finished("tick", count=before + 1, status="success")
    assert place.stop(runner) == 0
    assert f"all requests paused by {place.person}: {REASON}\n" in place.console(), "at the start"
    assert f"all requests  resumed by {place.person} (paused for: {REASON})\n" in place.console()
    (end,) = place.events("runner.resumed")
    ((first, last, count),) = spans(place)
    assert count == (parse_instant(last) - parse_instant(first)) / timedelta(seconds=1) + 1
    assert count >= 4
    ran = fires(place)
    assert not [fire for fire in ran if first <= fire <= last]
    assert str(record["time"]) < first < last < str(end["time"])
    assert len({*ran}) == len(ran)
    misfired = place.finished("tick", status="misfired")
    assert not [each for each in misfired if first <= str(each["missed_from"]) <= last]
    check_log(place.log)


@acts_alone
def test_a_pause_without_a_runner_holds_what_the_next_runner_finds(place: Place) -> None:
    place.declare("tick", "true", EACH_SECOND)
    place.declare("once", "true", "run_immediately")
    paused = place.run("pause", "--reason", REASON)
    assert paused.returncode == 0, paused.stderr
    runner = place.start()
    await_seconds(2)
    assert place.run("exec", "once").returncode == 0, "a person may still run it"
    assert [each["channel"] for each in place.finished("once")] == ["direct"]
    assert fires(place) == []
    assert place.stop(runner) == 0
    assert place.run("resume").returncode == 0
    assert place.run("resume").stdout == "all requests: nothing is paused\n"
    runner = place.start()
    place.await_finished("tick", status="success")
    place.await_finished("once", channel="process_scheduler", status="success")
    assert len(spans(place)) == 1
    assert place.stop(runner) == 0
    check_log(place.log)


def test_a_pause_with_an_end_is_over_by_itself_also_while_no_runner_is_running(
    place: Place,
) -> None:
    place.declare("tick", "true", EACH_SECOND)
    runner = place.start()
    end = datetime.now(UTC) + timedelta(seconds=3)
    paused = place.run("pause", "tick", "--until", end.isoformat(), "--reason", REASON)
    assert (paused.returncode, paused.stdout) == (0, "tick: paused\n"), paused.stderr
    place.await_finished("tick", status="skipped", reason="paused")
    (record,) = place.events("runner.resumed")
    assert (record["requested_by"], record["paused"]) == (None, ["tick"])
    assert parse_instant(str(record["paused_until"])) == end
    again = datetime.now(UTC) + timedelta(seconds=3)
    assert place.run("pause", "--until", again.isoformat(), "--reason", REASON).returncode == 0
    await_seconds(1)
    runner.kill()
    runner.wait(timeout=60)
    wait_until(partial(has_passed, again + timedelta(seconds=2)), what="the pause is over")
    runner = place.start()
    wait_until(lambda: len(place.events("runner.resumed")) == 2, what="the end of the pause")
    (_, last, _) = spans(place)[-1]
    assert parse_instant(last) < again

    def misses_after_the_pause() -> list[dict[str, Any]]:
        missed = place.finished("tick", status="misfired")
        return [each for each in missed if parse_instant(each["missed_from"]) >= again]

    assert len(wait_until(misses_after_the_pause, what="a miss")) == 1
    assert place.stop(runner) == 0
    check_log(place.log)


def test_a_pause_of_some_requests_leaves_the_others_alone(place: Place) -> None:
    place.declare("tick", "true", EACH_SECOND, top={"labels": {"team": "finance"}})
    place.declare("tock", "true", EACH_SECOND)
    runner = place.start()
    paused = place.run("pause", "--label", "team=finance", "--reason", REASON)
    assert (paused.returncode, paused.stdout) == (0, "tick: paused\n"), paused.stderr
    paused_at = now_text()
    place.await_finished("tock", count=3, status="success")
    assert not [fire for fire in fires(place) if fire > paused_at]
    assert place.run("resume", "tock").stdout == "tock: not paused\n"
    assert place.run("resume", "tick").stdout == "tick: resumed\n"
    place.await_finished("tick", status="skipped", reason="paused")
    assert place.finished("tock", status="skipped") == []
    assert place.stop(runner) == 0


def test_everything_that_lists_fires_shows_the_pause(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    place.declare("once", "true", {"run_later": {"start": "2100-01-01 02:00"}})
    runner = place.start()
    end = (datetime.now(UTC) + timedelta(days=3)).replace(hour=12)
    assert place.run("pause", "nightly", "--until", "3d", "--reason", REASON).returncode == 0
    words = f" by {place.person}: {REASON}"
    shown = place.run("next", "-n", "2")
    assert f"paused: nightly since {end.year}" in shown.stderr
    assert words in shown.stderr
    (fire, _) = place.items("next", "-n", "2")
    assert parse_instant(str(fire["scheduled_for"])) > datetime.now(UTC) + timedelta(days=2)
    (nightly, once) = place.items("ls")
    assert (nightly["pause"]["message"], once["pause"]) == (REASON, None)
    assert nightly["scheduled_for"] == fire["scheduled_for"]
    (status,) = place.items("status")
    assert [each["paused"] for each in status["paused"]] == [["nightly"]]
    assert [each["scheduled_for"] for each in status["next"]] == [
        each["scheduled_for"] for each in place.items("ls")
    ]
    assert words in place.run("show", "nightly").stdout
    assert words in place.run("explain", "nightly").stdout
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    (answer,) = place.items("explain", "nightly", "--at", f"{tomorrow} 02:00")
    assert answer["because"][0]["cause"] == "paused"
    assert words in answer["because"][0]["message"]
    assert words in place.run("plan").stderr
    assert words in place.run("simulate").stderr
    (week,) = place.items("simulate")
    (found,) = [each for each in place.items("doctor") if each["message"].startswith("paused: ")]
    assert (found["check"], found["level"]) == ("runner", "advice")
    assert words in found["message"]
    assert place.run("pause", "--reason", REASON).returncode == 0
    assert place.items("next") == []
    (paused,) = place.items("simulate")
    assert week["fires"] - paused["fires"] in {4, 5}, "those of the days after the first pause"
    assert place.stop(runner) == 0


def test_explain_names_the_pause_that_held_a_fire_of_the_past(place: Place) -> None:
    place.declare("tick", "true", EACH_SECOND)
    runner = place.start()
    assert place.run("pause", "--reason", REASON).returncode == 0
    await_seconds(2)
    at = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="seconds")
    (during,) = place.items("explain", "tick", "--at", at)
    assert place.run("resume").returncode == 0
    place.await_finished("tick", status="skipped", reason="paused")
    (later,) = place.items("explain", "tick", "--at", at)
    for answer in (during, later):
        assert (answer["because"][0]["cause"], answer["executions"]) == ("paused", [])
        assert REASON in answer["because"][0]["message"]
    assert place.stop(runner) == 0


def test_a_pause_that_makes_no_sense_is_refused_with_the_reason(place: Place) -> None:
    place.declare("tick", "true", DAILY)
    place.serve_fleet()
    for arguments, code, words in (
        (("pause",), 2, "--reason"),
        (("pause", "--reason", " "), 2, "--reason is empty"),
        (("pause", "--reason", "x" * 1001), 2, "longer than 1000"),
        (("pause", "--reason", "x", "--until", "2020-01-01"), 2, "not in the future"),
        (("pause", "tic", "--reason", "x"), 1, "did you mean 'tick'"),
        (("resume", "tic"), 1, "did you mean 'tick'"),
    ):
        done = place.run(*arguments)
        shown = done.stdout + done.stderr
        assert (done.returncode, words in shown) == (code, True), shown
    assert place.events("runner.paused") == []


def test_status_shows_the_next_fires_as_the_runner_knows_them_during_a_pause(
    place: Place,
) -> None:
    place.declare("nightly", "true", DAILY)
    place.declare("yearly", "true", {"run_later": {"start": "2100-01-01 02:00"}})
    runner = place.start()
    assert place.run("pause", "nightly", "--until", "3d", "--reason", REASON).returncode == 0
    (before,) = place.items("status")
    assert [each["request"] for each in before["next"]] == ["nightly", "yearly"]
    with place.standing_still(runner):
        place.declare("nightly", "true", {"run_later": {"start": "2100-01-01 03:00"}})
        (status,) = place.items("status")
    assert status == before
    assert place.stop(runner) == 0
