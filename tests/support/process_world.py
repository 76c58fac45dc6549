"""A small owner loop around a `LocalExecutor`, for tests with real processes."""

from __future__ import annotations

import gc
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.execution.child.program import SpawnError
from runner.execution.executor import Needs, NotStarted, Order, ProcessStarted
from runner.execution.launch import Launch
from runner.execution.local_executor import LocalExecutor
from runner.execution.spawning.spawners import Patience
from runner.execution.trees import proc
from runner.execution.trees.watched import Exit, FormerExecution, ProcessId
from runner.lifecycle import Reason
from runner.system.clock import SystemClock
from runner.values import new_id

BOUND_S = 30.0
PATH = "/usr/bin:/bin"

_REPOSITORY = Path(__file__).parents[2]
_FORMER_RUNNER = textwrap.dedent("""
    import os, select, signal, sys, time
    from runner.execution.spawning.spawned_process import spawn_process
    from runner.execution.processes import Processes
    from runner.execution.launch import Launch
    from runner.system.clock import SystemClock
    execution, folder, *arguments = sys.argv[1:]
    processes = Processes(select.epoll())
    started = processes.enter(spawn_process(Launch(
        execution=execution, arguments=tuple(arguments), directory="/",
        environment={"PATH": "/usr/bin:/bin", "RUNNER_EXECUTION_ID": execution},
        output_file=f"{folder}/outputs/{execution}.out",
        stop_signal=15, stop_grace_s=10.0, timeout_s=None, FURTHER
    ), cgroups=processes.cgroups, clock=SystemClock()), now_s=0.0)
    print(started.pid, started.pid_started, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
""")


def descriptors() -> list[str]:
    """Return the open descriptors of this process, after garbage collection.

    Without it, a descriptor that an earlier test left would count.
    """
    gc.collect()
    return proc.names("/proc/self/fd")


@contextmanager
def everybodys_folder() -> Iterator[Path]:
    """Make a folder in which every user may enter, read and write."""
    with tempfile.TemporaryDirectory(prefix="runner-", dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


class World:
    """A small owner loop around a `LocalExecutor`."""

    def __init__(self, folder: Path, *, patience: Patience | None = None) -> None:
        self.folder = folder
        self.executor = LocalExecutor(SystemClock(), patience=patience)
        self.processes = self.executor.processes
        self.exits: dict[str, Exit] = {}
        self.started: dict[str, ProcessId] = {}
        self.failures: dict[str, str | None] = {}
        """Why executions did not start; None for those that were stopped first."""

    def spawn(
        self,
        *arguments: str,
        directory: Path | str | None = None,
        environment: dict[str, str] | None = None,
        execution: str | None = None,
        stop_grace_s: float = 30.0,
        timeout_s: float | None = None,
        **further: Any,
    ) -> str:
        """Start a process and wait until it has started. Raises SpawnError."""
        name = execution or new_id()
        launch = Launch(
            execution=name,
            arguments=arguments,
            directory=str(directory or self.folder),
            environment={"PATH": PATH, "RUNNER_EXECUTION_ID": name}
            if environment is None
            else environment,
            output_file=str(self.output_file(name)),
            stop_signal=signal.SIGTERM,
            stop_grace_s=stop_grace_s,
            timeout_s=timeout_s,
            **further,
        )
        self.order(launch)
        self.until(lambda: name in self.started or name in self.failures, "a start")
        if name in self.failures:
            raise SpawnError(self.failures[name])
        return name

    def order(self, launch: Launch, prepare: Callable[[], Launch] | None = None) -> None:
        """Order a start without waiting for it."""
        needs = Needs(
            directory=launch.directory,
            environment_files=(),
            path=launch.environment.get("PATH"),
            program=launch.arguments[0],
            user=launch.run_as,
        )
        self.executor.start(
            Order(execution=launch.execution, needs=needs, prepare=prepare or (lambda: launch))
        )

    def shell(self, script: str, **options: Any) -> str:
        return self.spawn("/bin/sh", "-c", script, **options)

    def adopt(
        self,
        execution: str,
        pid: int | None,
        started: int | None,
        *,
        timeout_left_s: float | None = None,
        output_limit: int | None = None,
    ) -> ProcessId | None:
        return self.executor.adopt(
            FormerExecution(
                execution=execution,
                pid=pid,
                pid_started=started,
                stop_signal=signal.SIGTERM,
                stop_grace_s=30.0,
                timeout_left_s=timeout_left_s,
                output_file=str(self.output_file(execution)),
                output_limit=output_limit,
                has_condition=False,
            )
        )

    def stop(self, execution: str, reason: Reason = Reason.KILLED_BY_USER) -> None:
        self.executor.stop(execution, reason)

    def turn(self) -> None:
        due_s = self.executor.next_s()
        wait_s = 0.02 if due_s is None else min(max(due_s - time.monotonic(), 0.0), 0.02)
        select.select([self.executor.descriptor], [], [], wait_s)
        for event in self.executor.events():
            match event:
                case ProcessStarted():
                    self.started[event.execution] = event.process
                case NotStarted():
                    self.failures[event.execution] = event.why
                case Exit():
                    self.exits[event.execution] = event

    def until(self, condition: Callable[[], bool], what: str) -> None:
        bound_s = time.monotonic() + BOUND_S
        while not condition():
            assert time.monotonic() < bound_s, f"not within {BOUND_S} s: {what}"
            self.turn()

    def exit(self, execution: str) -> Exit:
        self.until(lambda: execution in self.exits, "exit")
        return self.exits[execution]

    def run(self, *arguments: str, **options: Any) -> tuple[Exit, str]:
        name = self.spawn(*arguments, **options)
        return self.exit(name), self.output(name)

    def output_file(self, execution: str) -> Path:
        return self.folder / "outputs" / f"{execution}.out"

    def output(self, execution: str) -> str:
        return self.output_file(execution).read_text()

    def reported(self, execution: str, count: int = 1) -> list[int]:
        """Wait for `count` whole lines of output; return them as pids."""
        self.until(lambda: self.output(execution).count("\n") >= count, f"{count} lines")
        return [int(line) for line in self.output(execution).split()]

    def close(self) -> None:
        for name in set(self.started) - set(self.exits):
            self.processes.kill(name, Reason.RUNNER_STOPPED)
        self.until(lambda: set(self.started) <= set(self.exits), "the end of all")
        self.until(lambda: self.processes.next_deadline_s() is None, "the end of their orphans")
        self.executor.close()

    def orphaned(self, *arguments: str, further: str = "") -> tuple[str, ProcessId]:
        """Start a process from a runner that is then killed; `further` extends its launch."""
        execution = new_id()
        former = subprocess.run(
            [
                sys.executable,
                "-c",
                _FORMER_RUNNER.replace("FURTHER", further),
                execution,
                str(self.folder),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            cwd=_REPOSITORY,
            timeout=BOUND_S,
        )
        assert former.returncode == -signal.SIGKILL
        pid, started = map(int, former.stdout.split())
        self.until(lambda: not _is_becoming(pid), "its program, which it may not have become yet")
        return execution, ProcessId(pid=pid, pid_started=started)


def is_dead(pid: int) -> bool:
    """Return whether a process is dead; a zombie then belongs to another parent."""
    reported = proc.stat_of(pid)
    return reported is None or reported.is_dead


def _is_becoming(pid: int) -> bool:
    """Return whether a process is between two programs.

    A process whose main thread is ending shows no program either; it is not meant.
    """
    reported = proc.stat_of(pid)
    return reported is not None and reported.is_bare and not reported.is_ending
