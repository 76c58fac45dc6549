"""`monitor` and `log`: the Process Monitor, and the output of an execution."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from runner.cli.copying import Copier, GroupCopier
from runner.cli.options import Places, output_option, place_options, wall_option
from runner.cli.printing import coloured, echo, json_line, local_text, print_table, style, who, width_of
from runner.cli.stdout import pause
from runner.errors import RunnerError, StoreError, UsageError
from runner.execution.output import member_output_paths, open_to_read, output_path, outputs_folder
from runner.lifecycle import ExecutionStatus
from runner.monitor.reading import Filter, find_execution, follow, newest
from runner.values import clock_text, parse_duration, parse_instant

_FOLLOW_EVERY_S = 0.1
_COLUMNS = ("STARTED", "STATUS", "DURATION", "REQUEST", "CHANNEL", "EXECUTION", "MESSAGE")
_WIDTHS = (25, 14, 12, 24, 17, 36, 0)
_FINAL = [str(status) for status in ExecutionStatus if status is not ExecutionStatus.PROCESSING]


@click.command("monitor")
@click.option("--follow", "-f", "is_following", is_flag=True, help="Go on showing what is added.")
@click.option("--request", "requests", metavar="NAME", multiple=True, help="Only this request; may be repeated.")
@click.option(
    "--status", "statuses", type=click.Choice(_FINAL), multiple=True, help="Only this status; may be repeated."
)
@click.option("--since", metavar="T", help='Only what ended since T: "2026-12-24 18:00", or 2h for two hours ago.')
@click.option("-n", "count", type=click.IntRange(0), default=20, show_default=True, help="At most so many.")
@output_option
@place_options
def monitor_command(
    is_following: bool,
    requests: tuple[str, ...],
    statuses: tuple[str, ...],
    since: str | None,
    count: int,
    output: str,
    places: Places,
) -> None:
    """Show the Process Monitor: one line an execution that has ended, newest last.

    \b
    Examples:
      runner monitor --status error --since 24h
      runner monitor -f
    """
    matches = Filter(requests=frozenset(requests), statuses=frozenset(statuses), since=_since(since, places.zone))
    if is_following:
        _follow(follow(places.monitor_log, matches=matches, wait=_pause, last=count), output, places.zone)
        return
    records = newest(places.monitor_log, count, matches=matches)
    if output == "json":
        for record in records:
            echo(json_line(record))
    else:
        print_table(_COLUMNS, [_cells(record, places.zone) for record in records])


@click.command("log")
@click.argument("execution")
@click.option("--follow", "-f", "is_following", is_flag=True, help="Go on until the execution ends.")
@place_options
def log_command(execution: str, is_following: bool, places: Places) -> None:
    """Show the whole output of EXECUTION (its id, or the beginning of it)."""
    found = find_execution(places.monitor_log, execution)
    if not found:
        raise UsageError(f"the monitor log knows no execution {execution!r}; `runner monitor` lists them")
    if len(found) > 1:
        ids = ", ".join(str(record["execution"]) for record in found)
        raise UsageError(f"{execution!r} is ambiguous: {ids}")
    record = found[0]
    members = output_path(outputs_folder(places.state), str(record["execution"]))
    if not record.get("output_file") and member_output_paths(members):
        _copy(GroupCopier(members), str(record["execution"]), places, is_following=is_following)
        return
    if not record.get("output_file"):
        raise RunnerError(
            f"execution {record['execution']} never started, so it has no output: {record.get('message')}"
        )
    path = Path(str(record["output_file"]))
    try:
        open_to_read(path).close()
    except FileNotFoundError:
        raise RunnerError(
            f"the output file {path} is gone: outputs are pruned by age, count and size, or its own process removed it"
        ) from None
    except OSError as error:
        raise RunnerError(f"the output file {path} cannot be read: {_cause(error)}") from None
    _copy(Copier(path), str(record["execution"]), places, is_following=is_following)


def _cause(error: OSError) -> str:
    return "its process has put a link in its place" if error.errno == errno.ELOOP else error.strerror or str(error)


def _copy(copier: Copier | GroupCopier, execution: str, places: Places, *, is_following: bool) -> None:
    while is_following and not _has_ended(execution, places):
        copier.copy()
        if copier.is_abandoned:
            return
        _pause()
    copier.copy()


def _has_ended(execution: str, places: Places) -> bool:
    """Ask the store for one row; who may not read it searches the log, where a long execution's record is far back."""
    from runner.store.database import StoreReader

    with suppress(StoreError), closing(StoreReader(places.state)) as reader:
        if reader.is_on_its_way(execution):
            return False
    records = find_execution(places.monitor_log, execution)
    return bool(records) and records[0]["status"] != ExecutionStatus.PROCESSING


def _follow(records: Iterator[dict[str, Any]], output: str, zone: str) -> None:
    """Print records as they come, in columns of fixed width; Ctrl-C ends it."""
    try:
        if output == "text":
            _print_fixed([style(name, bold=True) for name in _COLUMNS])
        for record in records:
            if output == "json":
                echo(json_line(record))
            else:
                _print_fixed(_cells(record, zone))
    except KeyboardInterrupt:
        return


def _print_fixed(cells: Iterable[str]) -> None:
    padded = (cell + " " * (width - width_of(cell)) for cell, width in zip(cells, _WIDTHS, strict=True))
    echo("  ".join(padded).rstrip())


def _cells(record: dict[str, Any], zone: str) -> list[str]:
    begun = record.get("started") or record.get("scheduled_for")
    return [
        local_text(parse_instant(begun) if begun else None, zone),
        coloured(str(record["status"])),
        clock_text(record["duration_s"]) if record.get("duration_s") is not None else "-",
        who(record),
        str(record.get("channel")),
        str(record.get("execution")),
        record.get("message") or "",
    ]


def _since(text: str | None, zone: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        return wall_option("--since", text, zone)


def _pause() -> None:
    pause(_FOLLOW_EVERY_S)
