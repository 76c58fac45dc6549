"""Outputs are kept as long as `retention` says, also over restarts, and commands say so."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from datetime import timedelta

from support.clock_world import NOON, GivenClock, living
from support.place import GATE, SECONDLY, Place, end_of, wait_until

from runner.store.opening import read_store

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "timezone": "UTC"}}


def outputs(place: Place) -> set[str]:
    """Return the executions whose outputs exist."""
    with closing(read_store(place.store)) as reader:
        stored = {*reader.output_sizes()}
    return stored | {path.stem for path in (place.state / "outputs").glob("*/*/*.out")}


def executed(place: Place, name: str, count: int) -> list[str]:
    """Run a request some times by hand; return the executions."""
    before = len(place.finished(name))
    for _ in range(count):
        place.run("exec", name)
    found = place.await_finished(name, count=before + count)
    return [record["execution"] for record in found][before:]


def test_a_bound_on_outputs_holds_after_kill_9_and_failures_stay(place: Place) -> None:
    kept = {"retention": {"keep_count": 2, "failures_keep_for": "90d"}}
    place.declare("tick", "test -e ../broken && echo bad && exit 1; echo fine", DAILY, top=kept)
    place.declare("plain", "echo plain", DAILY)
    runner = place.start()
    (place.folder / "broken").touch()
    failed = executed(place, "tick", 1)
    (place.folder / "broken").unlink()
    fine = executed(place, "tick", 4)
    plain = executed(place, "plain", 3)
    assert outputs(place) == {*failed, *fine, *plain}
    place.stop(runner, by=signal.SIGKILL)
    runner = place.start()
    wait_until(lambda: outputs(place) == {*failed, *fine[2:], *plain})
    (shown,) = place.items("show", "tick")
    assert (shown["last_status"], shown["outputs"]["executions"]) == ("success", 3)
    assert place.run("log", fine[3]).stdout == "fine\n"
    gone = place.run("log", fine[0])
    assert (gone.returncode, "is gone" in gone.stderr) == (1, True)
    assert place.stop(runner) == 0


def test_an_adopted_execution_keeps_its_output_until_it_ended(place: Place) -> None:
    (place.folder / "runner.yaml").write_text("outputs: {keep_count: 0}\n")
    place.declare(
        "slow", f"echo begun; {GATE}; echo ended", DAILY, top={"retention": {"keep_count": 0}}
    )
    runner = place.start()
    command = place.begin("exec", "slow")
    place.await_started("slow")
    (execution,) = wait_until(lambda: outputs(place), what="an output")
    place.stop(runner, by=signal.SIGKILL)
    runner = place.start()
    place.add_worker()  # that of the former runner takes nothing new
    place.declare("other", "true", {"run_immediately": {}})
    place.await_finished("other")
    assert execution in outputs(place)
    place.open_gate()
    place.await_finished("slow")
    assert place.run("log", execution).stdout == "begun\nended\n"
    end_of(command)
    place.stop(runner, by=signal.SIGKILL)
    runner = place.start()
    wait_until(lambda: not outputs(place))
    assert place.stop(runner) == 0


def test_each_end_has_exactly_one_result_whatever_moment_a_kill_hits(place: Place) -> None:
    place.declare("fine", "true", SECONDLY)
    place.declare("bad", "exit 1", SECONDLY, retry={"attempts": 2, "delay": "100ms"})
    members = [{"name": "one", "shell": "true"}, {"name": "two", "shell": "true"}]
    group = {"process": {"group": {"members": members}}, "timing": SECONDLY}
    place.write("group.yaml", json.dumps(group))
    for count in range(1, 6):
        runner = place.start()
        place.await_finished("group", count=2 * count, group=None)
        place.stop(runner, by=signal.SIGKILL)
    runner = place.start()
    assert place.stop(runner) == 0
    ended = [
        (record["execution"], record["request"], record["status"])
        for record in place.events("execution.finished")
        if record["group"] is None and record["status"] not in ("skipped", "misfired")
    ]
    with closing(read_store(place.store)) as reader:
        kept = [
            (row.execution, row.request, row.status)
            for name in ("fine", "bad", "group")
            for row in reader.results_of(name)
        ]
    assert sorted(kept) == sorted(ended)


def test_plan_says_which_outputs_a_shorter_retention_deletes_and_they_go(place: Place) -> None:
    place.declare("tick", "echo 123456789", DAILY)
    runner = place.start()
    ids = executed(place, "tick", 5)
    assert place.stop(runner) == 0
    place.declare("tick", "echo 123456789", DAILY, top={"retention": {"keep_count": 2}})
    planned = place.run("plan")
    assert planned.returncode == 3
    assert "outputs deleted by the new retention: 1\n    tick: 3 executions, 30 B\n" in (
        planned.stdout
    )
    lines = place.run("plan", "--output", "json").stdout.splitlines()
    (step,) = [each for each in map(json.loads, lines) if each.get("request") == "tick"]
    assert (step["outputs_deleted"], step["output_bytes_deleted"]) == (3, 30)
    assert "retention.keep_count: 2 (new)" in planned.stdout
    runner = place.start()
    wait_until(lambda: outputs(place) == set(ids[3:]))
    assert place.stop(runner) == 0
    place.declare("tick", "echo 123456789", DAILY, top={"retention": {"keep_count": 20}})
    assert "outputs deleted" not in place.run("plan").stdout


def test_plan_says_which_outputs_a_shorter_retention_of_the_settings_deletes(place: Place) -> None:
    place.declare("tick", "echo 123456789", DAILY)
    of_its_own = {"retention": {"keep_count": 9}, "labels": {"team": "audit"}}
    place.declare("kept", "echo 123456789", DAILY, top=of_its_own)
    runner = place.start()
    executed(place, "tick", 3)
    executed(place, "kept", 3)
    assert place.stop(runner) == 0
    (place.folder / "runner.yaml").write_text("retention: {keep_count: 1}\n")
    planned = place.run("plan")
    assert planned.returncode == 3
    section = "outputs deleted by the new retention: 1\n    tick: 2 executions, 20 B\n"
    assert section in planned.stdout
    summary = json.loads(place.run("plan", "--output", "json").stdout)
    assert (summary["outputs_deleted"], summary["output_bytes_deleted"]) == (2, 20)
    assert place.run("plan", "--label", "team=audit").returncode == 0
    runner = place.start()
    assert place.run("plan").returncode == 0, "it is in force"
    assert place.stop(runner) == 0


def test_outputs_go_by_age_an_hour_after_the_start_and_never_by_a_wrong_clock(
    place: Place,
) -> None:
    place.declare(
        "hourly",
        "echo x",
        {"schedule": {"frequency": "hourly"}},
        top={"retention": {"keep_for": "3h"}},
    )
    with living(place, GivenClock(NOON)) as life:
        life.go_on(10 * HOUR, by=HOUR)
        assert 3 <= len(outputs(place)) <= 5
        life.step(365 * DAY)
        life.go_on(timedelta(minutes=50), by=timedelta(minutes=10))
        assert len(outputs(place)) >= 4, "the clock was set less than an hour ago"
        life.go_on(2 * HOUR, by=HOUR)
        assert len(outputs(place)) <= 4


def test_a_renamed_request_keeps_its_outputs_as_the_new_file_says(place: Place) -> None:
    old = place.declare("old", "echo x", DAILY)
    runner = place.start()
    ids = executed(place, "old", 3)
    old.unlink()
    place.declare("new", "echo x", DAILY, top={"formerly": "old", "retention": {"keep_count": 1}})
    place.run("reload")
    place.stop(runner, by=signal.SIGKILL)
    runner = place.start()
    wait_until(lambda: outputs(place) == {ids[-1]})
    assert place.stop(runner) == 0


def test_a_removed_request_keeps_its_outputs_as_its_file_said(place: Place) -> None:
    file = place.declare("audit", "echo x", DAILY, top={"retention": {"keep_for": "365d"}})
    with living(place, GivenClock(NOON)) as life:
        life.go_on(DAY, by=HOUR)
        (execution,) = outputs(place)
        file.unlink()
        life.runner._parts.reloader.look_again(at_once=True)
        while "audit" in life.runner.registry.requests:
            life.settle()
        life.go_on(60 * DAY, by=12 * HOUR)
        assert outputs(place) == {execution}
        life.go_on(40 * DAY, by=12 * HOUR)
        assert outputs(place) == set(), "90 days later its state is forgotten"


def test_commands_say_how_long_outputs_are_kept(place: Place) -> None:
    (place.folder / "runner.yaml").write_text("retention: {failures_keep_for: 60d}\n")
    place.write("_defaults.yaml", "retention: {keep_for: 1d, keep_size: 1MB}\n")
    place.declare("tick", "true", DAILY, top={"retention": {"keep_for": "2d"}})
    (shown,) = place.items("show", "tick")
    assert shown["retention"] == "for 2d, failures for 60d, of each at most 1MB"
    explained = place.run("explain", "tick").stdout
    assert "its outputs are kept for 2d, failures for 60d, of each at most 1MB" in explained
    doctored = place.run("doctor").stdout
    assert "outputs       0 outputs, 0 B; at most 100,000 outputs or 1.0 GiB are kept" in doctored
    origins = {item["path"]: item["origin"] for item in place.items("show", "tick", "--resolved")}
    assert origins["retention.keep_for"].endswith("tick.yaml:1")
    assert origins["retention.keep_size"].endswith("_defaults.yaml:1")
    assert origins["retention.failures_keep_for"].endswith("runner.yaml:1")
    place.declare("plain", "true", DAILY)
    (place.jobs / "_defaults.yaml").unlink()
    settings = {
        item["path"]: (item["value"], item["origin"])
        for item in place.items("show", "plain", "--resolved")
    }
    assert settings["retention.keep_for"] == ("30d", "default")


def test_a_retention_without_an_effect_is_a_caution(place: Place) -> None:
    place.declare(
        "tick", "true", DAILY, top={"retention": {"keep_for": "30d", "failures_keep_for": "7d"}}
    )
    validated = place.run("validate")
    assert (validated.returncode, "has no effect: 7d is shorter" in validated.stdout) == (0, True)
    assert place.run("validate", "--strict").returncode == 1
