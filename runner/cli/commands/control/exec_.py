"""`exec`: run a request now, show its output, return its exit code."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from runner.access.params import param_in, refuse_secrets
from runner.access.places import Places
from runner.access.reaching import reach
from runner.cli.access.outages import Outage, later_words
from runner.cli.options import complete_requests, place_options, shared_jobs_option
from runner.cli.output.copying import AnyCopier, file_copier, stored_copier
from runner.cli.output.tables import echo
from runner.commands import Answer, Command, CommandKind, ask
from runner.errors import (
    LogUnwritableError,
    NoRunnerError,
    RefusedError,
    RunnerError,
    StoreError,
)
from runner.lifecycle import ExecutionStatus, Reason
from runner.monitor.reading import find_execution
from runner.monitor.records import Event, decode
from runner.store.opening import owner_of, read_store

# The exit codes of timeout(1): 124 timed out, 125 not run, 128 + n ended by signal n.
TIMED_OUT = 124
REFUSED = 125
_BY_SIGNAL = 128
_FIRST_LOOK_S, _LOOK_EVERY_S = 0.005, 0.1
_RECORD_WITHIN_S = 5.0  # from the execution's end until its record is readable
Record = Mapping[str, Any]


@click.command("exec")
@click.argument("name", shell_complete=complete_requests)
@click.option(
    "--param",
    "params",
    metavar="K=V",
    multiple=True,
    help="A parameter for this execution; may be repeated.",
)
@shared_jobs_option
@place_options
def exec_command(
    name: str, params: tuple[str, ...], allow_shared_jobs: bool, places: Places
) -> None:
    """Run the request NAME now, through the running runner if there is one, else in
    this process.

    The command prints the execution's output. Ctrl-C kills the execution. The exit code
    is the execution's own; 124 after its timeout, 125 if it was skipped or could not
    start, 128 + n if signal n ended it. The command does not retry the request, but a
    group still retries its members.

    A parameter's value is read as JSON if possible (2026, true, [1, 2]), else as text.
    The command refuses a parameter that `secrets` names or that contains a secret's
    value. Use an environment_file or the runner's environment instead.

    \b
    Examples:
      runner exec nightly-posting
      runner exec report --param year=2026 --param ledger=main
    """
    command = Command(kind=CommandKind.EXEC, targets=(name,), params=dict(map(param_in, params)))
    try:
        if command.params:
            refuse_secrets(command, places)
        interruptions = _Interruptions()
        with interruptions.caught():
            code = reach(
                places,
                command,
                served=lambda answer: _through_runner(answer, places, interruptions),
                alone=lambda: _alone(command, places, interruptions, allow_shared_jobs),
            )
    except (StoreError, LogUnwritableError, RefusedError) as error:
        echo(f"runner: {error}", err=True)
        code = REFUSED
    raise SystemExit(code)


def _through_runner(answer: Answer, places: Places, interruptions: _Interruptions) -> int:
    if not answer.is_done:
        return _refused(answer)
    try:
        return _followed(answer, places, interruptions)
    except (StoreError, LogUnwritableError) as error:
        # Not 125: the runner has accepted it, and a script that tries again would run it twice.
        raise RunnerError(f"{error}; {later_words(answer.data['execution'])}") from error


def _followed(answer: Answer, places: Places, interruptions: _Interruptions) -> int:
    """Copy the output until the execution has ended; return its exit code."""
    execution, copier = answer.data["execution"], _copier(answer, places)
    kill = Command(kind=CommandKind.KILL, targets=(execution,))
    outlast = Outage(execution, is_in_fleet=places.is_in_fleet).outlast
    pause_s = _FIRST_LOOK_S
    while outlast(lambda: _is_in_progress(execution, places)):
        outlast(copier.copy)
        outlast(lambda: interruptions.kill_if_asked(lambda: ask(places.store, kill)))
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LOOK_EVERY_S)
    outlast(copier.copy)  # the output written after the last look
    return _exit_code(outlast(lambda: _record_of(execution, places)))


def _copier(answer: Answer, places: Places) -> AnyCopier:
    is_group = bool(answer.data["is_group"])
    if places.store.url is not None:
        return stored_copier(places, answer.data["execution"], is_group=is_group)
    return file_copier(Path(answer.data["output_file"]), is_group=is_group)


def _alone(
    command: Command, places: Places, interruptions: _Interruptions, allow_shared_jobs: bool
) -> int:
    """Act as the runner until the execution has ended.

    Other commands may ask this process to run something meanwhile; it waits for that
    too.
    """
    from runner.cli.access.embedded import embedded

    ended: dict[str, Record] = {}

    def note(record: dict[str, Any]) -> None:
        if record["event"] == Event.EXECUTION_FINISHED:
            ended[record["execution"]] = record

    with ExitStack() as resources:
        with interruptions.at_once():
            opening = embedded(places, note, allow_shared_jobs=allow_shared_jobs)
            runner = resources.enter_context(opening)
        # Entering the runner has replaced our signal handlers.
        resources.enter_context(interruptions.caught())
        answer = runner.carry_out(command)
        if not answer.is_done:
            return _refused(answer)
        execution, copier = answer.data["execution"], _copier(answer, places)
        kill = Command(kind=CommandKind.KILL, targets=(execution,))
        while execution not in ended or runner.is_executing:
            runner.turn()
            runner.wait(at_most_s=_LOOK_EVERY_S)
            copier.copy()
            interruptions.kill_if_asked(lambda: runner.carry_out(kill))
    return _exit_code(ended[execution])


class _Interruptions:
    """Turns Ctrl-C and SIGTERM into a request to kill the execution.

    The first signal may arrive before the execution's id is known; it is kept until
    then, and the command continues until the execution ends. A second signal ends the
    command as well.
    """

    def __init__(self) -> None:
        self._is_asked = self._is_pending = self._is_at_once = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals here; restore the former handlers on exit."""
        former = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let the first signal end the command: as yet there is no execution to kill."""
        if self._is_asked:
            raise KeyboardInterrupt
        self._is_at_once = True
        yield
        self._is_at_once = False

    def kill_if_asked(self, kill: Callable[[], object]) -> None:
        """Call `kill` once if a signal has arrived since the last call."""
        if self._is_pending:
            kill()  # if it fails in an outage, it is asked again
            self._is_pending = False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_asked or self._is_at_once:
            raise KeyboardInterrupt
        self._is_asked = self._is_pending = True


def _is_in_progress(execution: str, places: Places) -> bool:
    """Return whether the store still holds an execution.

    Raises NoRunnerError if the runner died: it would never report the end. In a fleet, the
    next leader does.
    """
    with closing(read_store(places.store)) as reader:
        is_there = reader.is_in_progress(execution)
    if is_there and owner_of(places.store) is None:
        if places.is_in_fleet:
            raise NoRunnerError("no node of the fleet leads now")
        raise NoRunnerError(
            f"the runner ended meanwhile; after its next start, "
            f"`runner monitor` shows how {execution} ended"
        )
    return is_there


def _record_of(execution: str, places: Places) -> Record:
    """Return the finished record from the log, or from the store while the log cannot
    be written.

    Raises RunnerError after _RECORD_WITHIN_S seconds without one.
    """
    until_s = time.monotonic() + _RECORD_WITHIN_S
    while time.monotonic() < until_s:
        for record in _records_of(execution, places):
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


def _records_of(execution: str, places: Places) -> Iterator[Record | None]:
    """Yield the records that wait in the store, then those of the log.

    The store comes first: records wait there when the log fails, and then the log may
    be unreadable too.
    """
    with closing(read_store(places.store)) as reader:
        yield from map(decode, reader.waiting_records())
    yield from find_execution(places.log_to_read, execution)


def _refused(answer: Answer) -> int:
    for line in answer.lines:
        echo(f"runner: {line}", err=True)
    return REFUSED


def _exit_code(record: Record) -> int:
    """Return the exit code for a finished record; if the execution failed, print the
    reason on stderr.
    """
    is_success = record["status"] == ExecutionStatus.SUCCESS
    if is_success and record["exit_code"] is None:
        return 0  # a group has no exit code of its own
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
