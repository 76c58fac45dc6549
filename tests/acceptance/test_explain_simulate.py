"""`explain` and `simulate`, as a person uses them."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from support.place import GATE, SECONDLY, Place, wait_until
from support.process_world import is_dead

from runner.cli.group import cli
from runner.values import parse_instant

SLOW = (
    "process: {shell: sleep 1.4, prevent_concurrent: true}\ntiming: {schedule: "
    "{frequency: secondly}}\n"
)
DAILY = (
    'process: {{shell: "true"}}\ntiming: {{schedule: {{frequency: daily, at: '
    '"{at}", timezone: Europe/Madrid}}}}\n'
)


def answered(place: Place, *arguments: str) -> dict[str, Any]:
    """Return what a command prints as JSON, run in this process because a new one
    starts slowly.
    """
    done = CliRunner(env=place.environment).invoke(
        cli, [*arguments, "-o", "json"], catch_exceptions=False
    )
    assert (done.exit_code, done.stderr) == (0, "")
    item = json.loads(done.stdout)
    assert isinstance(item, dict)
    return item


def explained(place: Place, *arguments: str) -> dict[str, Any]:
    return answered(place, "explain", *arguments)


def causes(place: Place, name: str, at: str) -> list[str]:
    return [because["cause"] for because in explained(place, name, "--at", at)["because"]]


def second(record: dict[str, Any], field: str = "scheduled_for") -> str:
    return f"{record[field][:19]}Z"


def test_a_cron_expression_is_explained_with_its_fires_and_cautions(
    place: Place,
) -> None:
    # Not at a time of clock changes: some of them are on 31 March.
    done = place.run("explain", "30 4 31 * *", "--timezone", "Europe/Madrid", "-n", "2")
    assert (done.returncode, done.stderr) == (0, "")
    first, blank, head, *fires, another_blank, caution = done.stdout.splitlines()[:7]
    assert first == 'cron "30 4 31 * *", at 04:30 on the 31st day of every month (Europe/Madrid)'
    assert (blank, another_blank) == ("", "")
    assert head.split() == ["NEXT", "FIRES", "DAY", "IN"]
    assert len(fires) == 2
    assert all(" 04:30:00+0" in fire for fire in fires)
    assert caution.startswith("caution: there is no day 31 in February")


def test_explain_reads_a_schedule_as_written_in_a_file(place: Place) -> None:
    item = explained(
        place,
        "{frequency: monthly, day: last_workday, at: '18:00', timezone: Asia/Kolkata}",
        "-n",
        "3",
    )
    assert item["timing"] == "every month on the last workday at 18:00 (Asia/Kolkata)"
    assert (item["zone"], item["cautions"]) == ("Asia/Kolkata", [])
    assert [fire["local"][10:] for fire in item["next"]] == [" 18:00:00+05:30"] * 3
    for fire in item["next"]:
        assert parse_instant(fire["scheduled_for"]) == datetime.fromisoformat(fire["local"])
    later = explained(place, "run_later: {start: 2097-12-24 18:00}")
    assert later["timing"] == "once, at 2097-12-24 18:00 (UTC)"


def test_an_invalid_expression_gets_a_clear_message(place: Place) -> None:
    done = place.run("explain", "0 0 31 2 *")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "runner: '0 0 31 2 *' can never fire: no date matches its days and months"
    )


def test_explain_at_says_whether_an_expression_fires_at_an_instant(place: Place) -> None:
    item = explained(
        place, "0 2 * * 1-5", "--timezone", "Europe/Madrid", "--at", "2026-12-24 02:00"
    )
    assert item["because"] == [{"cause": "fires", "message": "it fires at that time"}]
    text = place.run(
        "explain", "0 2 * * 1-5", "--timezone", "Europe/Madrid", "--at", "2026-12-26 02:00"
    ).stdout
    assert text.splitlines() == [
        "0 2 * * 1-5 at 2026-12-26 02:00:00+01:00",
        "  its rule has no fire at that time",
        "  nearest fire before: 2026-12-25 02:00:00+01:00",
        "  nearest fire after: 2026-12-28 02:00:00+01:00",
    ]
    done = place.run("explain", "0 2 * * 1-5", "--at", "tomorrow")
    assert done.returncode == 2
    assert "--at: 'tomorrow' is not a time" in done.stderr


def test_an_unknown_or_invalid_request_gets_a_clear_message(place: Place) -> None:
    place.write("good.yaml", DAILY.format(at="02:00"))
    place.write("bad.yaml", "process: {shel: oops}\n")
    done = place.run("explain", "goood")
    assert (done.returncode, done.stderr) == (
        2,
        "runner: there is no request 'goood'; did you mean 'good'?\n",
    )
    done = place.run("explain", "bad")
    assert done.returncode == 1
    assert "'bad' has no valid version: " in done.stderr
    assert explained(place, "good")["status"] == "scheduled"


def test_explain_says_why_a_request_ran_was_skipped_or_did_not_run(place: Place) -> None:
    place.declare("slow", GATE, SECONDLY, prevent_concurrent=True)
    place.write("daily.yaml", DAILY.format(at="02:00"))
    process = place.start()
    (skipped, *_) = place.await_finished("slow", reason="concurrent")
    place.open_gate()
    (ran, *_) = place.await_finished("slow", status="success")
    assert causes(place, "slow", second(ran)) == ["ran"]
    item = explained(place, "slow", "--at", second(ran))
    assert item["executions"] == [ran["execution"]]
    assert item["scheduled_for"] == ran["scheduled_for"]
    assert "success" in item["because"][0]["message"]
    assert causes(place, "slow", second(skipped)) == ["skipped"]
    assert causes(place, "daily", "2026-01-02 02:00") == ["not_registered"]
    assert causes(place, "daily", "2097-01-02 02:00") == ["to_come"]
    assert causes(place, "daily", "2097-01-02 02:01") == ["no_fire"]

    place.run("unschedule", "slow", "daily")
    (unscheduled,) = wait_until(
        lambda: place.events("request.unscheduled", "slow"), what="the answer is recorded too"
    )
    after = parse_instant(unscheduled["time"]).replace(microsecond=0) + timedelta(seconds=1)
    wait_until(lambda: datetime.now(UTC) > after)
    (because,) = explained(place, "slow", "--at", after.isoformat().replace("+00:00", "Z"))[
        "because"
    ]
    assert because["cause"] == "unscheduled"
    assert f"by {unscheduled['requested_by']}" in because["message"]
    assert causes(place, "daily", "2097-01-02 02:00") == ["unscheduled"]
    text = place.run("explain", "daily").stdout
    assert "daily is unscheduled: unscheduled by " in text
    assert place.stop(process) == 0


def test_explain_of_a_renamed_request_knows_its_records_under_the_former_name(place: Place) -> None:
    secondly = {"process": {"shell": "true"}, "timing": {"schedule": {"frequency": "secondly"}}}
    place.write("old.yaml", json.dumps(secondly))
    runner = place.start()
    record = place.await_finished("old", status="success")[0]
    (place.jobs / "old.yaml").unlink()
    place.write("new.yaml", json.dumps(secondly | {"formerly": "old"}))
    place.await_finished("new")
    assert place.stop(runner) == 0
    reported = explained(place, "new", "--at", second(record))
    assert ([each["cause"] for each in reported["because"]], reported["executions"]) == (
        ["ran"],
        [record["execution"]],
    )


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_explain_says_that_no_runner_was_running(place: Place, by: signal.Signals) -> None:
    place.write(
        "tick.yaml",
        (
            "process: {shell: 'true'}\ntiming: {schedule: {frequency: secondly, "
            "misfire_grace: 500ms}}\n"
        ),
    )
    place.declare("cut", GATE, "run_immediately")
    process = place.start("--drain", "0s")
    place.await_finished("tick", status="success")
    (cut,) = wait_until(
        lambda: place.events("execution.started", "cut"),
        what="the start of the execution to cut off",
    )
    place.stop(process, by=by)
    place.open_gate()
    # The next runner records it before its own start: it is no sign of life of the
    # former one.
    wait_until(lambda: is_dead(cut["pid"]), what="the end of what was cut off")
    gone = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    at = gone.isoformat().replace("+00:00", "Z")
    wait_until(lambda: datetime.now(UTC) > gone + timedelta(seconds=1))
    assert causes(place, "tick", at) == ["runner_down"]
    second_process = place.start()
    wait_until(
        lambda: any(_covers(record, at) for record in place.finished("tick")),
        what="it is recorded as missed",
    )
    assert causes(place, "tick", at) == ["missed", "runner_down"]
    text = place.run("explain", "tick", "--at", at).stdout
    assert ("since " if by is signal.SIGTERM else "; a runner was last seen at ") in text
    assert "no runner was running" in text
    assert "the next started at " in text
    assert place.stop(second_process) == 0


def _covers(record: dict[str, Any], at: str) -> bool:
    """Return whether a record is of a missed span that contains an instant (whole seconds)."""
    if record["status"] != "misfired":
        return False
    begin, end, instant = map(parse_instant, (record["missed_from"], record["missed_until"], at))
    return begin <= instant <= end


def simulated(place: Place, *arguments: str) -> dict[str, Any]:
    return answered(place, "simulate", *arguments)


def finished(place: Place, request: str, duration_s: float, status: str = "success") -> None:
    """Append the record of a past execution to the monitor log."""
    record = {
        "event": "execution.finished",
        "request": request,
        "status": status,
        "duration_s": duration_s,
    }
    place.state.mkdir(exist_ok=True)
    with (place.folder / "past.jsonl").open("a") as log:
        log.write(
            json.dumps(
                {**record, "time": "2026-11-22T02:00:00.000000Z", "started": "2026-11-22T02:00:00Z"}
            )
            + "\n"
        )


SPAN = ("--from", "2097-11-22 00:00", "--to", "2097-11-24 00:00")


def test_a_simulation_counts_overlaps_and_waits_from_past_durations(place: Place) -> None:
    place.write(
        "each.yaml",
        'process: {shell: "true"}\ntiming: {schedule: {frequency: minutely, interval: 10}}\n',
    )
    place.write("one.yaml", SLOW.replace("secondly", "hourly"))
    place.write("daily.yaml", DAILY.format(at="02:00"))
    for duration_s in (899.0, 901.0, 5.0):
        finished(place, "each", duration_s)
    for _ in range(4):  # its condition was not met
        finished(place, "each", 0.01, "skipped")
    finished(place, "one", 4000.0)
    past = ("--monitor-log", str(place.folder / "past.jsonl"))
    item = simulated(place, *SPAN, *past)
    requests = {each["request"]: each for each in item["requests"]}
    assert (item["fires"], requests["each"]["fires"], requests["one"]["fires"]) == (
        288 + 48 + 2,
        288,
        48,
    )
    assert requests["each"]["duration_s"] == 899.0
    assert requests["each"]["overlapping"] == 287
    assert (requests["one"]["overlapping"], requests["one"]["skipped"]) == (24, 24)
    assert requests["daily"]["duration_s"] is None
    assert item["busiest"]["starts"] == 3
    assert item["busiest"]["local"] == "2097-11-22 01:00:00+00:00"
    assert [sum(day["hours"]) for day in item["days"]] == [169, 169]
    bounded = simulated(place, *SPAN, *past, "--max-running", "1")
    assert sum(each["waiting"] for each in bounded["requests"]) > 0


def test_a_group_is_counted_once_without_its_members(place: Place) -> None:
    """The group's duration includes its members; counting them too would count them twice."""
    members = [{"name": "quick", "shell": "true"}, {"name": "extract", "shell": "sleep 1"}]
    timing = {"schedule": {"frequency": "daily", "at": "02:00"}}
    place.write(
        "month-end.yaml", json.dumps({"process": {"group": {"members": members}}, "timing": timing})
    )
    place.declare("extract", "true", timing)
    with place.acted_on():
        for name in ("month-end", "extract"):
            assert place.run("exec", name).returncode == 0
    durations = {
        each["request"]: each["duration_s"] for each in answered(place, "simulate")["requests"]
    }
    for name in ("month-end", "extract"):
        (own,) = (each for each in place.finished(name) if each["group"] is None)
        assert durations[name] == own["duration_s"]
        assert explained(place, name, "--at", second(own))["executions"] == [own["execution"]]


