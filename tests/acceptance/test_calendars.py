"""Business calendars through the command line: what is shown, recorded, and kept over a crash."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
from support.place import GATE, Place, wait_until

DAY = timedelta(days=1)
HOLIDAYS = "# public holidays\n2100-01-01  # New Year\n*-12-25\n2100-01-06..2100-01-07 # closed\n"
FIRST = """\
process: {shell: echo closed}
timing:
  schedule:
    frequency: monthly
    day: 1
    at: "18:00"
    timezone: Europe/Madrid
    except: [holidays.txt]
    shift: next_workday
"""
MOVED = "moved from 2100-01-01, excepted by holidays.txt:2"


@pytest.fixture
def first(place: Place) -> Place:
    """A request on the first of each month, or the next workday. 2100 is a year like 2027."""
    place.write("holidays.txt", HOLIDAYS)
    place.write("first.yaml", FIRST)
    return place


def test_commands_say_where_a_fire_moved_from(first: Place) -> None:
    at = "2100-01-04 17:00:00+00:00"
    listed = first.run("next", "first", "--from", "2100-01-02", "-n", "2").stdout.splitlines()
    assert listed[1].startswith(at) and listed[1].endswith(MOVED)
    assert "moved" not in listed[2]
    (item,) = first.items("next", "first", "--from", "2100-01-02", "-n", "1")
    assert (item["local"], item["message"]) == (at, MOVED)


def test_explain_says_which_line_excepts_a_date_and_where_its_fire_goes(first: Place) -> None:
    answer = first.run("explain", "first", "--at", "2100-01-01 18:00").stdout
    assert "2100-01-01 is an excepted date (holidays.txt:2)" in answer
    assert "its fire moves to 2100-01-04 18:00:00+01:00" in answer
    saturday = first.run("explain", "first", "--at", "2100-05-01 18:00").stdout
    assert "2100-05-01 is a Saturday; its fire moves to 2100-05-03 18:00:00+02:00" in saturday
    first.write("first.yaml", FIRST.replace("shift: next_workday", "only: ['*-01-01', '*-02-01']"))
    assert "not one of the dates of `only`" in (
        first.run("explain", "first", "--at", "2100-03-01 18:00").stdout
    )


def test_explain_says_of_a_moved_fire_where_it_comes_from_and_what_ends_it(first: Place) -> None:
    question = ("explain", "first", "--at", "2100-01-04 18:00")
    assert f"its fire is {MOVED}\n" in first.run(*question).stdout
    assert first.items(*question)[0]["moved"] == MOVED
    assert first.items("explain", "first", "--at", "2100-02-01 18:00")[0]["moved"] is None
    first.write("first.yaml", FIRST.replace("at: ", "finish: 2100-01-03\n    at: "))
    (answer,) = first.items(*question)
    assert [each["cause"] for each in answer["because"]] == ["after_finish"]
    assert answer["moved"] is None


@pytest.mark.parametrize(
    ("frequency", "day"),
    [("daily, days: workdays", "2100-01-07"), ("monthly, day: first_workday", "2100-01-01")],
)
def test_explain_says_why_an_excepted_date_is_no_workday(
    first: Place, frequency: str, day: str
) -> None:
    schedule = f"{{frequency: {frequency}, at: '18:00', except: holidays.txt, timezone: UTC}}"
    first.write("first.yaml", f"process: {{shell: echo}}\ntiming: {{schedule: {schedule}}}\n")
    answer = first.run("explain", "first", "--at", f"{day} 18:00").stdout
    assert f"{day} is an excepted date (holidays.txt:" in answer
    assert "), so it is not a workday\n" in answer
    sunday = first.run("explain", "first", "--at", "2100-01-03 18:00").stdout
    assert "its rule has no fire at that time" in sunday


def test_simulate_shows_the_fires_that_a_calendar_moves(first: Place) -> None:
    first.declare("daily", "true", {"schedule": {"frequency": "daily", "at": "07:00"}})
    span = ("simulate", "--from", "2100-01-01", "--to", "2100-01-31")
    head, line, *more = first.run(*span).stdout.partition("MOVED TO")[2].splitlines()
    assert head.split() == ["REQUEST", "NOTE"]
    assert line.split(maxsplit=3)[2:] == ["first", MOVED]
    assert more == []
    (forecast,) = first.items(*span)
    (moved,) = forecast["moved"]
    assert (moved["request"], moved["scheduled_for"]) == ("first", "2100-01-04T17:00:00.000000Z")
    assert moved["message"] == MOVED
    assert first.items(*span, "--status", "unscheduled")[0]["moved"] == []
    assert "MOVED" not in first.run("simulate", "--from", "2100-02-01", "--to", "2100-02-02").stdout


def test_a_dates_file_that_a_shell_has_just_emptied_changes_nothing(first: Place) -> None:
    runner = first.start()
    file = first.jobs / "holidays.txt"
    file.write_bytes(b"")  # as `runner calendar ES > holidays.txt` does before it writes
    (rejected,) = wait_until(lambda: first.events("request.rejected"))
    (problem,) = (each for each in rejected["problems"] if "holidays.txt" in each["file"])
    assert problem["message"] == "the file is empty"
    (fire,) = first.items("next", "first", "--from", "2100-01-01", "-n", "1")
    assert fire["message"] == MOVED
    file.write_text("# none\n")
    wait_until(lambda: first.items("ls")[0]["sync"] == "in sync")
    (fire,) = first.items("next", "first", "--from", "2100-01-01", "-n", "1")
    assert fire["message"] is None
    assert first.stop(runner) == 0


def test_a_schedule_is_described_with_its_calendar(first: Place) -> None:
    (shown,) = first.items("ls")
    assert shown["timing"] == (
        "every month on day 1 at 18:00, except on 4 dates, moved to the next workday "
        "(Europe/Madrid)"
    )


def test_plan_shows_what_a_new_line_of_a_dates_file_changes(first: Place) -> None:
    first.write("first.yaml", FIRST.replace("at: ", "start: 2099-12-31\n    at: "))
    first.stop(first.start())
    first.write("holidays.txt", HOLIDAYS + "2100-01-04\n")
    planned = first.run("plan")
    assert planned.returncode == 3
    before, after = (
        next(line for line in planned.stdout.splitlines() if f"next {word}" in line)
        for word in ("before", "after")
    )
    assert "2100-01-04 18:00" in before and MOVED in before
    assert "2100-01-05 18:00" in after and MOVED in after


def test_a_problem_in_a_dates_file_is_reported_where_it_is(first: Place) -> None:
    first.write("holidays.txt", "2100-01-01\n  2100-02-30 # typo\n")
    done = first.run("validate")
    assert done.returncode == 1
    assert "holidays.txt:2:3: there is no 2100-02-30 in the calendar" in done.stdout


def test_a_changed_dates_file_is_live_without_a_restart(first: Place) -> None:
    first.start()
    first.write("first.yaml", FIRST.replace("at: ", "start: 2099-12-31\n    at: "))

    def is_live(fire: str) -> bool:
        (shown,) = first.items("show", "first")
        return bool(shown["scheduled_for"].startswith(fire) and shown["sync"] == "in sync")

    wait_until(lambda: is_live("2100-01-04T17:00"), what="the request with its calendar")
    first.write("holidays.txt", HOLIDAYS + "2100-01-04\n")
    wait_until(lambda: is_live("2100-01-05T17:00"), what="the new line of the file")


def test_a_moved_fire_runs_once_and_its_record_says_from_where_over_a_crash(place: Place) -> None:
    place.start()
    now = datetime.now(UTC) + timedelta(seconds=3)
    today, yesterday = now.date(), now.date() - DAY
    place.write("holidays.txt", f"# closed\n{yesterday}\n")
    times = [now + timedelta(seconds=3 * number) for number in range(1, 30)]
    at = [f"{each:%H:%M:%S}" for each in times if each.date() == today]
    schedule = {
        "frequency": "daily", "at": at, "only": [str(yesterday)], "except": "holidays.txt",
        "shift": "next", "timezone": "UTC",
    }  # fmt: skip
    place.declare("moved", GATE, {"schedule": schedule}, prevent_concurrent=True)
    started = wait_until(lambda: place.events("execution.started"), what="a moved fire")[0]
    moved = f"moved from {yesterday}, excepted by holidays.txt:2"
    assert started["message"] == moved
    assert started["scheduled_for"].startswith(str(today))

    place.running[-1].send_signal(signal.SIGKILL)
    place.running[-1].wait()
    place.start()
    place.open_gate()
    finished = wait_until(
        lambda: [
            record
            for record in place.events("execution.finished")
            if record["execution"] == started["execution"]
        ],
        what="the end of the execution that outlived its runner",
    )
    assert len(finished) == 1
    assert finished[0]["message"].startswith(moved)
    fires = [record["scheduled_for"] for record in place.events("execution.started")]
    assert len(fires) == len(set(fires)), json.dumps(fires)
