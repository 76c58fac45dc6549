"""The console of `start`: first lines of output, executions that still run or were
adopted, the terminal's width.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import stat

import pytest
from support.place import GATE, Place, leaves_executions, wait_until

NOW = "run_immediately"


def test_a_success_shows_the_first_line_of_its_output(place: Place) -> None:
    place.declare("plain", "printf '\\n  posted 120 documents\\nsecond\\n'", NOW)
    place.declare("long", "echo begin; seq 9000", NOW)
    place.declare("silent", "true", NOW)
    place.declare("bad", "echo why; echo at last; exit 3", NOW)
    runner = place.start()
    for name in ("plain", "long", "silent", "bad"):
        place.await_finished(name)
    assert place.stop(runner) == 0
    lines = {
        line.split()[2]: line for line in place.console().splitlines() if "✓" in line or "✗" in line
    }
    assert lines["plain"].endswith(" — posted 120 documents")
    if not place.is_in_fleet:  # the leader has only the end of an output
        assert lines["long"].endswith(" — begin")
    assert "—" not in lines["silent"]
    assert lines["bad"].endswith(", exit code 3 — at last")


def test_before_the_last_execution_starts_the_console_says_that_this_fire_is_the_last_one(
    place: Place,
) -> None:
    place.declare("once", "true", NOW)
    place.declare("over", "true", {"run_later": {"start": "2020-01-01 00:00"}})
    runner = place.start()
    place.await_finished("once")
    assert place.stop(runner) == 0
    lines = [line[10:] for line in place.console().splitlines()]
    reported = [line for line in lines if "once" in line.split() and "scheduled" not in line]
    assert reported[0] == "· once  no more fires: the last fire is due now"
    assert reported[1].startswith("▶ once  started") and reported[2].startswith("✓ once  success")
    assert "· over  no more fires" in lines
    assert "complete" not in place.console()
    for command in (["ls"], ["show", "once"], ["status"], ["explain", "once"]):
        shown = place.run(*command)
        assert "no more fires" in shown.stdout or command == ["status"], shown
    (record,) = place.events("request.completed", "once")
    assert (record["status"], record["message"]) == (
        "complete",
        "the last fire is due now",
    )


def test_a_log_file_holds_the_lines_of_the_console_with_date_and_level(place: Place) -> None:
    place.declare("good", "echo posted", NOW)
    place.declare("bad", "exit 3", NOW)
    log = place.folder / "logs" / "{console}.log"
    runner = place.start("--log-file", str(log))
    place.await_finished("good")
    place.await_finished("bad")
    assert place.stop(runner) == 0
    lines = log.read_text().splitlines()
    worker = socket.gethostname() + " works on queue"
    shown = [line[10:] for line in place.console().splitlines()]
    assert [line[27:].strip()[8:].lstrip() for line in lines] == [
        line for line in shown if not line.startswith((worker, "takes nothing more: "))
    ]
    (success,) = (line for line in lines if "✓ good" in line)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00  SUCCESS  ✓ good  success in .* — posted", success
    )
    (failure,) = (line for line in lines if "✗ bad" in line)
    assert "  ERROR    ✗ bad  error in " in failure
    assert stat.S_IMODE(log.stat().st_mode) & 0o137 == 0, "others may not read it"


def test_a_log_file_is_rotated_at_ten_megabytes_and_five_old_ones_are_kept(place: Place) -> None:
    folder = place.folder / "logs"
    folder.mkdir()
    for number in range(7):
        (folder / f"console.2026-01-0{number + 1}_12-00-00_000000.log").touch()
    log = folder / "console.log"
    log.write_text("x" * 9_999_990 + "\n")
    assert place.stop(place.start("--log-file", str(log), "--log-format", "json")) == 0
    first, *_ = map(json.loads, log.read_text().splitlines())
    assert first["level"] == "INFO"
    assert first["message"].startswith("● ")
    assert len(list(folder.iterdir())) == 1 + 5


def test_a_log_file_that_cannot_be_written_is_a_clear_error(place: Place) -> None:
    target = place.folder / "target"
    target.touch()
    (place.folder / "link").symlink_to(target)
    for path, why in ((place.jobs, "Is a directory"), (place.folder / "link", "symbolic links")):
        done = place.run("start", "--log-file", str(path))
        assert done.returncode == 2
        assert f"runner: the log file {path} cannot be written: " in done.stderr
        assert why in done.stderr
    assert target.read_text() == ""


@pytest.mark.parametrize(
    ("level", "shown"), [("info", "●▶✓✗"), ("success", "✓✗"), ("warning", "✗"), ("error", "✗")]
)
def test_a_level_hides_the_lines_below_it(place: Place, level: str, shown: str) -> None:
    place.declare("good", "true", NOW)
    place.declare("bad", "exit 3", NOW)
    runner = place.start("--log-level", level)
    place.await_finished("good")
    place.await_finished("bad")
    assert place.stop(runner) == 0
    assert {line.split()[1] for line in place.console().splitlines()} & {*"●▶✓✗"} == {*shown}


@pytest.mark.parametrize("columns", [80, 50])
def test_every_console_line_fits_the_width_of_the_terminal(place: Place, columns: int) -> None:
    place.declare("talks", f"echo {'word ' * 40}", NOW)
    place.declare(
        "a-rather-long-name-for-a-request", "true", NOW, directory="/no/such/folder/" + "deep/" * 30
    )
    place.write(
        "bad.yaml",
        json.dumps({"process": {"shell": "true", "timout": "30m", "environment": {"A": "b" * 90}}}),
    )
    with place.on_terminal("start", columns=columns) as terminal:
        wait_until(
            lambda: "✓ talks" in terminal.shown() and "✗ a-rather" in terminal.shown(),
            what="both ends",
        )
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ended() == 0
        shown = terminal.shown()
    assert [line for line in shown.splitlines() if len(line) > columns] == []
    (success,) = (line for line in shown.splitlines() if "✓ talks" in line)
    assert success.endswith("…")
    whole = " ".join(shown.split())
    assert "did you mean `timeout`?" in whole, "the suggestion is shown in full"
    assert "does not exist" in whole
    assert "the store is new: 2 run-immediately requests will run now" in whole


@leaves_executions
def test_a_stop_names_the_running_executions_and_status_says_stopping(place: Place) -> None:
    place.declare("slow", f"trap '' TERM; {GATE}", NOW)
    place.write(
        "month-end.yaml",
        json.dumps(
            {"process": {"group": {"members": [{"name": "extract", "shell": GATE}]}}, "timing": NOW}
        ),
    )
    runner = place.start("--drain", "600s")
    wait_until(lambda: len(place.events("execution.started")) == 3)
    (status,) = place.items("status")
    assert status["stopping"] is None
    runner.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping: " in place.console())
    names = "month-end › extract, slow"
    (line,) = (line for line in place.console().splitlines() if "stopping: " in line)
    assert sorted(line.partition(" for ")[2].partition(";")[0].split(", ")) == names.split(", ")
    assert "stopping: waiting up to 600 s for " in line
    assert line.endswith("; press Ctrl-C again to kill them")

    def says_stopping() -> bool:
        return f"runner {runner.pid} has been stopping since " in place.run("status").stdout

    wait_until(says_stopping)
    (status,) = place.items("status")
    assert status["stopping"] is not None
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(timeout=60) == 0
    assert "stopping: killing " in place.console()
    again = place.start()
    (status,) = place.items("status")
    assert status["stopping"] is None
    assert place.stop(again) == 0
    assert "stopping: nothing is running" in place.console()


def test_a_start_names_the_executions_that_it_adopted(place: Place) -> None:
    place.declare("slow", GATE, NOW)
    place.declare("flaky", "exit 1", NOW, retry={"attempts": 2, "delay": "1h"})
    runner = place.start()
    wait_until(lambda: place.events("execution.started", "slow"))
    place.await_finished("flaky")
    runner.kill()
    runner.wait()
    again = place.start()
    (_, started) = place.events("runner.started")
    assert started["message"] == "adopted from the former runner: slow (running), flaky (waiting)"
    wait_until(lambda: started["message"] in place.console())
    assert place.run("kill", "slow", "flaky").returncode == 0
    place.await_finished("slow")
    assert place.stop(again) == 0
