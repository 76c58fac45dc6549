"""`monitor`, `log`, `ls`, `next`, `show`: past, running and upcoming executions, as
JSON lines and with --follow.
"""

from __future__ import annotations

import json
import signal

import pytest
from support.place import GATE, RECORD_SCHEMA, Place, end_of, wait_until

FAR_OFF = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2100-01-01"}}
"""Its next fire is the same one in all of a test, whenever that is run."""


def test_json_lines_have_the_field_names_of_the_monitor_record(place: Place) -> None:
    place.declare("daily", "true", FAR_OFF, top={"description": "every night", "owner": "finance"})
    place.declare("plain", "echo out; exit 3")
    place.write("bad.yaml", "process: {shel: oops}\n")
    with place.acted_on():
        place.run("exec", "plain")
    items = {item["request"]: item for item in place.items("ls")}
    assert {name: item["status"] for name, item in items.items()} == {
        "bad": "invalid",
        "daily": "scheduled",
        "plain": "definition",
    }
    fields = (
        "request status sync scheduled_for request_file last_status last_ended owner labels timing "
        "drift pause alerts backfill reopened_until message"
    )
    for item in items.values():
        assert " ".join(item) == fields
    assert "shel" in items["bad"]["message"]

    (shown,) = place.items("show", "daily")
    assert (
        shown
        | {
            "request": "daily",
            "status": "scheduled",
            "scheduled_for": items["daily"]["scheduled_for"],
            "request_file": f"{place.jobs / 'daily.yaml'}:1",
            "description": "every night",
            "owner": "finance",
            "process": "shell: true",
            "timing": "every day at 02:00, from 2100-01-01 00:00 (UTC)",
        }
        == shown
    )
    coming = place.items(
        "next", "--from", "2130-01-01 12:00", "-n", "2", "--timezone", "Europe/Madrid"
    )
    assert coming == [
        {
            "request": "daily",
            "scheduled_for": f"2130-01-0{day}T01:00:00.000000Z",
            "local": f"2130-01-0{day} 02:00:00+01:00",
            "zone": "Europe/Madrid",
            "message": None,
        }
        for day in (2, 3)
    ]
    assert shown["next"][0] == shown["scheduled_for"]

    (ran,) = place.items("monitor", "--status", "error", "--since", "1h")
    assert ran == place.finished("plain")[0]
    assert ran.keys() <= RECORD_SCHEMA["properties"].keys()


def test_a_date_means_its_midnight_in_from_and_its_whole_day_in_until(
    place: Place,
) -> None:
    place.declare(
        "twice", "true", {"schedule": {"frequency": "daily", "at": ["00:00", "23:59:59"]}}
    )
    zone = ("--timezone", "Europe/Madrid")
    coming = place.items("next", "--from", "2030-03-30", "--until", "2030-03-31", *zone)
    whole = [
        f"2030-03-{time}"
        for time in ("30 00:00:00+01", "30 23:59:59+01", "31 00:00:00+01", "31 23:59:59+02")
    ]
    assert [item["local"] for item in coming] == [f"{each}:00" for each in whole]
    (span,) = place.items("simulate", "--from", "2030-03-30", "--to", "2030-03-31", *zone)
    assert (span["from"], span["to"]) == (
        "2030-03-29T23:00:00.000000Z",
        "2030-03-31T22:00:00.000000Z",
    )
    assert [(day["date"], sum(day["hours"])) for day in span["days"]] == [
        ("2030-03-30", 2),
        ("2030-03-31", 2),
    ]
    (past, *_) = place.items("next", "--from", "2020-03-30", *zone)
    assert past["local"] == "2020-03-30 00:00:00+02:00"
    assert " ago  twice\n" in place.run("next", "--from", "2020-03-30", "-n", "1").stdout


def test_monitor_follow_shows_new_records(place: Place) -> None:
    place.declare("plain", "true")
    place.serve_fleet()
    place.run("exec", "plain")
    (before,) = place.await_finished("plain")
    following = place.begin("monitor", "-f", "--output", "json")
    assert following.stdout is not None
    assert json.loads(following.stdout.readline()) == before
    place.run("exec", "plain")
    added = json.loads(following.stdout.readline())
    assert added == place.await_finished("plain", count=2)[1]
    following.send_signal(signal.SIGINT)
    assert end_of(following) == (0, b"", "")


def test_log_takes_the_beginning_of_an_id_and_follows_the_output_to_its_end(
    place: Place,
) -> None:
    place.declare("long", f"seq 3000; {GATE}; printf 'last\\377'")
    place.declare("never", "true", directory="nowhere")
    place.declare("0", "true", directory="nowhere")  # a name that is a part of every id
    place.serve_fleet()
    command = place.begin("exec", "long")
    (started,) = wait_until(lambda: place.events("execution.started", "long"))
    following = place.begin("log", started["execution"][:20].upper(), "--follow")
    numbers = "".join(f"{number}\n" for number in range(1, 3001)).encode()
    assert following.stdout is not None
    assert following.stdout.read(len(numbers)) == numbers
    place.open_gate()
    assert end_of(following) == (0, b"last\xff", "")
    assert end_of(command)[:2] == (0, numbers + b"last\xff")

    place.run("exec", "never")
    (never,) = place.await_finished("never")
    refused = place.run("log", never["execution"])
    assert refused.returncode == 1
    assert "never started, so it has no output: " in refused.stderr
    place.run("exec", "0")
    (zero,) = place.await_finished("0")
    refused = place.run("log", "0")
    assert refused.returncode == 1
    assert f"execution {zero['execution']} never started" in refused.stderr
    # An id begins with its time: its first two digits change every 35 years, its first
    # four every 50 days.
    for prefix, words in (
        (started["execution"][:2], " is ambiguous: "),
        ("zz", "the monitor log has no started execution of"),
    ):
        refused = place.run("log", prefix)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr


@pytest.mark.parametrize("command", [("log", "-f"), ("monitor", "-f")], ids=" ".join)
def test_a_following_command_ends_when_its_pipe_is_closed(
    place: Place, command: tuple[str, ...]
) -> None:
    place.declare("quiet", f"echo one; echo two; {GATE}", "run_immediately")
    place.declare("quick", "true", "run_immediately")
    place.start()
    place.await_finished("quick")
    (started,) = wait_until(lambda: place.events("execution.started", "quiet"))
    wait_until(lambda: place.output_of(started) == "one\ntwo\n")
    following = place.begin(*command, *([started["execution"]] if command[0] == "log" else []))
    assert following.stdout is not None and following.stderr is not None
    assert following.stdout.readline()
    following.stdout.close()
    with following.stderr:
        assert (following.wait(timeout=60), following.stderr.read()) == (1, b"")
    assert not place.finished("quiet")


@pytest.mark.sqlite_only("the driver of the database imports more")
def test_the_monitor_imports_only_what_reading_a_log_needs(place: Place) -> None:
    place.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    done = place.run("monitor", "--status", "error")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert (done.returncode, done.stdout) == (0, "")
    assert {"runner.monitor.reading", "click"} <= loaded
    assert loaded.isdisjoint(
        {"yaml", "jsonschema", "sqlite3", "schedule", "loguru", "watchdog", "asyncio", "subprocess"}
    )
    own = {
        name
        for name in loaded
        if name.startswith(("runner.requests.", "runner.service.", "runner.store."))
    }
    assert own == {"runner.requests.settings", "runner.store.place"}
