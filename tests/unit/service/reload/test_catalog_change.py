"""What a new catalog means for the alerts about rejected files."""

from __future__ import annotations

from datetime import timedelta

from support.decision_world import World, world

from runner.lifecycle import Check
from runner.planning.alerts.alert import Alert

GOOD = {"process": {"shell": "true"}}
BAD = {"process": {"shel": "true"}}
MINUTE = timedelta(minutes=1)


def alerts(here: World) -> dict[str | None, Alert]:
    here.expire()
    return {each.request: each for each in here.alerts.open() if each.check is Check.INVALID}


def wait(here: World, time: timedelta) -> None:
    here.at += time


def test_a_rejected_file_alerts_after_five_minutes_until_it_is_valid_again() -> None:
    with world() as here:
        here.write("a", GOOD)
        here.reload()
        here.write("a", BAD)
        here.reload()
        wait(here, 3 * MINUTE)
        here.write("a", {**BAD, "owner": "me"})
        here.reload()
        wait(here, 2 * MINUTE - timedelta(seconds=1))
        assert alerts(here) == {}
        wait(here, timedelta(seconds=1))
        (alert,) = alerts(here).values()
        assert alert.request == "a"
        assert alert.message.startswith("its file is rejected: ")
        assert "a.yaml:1:" in alert.message
        here.write("a", GOOD)
        here.reload()
        assert alerts(here) == {}


def test_an_edit_that_is_corrected_in_time_alerts_nobody() -> None:
    with world() as here:
        here.write("a", BAD)
        here.reload()
        wait(here, 4 * MINUTE)
        here.write("a", GOOD)
        here.reload()
        wait(here, 60 * MINUTE)
        assert alerts(here) == {}


def test_a_file_without_a_readable_name_alerts_under_its_own_name() -> None:
    with world() as here:
        here.write("broken", "process: {")
        here.reload()
        wait(here, 5 * MINUTE)
        assert [*alerts(here)] == ["broken"]
        here.remove("broken")
        here.reload()
        assert alerts(here) == {}


def test_a_rejected_file_stays_one_while_the_folder_shows_nothing() -> None:
    with world() as here:
        for name in ("one", "two"):
            here.write(name, GOOD)
        here.write("bad", BAD)
        here.reload()
        wait(here, 5 * MINUTE)
        assert [*alerts(here)] == ["bad"]
        for name in ("one", "two", "bad"):
            here.remove(name)
        here.reload()
        assert [*alerts(here)] == ["bad"]
