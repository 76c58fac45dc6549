"""`monitor` and `log`: the Process Monitor, and the output of one execution."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from runner.cli.executions import cells_of, columns_for, fixed_widths, processing
from runner.cli.options import complete_requests_and_members, output_option, place_options
from runner.cli.output.copying import Copier, GroupCopier
from runner.cli.output.fitting import padded, print_fitted
from runner.cli.output.stdout import pause
from runner.cli.output.tables import echo, json_line, print_table, style
from runner.cli.places import Places
from runner.cli.times import Toward, read_time
from runner.errors import RunnerError, StoreError, UsageError
from runner.execution.output import member_output_paths, open_to_read, output_path, outputs_folder
from runner.lifecycle import ExecutionStatus
from runner.monitor.reading import Filter, find_execution, follow, newest, newest_execution
from runner.monitor.records import Event
from runner.system.regular_files import is_folder

_FOLLOW_EVERY_S = 0.1
_ID_LENGTH = 36
# While the existing records are read, the log may grow by this many records at most.
_MOST_ADDED_MEANWHILE = 1000


@click.command("monitor")
@click.option("--follow", "-f", "is_following", is_flag=True, help="Keep showing new lines.")
@click.option(
    "--request",
    "requests",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_requests_and_members,
    help="Show only this request or member; may be repeated.",
)
@click.option(
    "--status",
    "statuses",
    type=click.Choice([str(status) for status in ExecutionStatus]),
    multiple=True,
    help="Show only this status; may be repeated.",
)
@click.option(
    "--since",
    metavar="T",
    help="Show only what ended since T, such as 2h (ago), 19:57 or yesterday.",
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Maximum number of lines.",
)
@click.option("--wide", "is_wide", is_flag=True, help="Show Openbravo's columns in full width.")
@click.option(
    "--newest-first", "is_reversed", is_flag=True, help="Show the newest first, as Openbravo does."
)
@output_option
@place_options
def monitor_command(
    is_following: bool,
    requests: tuple[str, ...],
    statuses: tuple[str, ...],
    since: str | None,
    count: int,
    is_wide: bool,
    is_reversed: bool,
    output: str,
    places: Places,
) -> None:
    """Show the Process Monitor: one line per execution. Running executions come last,
    as `processing`.

    A member of a group is shown as `GROUP › MEMBER` and found by either name. With -f,
    a line follows whenever an execution ends; with `--status processing`, whenever one
    starts.

    \b
    Examples:
      runner monitor --status error --since 24h
      runner monitor --status processing
      runner monitor -f
    """
    if is_following and is_reversed:
        raise UsageError(
            "--newest-first cannot be combined with --follow, which adds new lines at the end"
        )
    _require_own_log(places)
    begin = None
    if since is not None:
        begin = read_time("--since", since, places.zone, datetime.now(UTC), toward=Toward.PAST)
    matches = Filter(requests=frozenset(requests), statuses=frozenset(statuses), since=begin)
    if is_following:
        _follow(_followed(places, matches, count), output, places.zone, is_wide=is_wide)
        return
    records = _newest(places, matches, count)
    if is_reversed:
        records.reverse()
    if not records:
        found = [_reason_for(name, places) for name in requests]
        nothing = "no execution matches" if requests or statuses or since else "nothing has run yet"
        for line in list(filter(None, found)) or [nothing]:
            echo(line, err=True)
    if output == "json":
        for record in records:
            echo(json_line(record))
        return
    columns = columns_for(is_wide=is_wide)
    rows = [cells_of(record, columns, places.zone) for record in records]
    (print_table if is_wide else print_fitted)(columns, rows)


def _newest(places: Places, matches: Filter, count: int) -> list[dict[str, Any]]:
    """Return the newest matching executions; running ones come last."""
    running = _running(places, matches)
    is_running_alone = matches.statuses == {ExecutionStatus.PROCESSING}
    ended = [] if is_running_alone else newest(places.monitor_log, count, matches=matches)
    known = {record["execution"] for record in ended}  # one may have ended between the two reads
    found = [*ended, *(record for record in running if record["execution"] not in known)]
    return found[max(len(found) - count, 0) :]


def _running(places: Places, matches: Filter) -> list[dict[str, Any]]:
    """Return the running executions if the filter asks for them. `--since` does not
    apply to them.
    """
    if matches.statuses and ExecutionStatus.PROCESSING not in matches.statuses:
        return []
    any_time = replace(matches, since=None, events=frozenset())
    return [record for record in processing(places) if any_time.admits(record)]


def _followed(places: Places, matches: Filter, count: int) -> Iterator[dict[str, Any]]:
    """Yield the existing records, then new ones as they appear.

    An execution that both the first read and the log's growth contain is yielded once.
    """
    is_about_starts = ExecutionStatus.PROCESSING in matches.statuses
    events = matches.events | {Event.EXECUTION_STARTED} if is_about_starts else matches.events
    # Bounded memory: `monitor -f` may follow for months.
    recent: deque[tuple[object, object]] = deque(maxlen=count + _MOST_ADDED_MEANWHILE)
    for record in follow(
        places.monitor_log,
        matches=replace(matches, events=frozenset(events)),
        wait=_pause,
        begin=lambda: _newest(places, matches, count),
    ):
        key = (record["execution"], record["status"])
        if key not in recent:
            recent.append(key)
            yield record


@click.command("log")
@click.argument("execution", metavar="EXECUTION|NAME", shell_complete=complete_requests_and_members)
@click.option(
    "--follow", "-f", "is_following", is_flag=True, help="Keep printing until the execution ends."
)
@place_options
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
    _require_own_log(places)
    record = _execution(places, execution)
    members = output_path(outputs_folder(places.state), str(record["execution"]))
    if not record.get("output_file") and member_output_paths(members):
        _copy(GroupCopier(members), str(record["execution"]), places, is_following=is_following)
        return
    if not record.get("output_file"):
        raise RunnerError(
            f"execution {record['execution']} never started, so it has no output: "
            f"{record.get('message')}"
        )
    path = Path(str(record["output_file"]))
    try:
        open_to_read(path).close()
    except FileNotFoundError:
        raise RunnerError(
            f"the output file {path} is gone: outputs are pruned by age, count and size, "
            "or its own process removed it"
        ) from None
    except OSError as error:
        raise RunnerError(f"the output file {path} cannot be read: {_cause(error)}") from None
    _copy(Copier(path), str(record["execution"]), places, is_following=is_following)


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
    log = places.monitor_log
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
            f"{_reason_for(target, places) or '`runner monitor` lists all'}"
        )
    if len(found) > 1:
        raise UsageError(
            f"{target!r} is ambiguous: {', '.join(str(record['execution']) for record in found)}"
        )
    return found[0]


def _reason_for(name: str, places: Places) -> str | None:
    """Return why a request has no records: its file is invalid, or the name is misspelt."""
    if not is_folder(places.jobs):
        return None
    from runner.requests.catalog.reader import CatalogReader
    from runner.requests.catalog.unknown_names import reason_for

    catalog = CatalogReader(places.jobs, default_zone=places.zone).read()
    return (
        None if name in catalog.requests else reason_for(name, catalog.requests, catalog.rejections)
    )


def _require_own_log(places: Places) -> None:
    if is_folder(places.state):  # without a store, save the import of the modules that read it
        from runner.cli.ownership import require_own_log

        require_own_log(places)


def _copy(
    copier: Copier | GroupCopier, execution: str, places: Places, *, is_following: bool
) -> None:
    while is_following and not _has_ended(execution, places):
        copier.copy()
        if copier.is_abandoned:
            return
        _pause()
    copier.copy()


def _has_ended(execution: str, places: Places) -> bool:
    """Return whether an execution has ended: by one row of the store, or else by the
    log.

    The log serves callers who may not read the store. It is slower, because a long
    execution's record is far back.
    """
    from runner.store.opening import read_store

    with suppress(StoreError), closing(read_store(places.state)) as reader:
        if reader.is_on_its_way(execution):
            return False
    records = find_execution(places.monitor_log, execution)
    return bool(records) and records[0]["status"] != ExecutionStatus.PROCESSING


def _follow(records: Iterator[dict[str, Any]], output: str, zone: str, *, is_wide: bool) -> None:
    """Print records as they come, in columns of fixed width, until Ctrl-C."""
    columns = columns_for(is_wide=is_wide)
    widths = fixed_widths(columns, is_wide=is_wide)
    try:
        if output == "text":
            echo(padded([style(name, bold=True) for name in columns], widths))
        for record in records:
            echo(
                json_line(record)
                if output == "json"
                else padded(cells_of(record, columns, zone), widths)
            )
    except KeyboardInterrupt:
        return


def _pause() -> None:
    pause(_FOLLOW_EVERY_S)
