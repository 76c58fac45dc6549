"""The condition of a process: the launcher runs it first, where the process will run."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.process_world import World

from runner.execution.launch import LaunchCondition
from runner.execution.trees.watched import Exit
from runner.lifecycle import Reason

_SECRETS = frozenset({"hunter2"})
_RAN = "the process ran\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def shell(line: str, timeout_s: float = 60.0) -> LaunchCondition:
    return LaunchCondition(arguments=("/bin/sh", "-c", line), timeout_s=timeout_s)


def tried(world: World, condition: LaunchCondition, **settings: Any) -> tuple[Exit, str]:
    """Run a process that has a condition; return its exit and the output of both."""
    name = world.shell(f"printf '{_RAN}'", condition=condition, **settings)
    return world.exit(name), world.output(name)


@pytest.mark.parametrize("secrets", [frozenset(), _SECRETS])
@pytest.mark.parametrize(
    ("condition", "verdict", "output"),
    [
        (shell("echo yes; echo really >&2"), None, f"yes\nreally\n{_RAN}"),
        (shell("echo no; exit 1"), "", "no\n"),
        (
            shell("echo oh >&2; exit 1"),
            "wrote to standard error and ended with exit code 1",
            "oh\n",
        ),
        (shell("exit 2"), "ended with exit code 2", ""),
        (shell("kill -SEGV $$"), "was ended by signal 11", ""),
        (shell("echo slow; sleep 60", timeout_s=0.3), "took longer than its timeout", "slow\n"),
    ],
)
def test_the_process_runs_only_after_exit_code_0(
    world: World,
    secrets: frozenset[str],
    condition: LaunchCondition,
    verdict: str | None,
    output: str,
) -> None:
    ended, written = tried(world, condition, secrets=secrets)
    assert (ended.condition, ended.failure, ended.signal) == (verdict, None, None)
    assert ended.exit_code == (0 if verdict is None else None)
    assert sorted(written.splitlines()) == sorted(output.splitlines())
    assert written.endswith(output[-4:])


def test_a_crash_of_python_is_not_a_no(world: World) -> None:
    crash = LaunchCondition(arguments=(sys.executable, "-c", "1 / 0"), timeout_s=60.0)
    ended, output = tried(world, crash)
    assert ended.condition == "wrote to standard error and ended with exit code 1"
    assert "ZeroDivisionError" in output


def test_a_condition_that_cannot_be_started_is_a_failure(world: World) -> None:
    ended, output = tried(world, LaunchCondition(arguments=("no-such-program",), timeout_s=60.0))
    assert ended.failure is not None
    assert ended.failure.startswith("program 'no-such-program' is not in PATH")
    assert (ended.condition, output) == ("ended with exit code 127", "")


def test_the_condition_runs_where_the_process_does(world: World) -> None:
    """In its directory, with its environment, nice and umask, in its session, without stdin."""
    facts = 'pwd; env | grep -v "^_="; umask; nice; ps -o sid= -p $$; wc -c'
    environment = {"PATH": os.environ["PATH"], "RUNNER_EXECUTION_ID": "x", "COLOUR": "red"}
    name = world.shell(
        facts, condition=shell(facts), environment=environment, umask=0o027, nice=5, stdin="12345"
    )
    assert world.exit(name).exit_code == 0
    *lines, last = world.output(name).splitlines()
    half = len(lines) // 2
    assert lines[:half] == lines[half + 1 :]
    assert (lines[half], last) == ("0", "5")


def test_the_rules_of_success_are_those_of_the_process_alone(world: World) -> None:
    ended, output = tried(
        world,
        shell("echo FATAL; echo FATAL >&2"),
        failing_texts=("FATAL",),
        is_stderr_reported=True,
    )
    assert (ended.failing_text, ended.has_stderr, ended.exit_code) == (None, False, 0)
    assert output.endswith(_RAN)


def test_secrets_are_masked_in_both_streams_of_the_condition(world: World) -> None:
    _, output = tried(world, shell("echo hunter2; echo hunter2 >&2; exit 1"), secrets=_SECRETS)
    assert output == "***\n***\n"


@pytest.mark.parametrize("secrets", [frozenset(), _SECRETS])
def test_a_stop_during_the_condition_keeps_the_process_from_starting(
    world: World, secrets: frozenset[str]
) -> None:
    """Also if the condition survives the signal and then succeeds."""
    patient = shell("trap 'echo stopping; exit 0' TERM; echo 1; while :; do sleep 0.01; done")
    name = world.shell(f"printf '{_RAN}'", condition=patient, secrets=secrets)
    world.reported(name)
    world.stop(name)
    ended = world.exit(name)
    assert ended.stopped_for is Reason.KILLED_BY_USER
    output = world.output(name)  # in which the shell may report its `sleep`
    assert "stopping\n" in output
    assert _RAN not in output
    assert ended.condition == f"was stopped by signal {signal.SIGTERM:d}"


@pytest.mark.parametrize("secrets", [frozenset(), _SECRETS])
def test_a_stop_at_any_moment_of_the_start_stops_the_process(
    world: World, secrets: frozenset[str]
) -> None:
    names = []
    for step in range(16):
        names.append(world.spawn("/bin/sleep", "60", condition=shell("true"), secrets=secrets))
        until_s = time.monotonic() + step * 0.006

        def is_time(until_s: float = until_s) -> bool:
            return time.monotonic() >= until_s

        world.until(is_time, "the moment")
        world.stop(names[-1])
    ends = [world.exit(name) for name in names]
    assert all(ended.signal == signal.SIGTERM or ended.condition for ended in ends)


@pytest.mark.parametrize("secrets", [frozenset(), _SECRETS])
def test_the_process_gets_the_default_treatment_of_signals(
    world: World, secrets: frozenset[str]
) -> None:
    script = textwrap.dedent("""
        import signal
        print([line.split() for line in open("/proc/self/status") if line.startswith("Sig")])
    """)
    outputs = []
    for condition in (None, shell("true")):
        name = world.spawn(sys.executable, "-Sc", script, condition=condition, secrets=secrets)
        assert world.exit(name).exit_code == 0
        outputs.append(world.output(name).partition("SigIgn")[2])
    assert outputs[0] == outputs[1] != ""
