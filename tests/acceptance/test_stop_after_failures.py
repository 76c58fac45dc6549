"""A request that fails too often in a row is unscheduled, across restarts and crashes."""

from __future__ import annotations

import re
import signal
from contextlib import closing

from support.place import SECONDLY, Place, check_log, wait_until

from runner.store.opening import read_store

STRICT = {"on_failure": {"unschedule_after": 3}}
FAILING = "test -e ../fixed"


def test_failures_in_a_row_unschedule_a_request_until_somebody_schedules_it(place: Place) -> None:
    place.declare("poll", FAILING, SECONDLY, top=STRICT)
    runner = place.start()
    place.await_finished("poll", status="error")
    place.stop(runner, by=signal.SIGKILL)
    runner = place.start()
    (stopped,) = wait_until(lambda: place.events("request.unscheduled", "poll"))
    assert (stopped["message"], stopped["drift"]) == ("after 3 failures in a row", True)
    assert (stopped["requested_by"], stopped["channel"]) == (None, "process_scheduler")
    place.stop(runner, by=signal.SIGKILL)

    # The next runner keeps it, and the alert about the failures stays open.
    runner = place.start()
    (item,) = place.items("ls")
    assert (item["status"], item["sync"]) == ("unscheduled", "drifted")
    assert item["drift"].startswith("unscheduled after 3 failures in a row at ")
    assert "unscheduled after 3 failures in a row" in place.run("show", "poll").stdout
    explained = place.run("explain", "poll", "--at", "now").stdout
    assert re.search("it was unscheduled at .* after 3 failures in a row", explained)
    assert place.events("alert.opened", "poll")
    assert not place.events("alert.closed", "poll", check="failure")
    assert not place.items("next", "poll")
    assert place.run("exec", "poll").returncode == 1  # a person may run it
    (place.folder / "fixed").touch()
    before = len(place.finished("poll"))
    assert place.run("schedule", "poll").returncode == 0
    place.await_finished("poll", status="success", channel="process_scheduler")
    (scheduled,) = place.events("request.scheduled", "poll", requested_by=place.person)
    assert scheduled["drift"] is False
    assert place.items("ls")[0]["sync"] == "in sync"
    wait_until(lambda: place.events("alert.closed", "poll", check="failure"))
    place.stop(runner)
    assert len(place.events("request.unscheduled", "poll")) == 1
    assert len(place.finished("poll")) > before
    check_log(place.log)


def test_the_runs_of_a_person_and_the_attempts_before_the_last_do_not_count(place: Place) -> None:
    retry = {"attempts": 2, "delay": "0s"}
    place.declare("poll", FAILING, "run_immediately", top=STRICT, retry=retry)
    runner = place.start()
    place.await_finished("poll", attempt=2)
    for _ in range(3):
        assert place.run("exec", "poll").returncode == 1
    place.stop(runner)
    assert not place.events("request.unscheduled")
    assert '"failures": 1' in _state_of(place, "poll")


def _state_of(place: Place, name: str) -> str:
    with closing(read_store(place.store)) as reader:
        (row,) = (row for row in reader.snapshot().requests if row.name == name)
    return row.state
