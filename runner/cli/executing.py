"""`exec`: run a request now, show its output, return its exit code."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from runner.cli.monitoring import copy_output, has_ended
from runner.cli.options import Places, place_options
from runner.commands import Answer, Command, Kind, ask, person
from runner.lifecycle import ExecutionStatus, Reason
from runner.monitor.reading import find_execution
from runner.store.database import owner_pid

TIMED_OUT = 124
REFUSED = 125
_BY_SIGNAL = 128


@click.command("exec")
@click.argument("name")
@place_options
def exec_command(name: str, places: Places) -> None:
    """Run the request NAME now, through the runner if one is running, else by this very command.

    Its output is shown, Ctrl-C kills it, and its exit code is returned: 124 if it ran into its timeout, 125 if it was
    refused or could not be started, 128 + n if signal n ended it.

    \b
    Example:
      runner exec nightly-posting
    """
    command = Command(kind=Kind.EXEC, targets=(name,), requested_by=person())
    code = _through_runner(command, places) if owner_pid(places.state) is not None else _alone(command, places)
    raise SystemExit(code)


def _through_runner(command: Command, places: Places) -> int:
    answer = ask(places.state, command)
    if not answer.is_done:
        return _refused(answer)
    execution = answer.data["execution"]
    kill = Command(kind=Kind.KILL, targets=(execution,), requested_by=command.requested_by)
    with _Interruptions(lambda: ask(places.state, kill)) as interruptions:
        output = Path(answer.data["output_file"])
        while not output.exists() and not has_ended(execution, places):
            interruptions.heed()
            time.sleep(0.01)
        if output.exists():
            copy_output(output, lambda: interruptions.heed() or has_ended(execution, places))
    return _exit_code(execution, places)


def _alone(command: Command, places: Places) -> int:
    from runner.cli.embedded import embedded

    with embedded(places) as runner:
        answer = runner.obey(command)
        if not answer.is_done:
            return _refused(answer)
        execution = answer.data["execution"]
        kill = Command(kind=Kind.KILL, targets=(execution,), requested_by=command.requested_by)
        with _Interruptions(lambda: runner.obey(kill)) as interruptions:
            printer = _Printer(Path(answer.data["output_file"]))
            while execution in runner.book:
                runner.turn()
                runner.wait(at_most_s=0.1)
                printer.copy()
                interruptions.heed()
            printer.copy()
    return _exit_code(execution, places)


class _Interruptions:
    """Ctrl-C (or SIGTERM) asks once for a kill; the command goes on until the execution has ended."""

    def __init__(self, kill: Callable[[], object]) -> None:
        self._kill = kill
        self._is_pending = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> _Interruptions:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def heed(self) -> bool:
        """Kill, if that was asked for. Always False: what was asked for has not ended anything yet."""
        if self._is_pending:
            self._is_pending = False
            self._kill()
        return False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_pending = True


class _Printer:
    """Copies a growing file to stdout, what is new at each call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def copy(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as output:
            output.seek(self._position)
            while chunk := output.read(65536):
                sys.stdout.buffer.write(chunk)
            self._position = output.tell()
        sys.stdout.buffer.flush()


def _refused(answer: Answer) -> int:
    for line in answer.lines:
        click.echo(f"runner: {line}", err=True)
    return REFUSED


def _exit_code(execution: str, places: Places) -> int:
    """Return what the execution's record says, and say on stderr why it is no plain exit code."""
    (record,) = find_execution(places.monitor_log, execution)
    if record.get("exit_code") is not None and record["reason"] in (None, Reason.EXIT_CODE):
        return int(str(record["exit_code"]))
    if record["status"] != ExecutionStatus.SUCCESS:
        click.echo(f"runner: {record['request']}: {record['message']}", err=True)
    match record["reason"]:
        case Reason.TIMEOUT:
            return TIMED_OUT
        case Reason.SPAWN_FAILED | Reason.CONCURRENT:
            return REFUSED
        case _:
            number = record.get("signal")
            return _BY_SIGNAL + int(str(number)) if number is not None else 1
