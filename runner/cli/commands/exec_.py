"""`exec`: run a request now, show its output, return its exit code."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from runner.cli.options import complete_requests, place_options
from runner.cli.output.copying import Copier, GroupCopier
from runner.cli.output.tables import echo
from runner.cli.places import Places
from runner.cli.reaching import reach
from runner.commands import Answer, Command, Kind, ask
from runner.errors import (
    LogUnwritableError,
    NoRunnerError,
    RefusedError,
    RunnerError,
    StoreError,
    UsageError,
)
from runner.lifecycle import ExecutionStatus, Reason
from runner.monitor.reading import find_execution
from runner.monitor.records import Event, decode
from runner.store.database import StoreReader, owner_pid

TIMED_OUT = 124
REFUSED = 125
_BY_SIGNAL = 128
_FIRST_LOOK_S, _LOOK_EVERY_S = 0.005, 0.1
_RECORD_WITHIN_S = 5.0
Record = Mapping[str, Any]


@click.command("exec")
@click.argument("name", shell_complete=complete_requests)
@click.option(
    "--param",
    "params",
    metavar="K=V",
    multiple=True,
    help="A parameter for this run; may be repeated.",
)
@place_options
def exec_command(name: str, params: tuple[str, ...], places: Places) -> None:
    """Run the request NAME now, through the runner if one is running, else by this very command.

    Its output is shown, Ctrl-C kills it, and its exit code is returned: 124 if it ran
    into its timeout, 125 if it was skipped or could not be started, 128 + n if signal n
    ended it. It is one attempt, whatever `retry` says.

    A parameter's value is JSON where it can be read so (2026, true, [1, 2]), else text.
    One that `secrets` names, or whose value is a secret's, is refused: put it into an
    environment_file or the runner's environment.

    \b
    Examples:
      runner exec nightly-posting
      runner exec report --param year=2026 --param ledger=main
    """
    command = Command(kind=Kind.EXEC, targets=(name,), params=dict(map(_param, params)))
    try:
        if command.params:
            _refuse_told_secrets(command, places)
        interruptions = _Interruptions()
        with interruptions.caught():
            code = reach(
                places,
                command,
                served=lambda answer: _through_runner(answer, places, interruptions),
                alone=lambda: _alone(command, places, interruptions),
            )
    except (StoreError, LogUnwritableError, RefusedError) as error:
        echo(f"runner: {error}", err=True)
        code = REFUSED
    raise SystemExit(code)


def _param(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    if not found or not name.isidentifier():
        raise UsageError(f"--param {text!r}: write NAME=VALUE, the name of letters, digits and `_`")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _refuse_told_secrets(command: Command, places: Places) -> None:
    """Refuse parameters that are secrets before the command stands in the store. Raises
    RefusedError.
    """
    from runner.requests.model import ProcessRequest
    from runner.service.answering import refuse_told_secrets
    from runner.service.registry import remembered

    with closing(StoreReader(places.state)) as reader:
        rows = reader.snapshot().requests

    def find(name: str) -> ProcessRequest | None:
        return remembered([row for row in rows if row.name == name], zone=places.zone)[0].get(name)

    if (request := find(command.targets[0])) is not None:
        refuse_told_secrets(command.params, request, find, os.environ)


def _through_runner(answer: Answer, places: Places, interruptions: _Interruptions) -> int:
    if not answer.is_done:
        return _refused(answer)
    execution, copier = answer.data["execution"], _copier(answer)
    kill = Command(kind=Kind.KILL, targets=(execution,))
    pause_s = _FIRST_LOOK_S
    while _is_on_its_way(execution, places):
        copier.copy()
        interruptions.heed(lambda: ask(places.state, kill))
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LOOK_EVERY_S)
    copier.copy()
    return _exit_code(_record_of(execution, places))


def _copier(answer: Answer) -> Copier | GroupCopier:
    return (GroupCopier if answer.data["is_group"] else Copier)(Path(answer.data["output_file"]))


def _alone(command: Command, places: Places, interruptions: _Interruptions) -> int:
    """Be the runner until the execution has ended, and whatever else we were asked to
    run meanwhile.
    """
    from runner.cli.embedded import embedded

    ended: dict[str, Record] = {}

    def note(record: dict[str, Any]) -> None:
        if record["event"] == Event.EXECUTION_FINISHED:
            ended[record["execution"]] = record

    with (
        embedded(places, note) as runner,
        interruptions.caught(),
    ):  # the runner has its own use for signals
        answer = runner.obey(command)
        if not answer.is_done:
            return _refused(answer)
        execution, copier = answer.data["execution"], _copier(answer)
        kill = Command(kind=Kind.KILL, targets=(execution,))
        while execution not in ended or runner.is_executing:
            runner.turn()
            runner.wait(at_most_s=_LOOK_EVERY_S)
            copier.copy()
            interruptions.heed(lambda: runner.obey(kill))
    return _exit_code(ended[execution])


class _Interruptions:
    """Ctrl-C or SIGTERM asks for a kill, also before it is known of what; the command
    goes on until the execution ends. A second one ends the command too.
    """

    def __init__(self) -> None:
        self._is_asked = self._is_pending = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch the signals; what caught them before does so again afterwards."""
        former = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def heed(self, kill: Callable[[], object]) -> None:
        """Kill, if that was asked for since the last call."""
        if self._is_pending:
            self._is_pending = False
            kill()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_asked:
            raise KeyboardInterrupt
        self._is_asked = self._is_pending = True


