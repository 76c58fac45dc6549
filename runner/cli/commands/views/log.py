"""`log`: the output of one execution."""

from __future__ import annotations

import errno
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import click

from runner.access.executions import reason_for_none, require_known_log
from runner.access.outputs import members_with_output, open_output
from runner.access.places import Places
from runner.cli.options import complete_requests_and_members, reading_options
from runner.cli.output.copying import AnyCopier, file_copier, stored_copier
from runner.cli.output.stdout import pause_briefly
from runner.errors import RunnerError, StoreError, UsageError
from runner.execution.output import member_output_paths, open_to_read, output_path, outputs_folder
from runner.lifecycle import ExecutionStatus
from runner.monitor.reading import Filter, find_execution, newest, newest_execution

_ID_LENGTH = 36


@click.command("log")
@click.argument("execution", metavar="EXECUTION|NAME", shell_complete=complete_requests_and_members)
@click.option(
    "--follow", "-f", "is_following", is_flag=True, help="Keep printing until the execution ends."
)
@reading_options
def log_command(execution: str, is_following: bool, places: Places) -> None:
    """Show the whole output of an execution. EXECUTION is its id or a part of it.

    NAME is a request or a group's member, and means its newest execution that has
    started.

    \b
    Examples:
      runner log nightly-posting
      runner log "month-end › extract"
      runner log 2d3e4f50 --follow
    """
    require_known_log(places)
    record = _execution(places, execution)
    if places.store.url is not None:
        _copy(_stored(places, record), str(record["execution"]), places, is_following=is_following)
        return
    members = Path(output_path(outputs_folder(places.state), str(record["execution"])))
    if not record.get("output_file") and member_output_paths(members):
        copier = file_copier(members, is_group=True)
        _copy(copier, str(record["execution"]), places, is_following=is_following)
        return
    if not record.get("output_file"):
        raise _never_started(record)
    path = Path(str(record["output_file"]))
    _require_readable(path)
    _copy(file_copier(path), str(record["execution"]), places, is_following=is_following)


def _stored(places: Places, record: dict[str, Any]) -> AnyCopier:
    """Return the copier of an output that workers sent to the store."""
    execution = str(record["execution"])
    is_group = bool(members_with_output(places, execution))
    if not is_group and record.get("started") is None:
        raise _never_started(record)
    if not is_group and record["status"] != ExecutionStatus.PROCESSING:
        _require_stored(places, record)
    return stored_copier(places, execution, is_group=is_group)


def _require_stored(places: Places, record: dict[str, Any]) -> None:
    """Raise RunnerError if the store no longer has an output."""
    try:
        open_output(places, record).close()
    except FileNotFoundError:
        raise RunnerError(
            f"the output of {record['execution']} is gone: outputs are pruned by age, count and"
            " size"
        ) from None
    except OSError as error:
        raise RunnerError(f"the output cannot be read: {_cause(error)}") from None


def _never_started(record: dict[str, Any]) -> RunnerError:
    return RunnerError(
        f"execution {record['execution']} never started, so it has no output: "
        f"{record.get('message')}"
    )


def _require_readable(path: Path) -> None:
    """Raise RunnerError if an output file cannot be read."""
    try:
        open_to_read(path).close()
    except FileNotFoundError:
        raise RunnerError(
            f"the output file {path} is gone: outputs are pruned by age, count and size, "
            "or its own process removed it"
        ) from None
    except OSError as error:
        raise RunnerError(f"the output file {path} cannot be read: {_cause(error)}") from None


def _cause(error: OSError) -> str:
    return (
        "its process replaced it by a symbolic link"
        if error.errno == errno.ELOOP
        else error.strerror or str(error)
    )


def _execution(places: Places, target: str) -> dict[str, Any]:
    """Return the last record of the execution that a name or a part of an id means.

    Raises UsageError if none or several match.
    """
    log = places.log_to_read
    if len(target) < _ID_LENGTH:
        if (named := newest_execution(log, target)) is not None:
            return named
        if ended := newest(
            log, 1, matches=Filter(requests=frozenset({target}))
        ):  # skipped or missed: it never started
            return ended[0]
    found = find_execution(log, target)
    if not found:
        raise UsageError(
            f"the monitor log has no started execution of a request or member {target!r}, "
            "and none with that id; "
            f"{reason_for_none(target, places) or '`runner monitor` lists all'}"
        )
    if len(found) > 1:
        raise UsageError(
            f"{target!r} is ambiguous: {', '.join(str(record['execution']) for record in found)}"
        )
    return found[0]


def _copy(copier: AnyCopier, execution: str, places: Places, *, is_following: bool) -> None:
    while is_following and not _has_ended(execution, places):
        copier.copy()
        if copier.is_abandoned:
            return
        pause_briefly()
    copier.copy()


def _has_ended(execution: str, places: Places) -> bool:
    """Return whether an execution has ended: by one row of the store, or else by the
    log.

    The log serves callers who may not read the store. It is slower, because a long
    execution's record is far back.
    """
    from runner.store.opening import read_store

    with suppress(StoreError), closing(read_store(places.store)) as reader:
        if reader.is_in_progress(execution):
            return False
    records = find_execution(places.log_to_read, execution)
    return bool(records) and records[0]["status"] != ExecutionStatus.PROCESSING