def test_a_running_group_is_shown_as_one_execution(place: Place) -> None:
    content = {
        "process": {"group": {"members": [{"name": "waits", "shell": GATE}]}},
        "timing": "run_immediately",
    }
    place.write("month-end.yaml", json.dumps(content))
    place.start()
    wait_until(lambda: len(place.events("execution.started", "month-end")) == 2)
    (whole,) = (
        each for each in place.events("execution.started", "month-end") if each["group"] is None
    )
    assert place.items("show", "month-end")[0]["executions"] == [whole["execution"]]


def test_the_heat_map_fits_a_terminal_and_its_shades_are_explained(place: Place) -> None:
    place.write(
        "each.yaml",
        'process: {shell: "true"}\ntiming: {schedule: {frequency: minutely, interval: 10}}\n',
    )
    place.write(
        "night.yaml",
        (
            "process: {shell: 'true'}\ntiming: {schedule: {frequency: cron, expression: '* "
            "2 * * *'}}\n"
        ),
    )
    done = place.run("simulate", *SPAN)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    (row,) = [line for line in lines if line.startswith("Fri 2097-11-22")]
    assert row[16:64] == "░░░░██" + "░" * 42
    assert row.split()[-1] == "204"
    assert "  ░ 1–16  ▒ 17–33  ▓ 34–49  █ 50–66" in done.stdout
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    month = place.run("simulate", "--from", "2097-11-01", "--to", "2097-12-30")
    assert (
        month.stdout
        == place.run("simulate", "--from", "2097-11-01 00:00", "--to", "2097-12-31 00:00").stdout
    )
    assert [
        line.split()[0] for line in month.stdout.splitlines() if line.startswith(("Mon", "Sun"))
    ] == [
        "Monday",
        "Sunday",
    ]


def test_an_empty_catalog_and_an_impossible_span_get_clear_messages(place: Place) -> None:
    place.write(
        "once.yaml", 'process: {shell: "true"}\ntiming: {run_later: {start: "2097-01-01 00:00"}}\n'
    )
    assert place.run("simulate").stdout.startswith("0 fires of 0 requests\n")
    for arguments, words in (
        (("--from", "2097-01-02 00:00", "--to", "2097-01-01 00:00"), "the span is empty"),
        (("--to", "2097-01-01 00:00"), "longer than 366 days"),
    ):
        done = place.run("simulate", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