def _is_on_its_way(execution: str, places: Places) -> bool:
    """Tell whether the store still has an execution. Raises NoRunnerError if nobody is
    left to see its end.
    """
    with closing(StoreReader(places.state)) as reader:
        is_there = reader.is_on_its_way(execution)
    if is_there and owner_pid(places.state) is None:
        raise NoRunnerError(
            f"the runner ended meanwhile; when it starts again, what had not begun begins, "
            f"and `runner monitor` tells of {execution}"
        )
    return is_there


def _record_of(execution: str, places: Places) -> Record:
    """Return the finished record: from the log, or, while that cannot be written, from the store."""
    until_s = time.monotonic() + _RECORD_WITHIN_S
    while time.monotonic() < until_s:
        for record in _told_of(execution, places):
            if (
                record
                and record["event"] == Event.EXECUTION_FINISHED
                and record["execution"] == execution
            ):
                return record
        time.sleep(_LOOK_EVERY_S)
    raise RunnerError(
        f"the end of {execution} is recorded neither in {places.monitor_log} nor in the store"
    )


def _told_of(execution: str, places: Places) -> Iterator[Record | None]:
    """Yield the records that wait in the store, and then those of the log: while some
    wait, it may be unreadable.
    """
    with closing(StoreReader(places.state)) as reader:
        yield from map(decode, reader.waiting_records())
    yield from find_execution(places.monitor_log, execution)


def _refused(answer: Answer) -> int:
    for line in answer.lines:
        echo(f"runner: {line}", err=True)
    return REFUSED


def _exit_code(record: Record) -> int:
    """Return what a finished record says, and tell on stderr why it is no plain exit code."""
    is_success = record["status"] == ExecutionStatus.SUCCESS
    if is_success and record["exit_code"] is None:
        return 0  # of a group
    if record["reason"] in (None, Reason.EXIT_CODE) and (record["exit_code"] or is_success):
        return int(record["exit_code"])
    if not is_success:
        echo(f"runner: {record['request']}: {record['message']}", err=True)
    if record["status"] == ExecutionStatus.SKIPPED:
        return REFUSED
    match record["reason"]:
        case Reason.TIMEOUT:
            return TIMED_OUT
        case Reason.SPAWN_FAILED:
            return REFUSED
        case _:
            return 1 if record["signal"] is None else _BY_SIGNAL + int(record["signal"])
