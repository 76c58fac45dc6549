"""An unknown NAME: every command says what is wrong with its file, or suggests a near name."""

from __future__ import annotations

import pytest
from support.place import Place, acts_alone

NAMING = {
    **dict.fromkeys(("show", "next", "explain", "schedule", "unschedule", "reschedule", "kill"), 1),
    "exec": 125,
    "log": 2,
    "monitor --request": 0,
}
"""The words before NAME and the exit code, for a name whose file is invalid."""


@pytest.fixture
def broken(place: Place) -> Place:
    """A runner with a file that breaks the schema, one that is not YAML, and a valid one."""
    place.write("pwd.yaml", "process:\n  shel: pwd\n")
    place.write("torn.yaml", "process: {shell: 'pwd\n")
    place.declare("good", "true")
    place.start()
    return place


def test_each_command_that_takes_a_name_says_what_is_wrong_with_its_file(broken: Place) -> None:
    for command, code in NAMING.items():
        for name, place_of, fix in (
            ("pwd", "pwd.yaml:2:3: ", "shell"),
            ("torn", "torn.yaml:1:18: ", "'"),
        ):
            done = broken.run(*command.split(), name)
            reported = done.stdout + done.stderr
            if (command, name) != ("show", "pwd"):
                assert done.returncode == code, (command, name, done)
            assert place_of in reported and fix in reported, (command, name, reported)
            assert "no request" not in reported, (command, name, reported)


def test_each_command_that_takes_a_name_suggests_a_near_one(broken: Place) -> None:
    for command in NAMING:
        for name, meant in (("goood", "good"), ("pwdd", "pwd")):
            done = broken.run(*command.split(), name)
            assert f"did you mean '{meant}'?" in done.stdout + done.stderr, (command, name, done)


@acts_alone
def test_exec_without_a_runner_says_what_is_wrong_with_the_file(place: Place) -> None:
    place.write("pwd.yaml", "process:\n  shel: pwd\n")
    done = place.run("exec", "pwd")
    assert done.returncode == 125
    assert f"'pwd' has no valid version: {place.jobs}/pwd.yaml:2:3: " in done.stderr


def test_a_request_whose_file_is_gone_is_not_called_unknown(place: Place) -> None:
    place.declare("stays", "true")
    place.declare("gone", "true")
    place.start()
    (place.jobs / "gone.yaml").unlink()
    assert place.run("reload").returncode == 0
    for command in ("show", "next", "explain"):
        done = place.run(command, "gone")
        assert (done.returncode, "the file of 'gone' is gone" in done.stderr) == (1, True), (
            command,
            done,
        )
