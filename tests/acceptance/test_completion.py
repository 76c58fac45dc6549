"""Shell completion, by the protocols of bash, zsh and fish and in a real bash; and
misspelt commands.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from support import fork_server
from support.place import GATE, Place, wait_until

from runner.cli.command_table import COMMANDS
from runner.cli.documentation.topics import TOPICS


def _asked(place: Place, shell: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Return the completions that a shell gets with the cursor after the last word."""
    line = " ".join(("runner", *words))
    position = {"COMP_WORDS": line, "COMP_CWORD": words[-1] if shell == "fish" else str(len(words))}
    asking = {**place.environment, **position, "_RUNNER_COMPLETE": f"{shell}_complete"}
    return fork_server.run((), environment=asking, folder=place.folder, timeout_s=60)


def _completed(place: Place, *words: str) -> list[str]:
    done = _asked(place, "bash", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.removeprefix("plain,") for line in done.stdout.split()]


@pytest.fixture
def requests(place: Place) -> Place:
    place.declare("nightly-posting", "true", top={"description": "Post completed documents"})
    place.declare("nightly-backup", GATE)
    place.write(
        "month-end.yaml",
        json.dumps({"process": {"group": {"members": [{"name": "load", "shell": "true"}]}}}),
    )
    place.write("broken.yaml", "process: {shel: oops}\n")
    return place


NAMED = ("show", "next", "exec", "schedule", "unschedule", "reschedule", "explain", "log")


@pytest.mark.parametrize("command", NAMED)
def test_commands_complete_the_names_of_requests(requests: Place, command: str) -> None:
    assert _completed(requests, command, "ni") == ["nightly-backup", "nightly-posting"]
    assert _completed(requests, command, "x") == []


def test_completion_reads_the_folders_that_options_name(requests: Place) -> None:
    assert _completed(requests, "monitor", "--request", "month-end") == [
        "month-end",
        "month-end/load",
    ]
    other = requests.folder / "other"
    requests.jobs.rename(other)
    assert _completed(requests, "exec", "ni") == []
    assert _completed(requests, "exec", "--jobs", str(other), "ni") == [
        "nightly-backup",
        "nightly-posting",
    ]


def test_help_completes_its_topics(place: Place) -> None:
    assert _completed(place, "help", "sche") == ["schedules"]
    assert set(_completed(place, "help", "")) == set(TOPICS)


def test_kill_completes_running_requests_and_their_execution_ids(requests: Place) -> None:
    runner = requests.start()
    command = requests.begin("exec", "nightly-backup")
    (started,) = wait_until(lambda: requests.events("execution.started"))
    assert _completed(requests, "kill", "ni") == ["nightly-backup"]
    assert _completed(requests, "kill", started["execution"][:20]) == [started["execution"]]
    requests.open_gate()
    command.communicate(timeout=60)
    assert _completed(requests, "kill", "ni") == []
    assert requests.stop(runner) == 0


def test_commands_are_completed_with_their_descriptions(place: Place) -> None:
    assert _completed(place, "mon") == ["monitor"]
    assert set(_completed(place, "")) >= set(COMMANDS)
    words, shown = (
        COMMANDS["monitor"][1],
        [_asked(place, shell, "mon").stdout for shell in ("fish", "zsh")],
    )
    assert all("monitor" in each and words in each.replace("\\:", ":") for each in shown)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_the_descriptions_too(requests: Place, shell: str) -> None:
    done = _asked(requests, shell, "exec", "nightly-p")
    assert "nightly-posting" in done.stdout
    assert "Post completed documents" in done.stdout


def test_completion_prints_nothing_if_something_is_wrong(place: Place) -> None:
    place.jobs.rmdir()
    assert _completed(place, "exec", "a") == []
    place.state.mkdir()
    (place.state / "store.sqlite3").write_bytes(
        b"this is no database, but as long as one could be" * 99
    )
    assert _completed(place, "kill", "a") == _completed(place, "exec", "a") == []
    (place.folder / "runner.yaml").write_text("nonsense")
    assert _completed(place, "show", "a") == []


@pytest.fixture
def labelled(place: Place) -> Place:
    labels = {"team": "finance", "tier": "gold", "note": "two words", "run": "$(reboot)"}
    place.declare("a", "true", top={"owner": "ana", "labels": labels})
    place.declare("b", "true", top={"owner": "bob smith", "labels": {"team": "field"}})
    return place


@pytest.mark.parametrize("command", ["ls", "unschedule", "kill", "monitor", "plan", "explain"])
def test_labels_and_owners_are_completed_unless_a_shell_would_split_them(
    labelled: Place, command: str
) -> None:
    assert _completed(labelled, command, "--label", "t") == [
        "team=field",
        "team=finance",
        "tier=gold",
    ]
    assert _completed(labelled, command, "--label", "n") == []
    assert _completed(labelled, command, "--label", "r") == []
    assert _completed(labelled, command, "--owner", "") == ["ana"]
    assert "--label" in _completed(labelled, command, "--la")


@pytest.mark.parametrize(
    ("typed", "answers"),
    [
        (["--label", "team", "="], ["field", "finance"]),
        (["--label", "team", "=", "fin"], ["finance"]),
        (["--label", "=", "team", "=", "fin"], ["finance"]),
        (["--label", "=", "ti"], ["tier=gold"]),
        (["--label", "team", "=", "finance", "--label", "tier", "=", "g"], ["gold"]),
        (["--owner", "=", "a"], ["ana"]),
    ],
)
def test_bash_gets_the_part_of_a_label_that_it_replaces(
    labelled: Place, typed: list[str], answers: list[str]
) -> None:
    assert _completed(labelled, "ls", *typed) == answers


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash_completes(requests: Place) -> None:
    folder = requests.folder / "bin"
    folder.mkdir()
    program = folder / "runner"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m runner "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(_RUNNER_COMPLETE=bash_source runner)"; COMP_WORDS=(runner exec '
        "nightly-p); COMP_CWORD=2; "
        'complete -p runner; _runner_completion runner; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = {**requests.environment, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=environment,
        cwd=requests.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[1:] == ["nightly-posting"], done.stderr
    assert "_runner_completion" in done.stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("moniter", "monitor"), ("exce", "exec"), ("list", "ls"), ("run", "exec"), ("logs", "log")],
)
def test_an_unknown_command_gets_the_nearest_one_suggested(
    place: Place, typed: str, meant: str
) -> None:
    done = place.run(typed)
    assert done.returncode == 2
    assert f"there is no command {typed!r}; did you mean `runner {meant}`?" in done.stderr


def test_a_command_like_no_other_gets_no_suggestion(place: Place) -> None:
    assert "there is no command 'zzz'; `runner --help` lists all" in place.run("zzz").stderr
