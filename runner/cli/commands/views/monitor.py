"""`monitor`: the Process Monitor."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from runner.access.executions import processing, reason_for_none, require_known_log
from runner.access.places import Places
from runner.cli.arguments.selection import Selection
from runner.cli.options import (
    complete_requests_and_members,
    output_option,
    reading_options,
    record_selection_options,
)
from runner.cli.output.execution_cells import cells_of, columns_for, fixed_widths
from runner.cli.output.fitting import padded, print_fitted
from runner.cli.output.stdout import pause_briefly
from runner.cli.output.tables import echo, json_line, print_table, style
from runner.errors import StoreError, UsageError
from runner.lifecycle import ExecutionStatus
from runner.matching import is_glob
from runner.monitor.execution_tree import Branch, trees_of
from runner.monitor.reading import Filter, follow, newest
from runner.monitor.records import Event
from runner.timing.typed_times import Toward, read_time

# While the existing records are read, the log may grow by this many records at most.
_MOST_ADDED_MEANWHILE = 1000
_MOST_IN_TREES = 10_000
"""How many of the newest executions are searched for trees; a tree may span many of them."""


@click.command("monitor")
@click.option("--follow", "-f", "is_following", is_flag=True, help="Keep showing new lines.")
@click.option(
    "--request",
    "names",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_requests_and_members,
    help="Show only this request or member, or what matches a glob; may be repeated.",
)
@click.option(
    "--status",
    "statuses",
    type=click.Choice([str(status) for status in ExecutionStatus]),
    multiple=True,
    help="Show only executions with this status; may be repeated.",
)
@record_selection_options
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
    help="Maximum number of lines; with --tree, of trees.",
)
@click.option("--wide", "is_wide", is_flag=True, help="Show Openbravo's columns in full width.")
@click.option(
    "--newest-first", "is_reversed", is_flag=True, help="Show the newest first, as Openbravo does."
)
@click.option(
    "--tree",
    "is_tree",
    is_flag=True,
    help="Show below each execution what it ran: members, attempts and what followed it.",
)
@output_option
@reading_options
def monitor_command(
    is_following: bool,
    selection: Selection,
    statuses: tuple[str, ...],
    since: str | None,
    count: int,
    is_wide: bool,
    is_reversed: bool,
    is_tree: bool,
    output: str,
    places: Places,
) -> None:
    """Show the Process Monitor: one line per execution. Running executions come last,
    as `processing`.

    A member of a group is shown as `GROUP › MEMBER` and found by either name. With -f,
    a line follows whenever an execution ends; with `--status processing`, whenever one
    starts.

    --label and --owner select by what the request said when it ran. --failing means all
    executions of the requests whose last one has failed.

    A line on stderr says which alerts are open, whatever is selected.

    --tree shows whole trees: each has an execution that the other options select.

    \b
    Examples:
      runner monitor --status error --since 24h
      runner monitor --request 'nightly-*' --label team=finance
      runner monitor --status processing
      runner monitor --tree --request month-end
      runner monitor -f
    """
    if is_following:
        _refuse_to_follow(is_reversed=is_reversed, is_tree=is_tree)
    require_known_log(places)
    matches = _filter(selection, statuses, since, places)
    if output == "text" and places.has_store:
        # Imported late, because it brings sqlite3.
        from runner.access.troubles import report_alerts

        report_alerts(places)
    if is_following:
        _follow(_followed(places, matches, count), output, places.zone, is_wide=is_wide)
        return
    records, labels = _shown(places, matches, count, is_tree=is_tree, is_reversed=is_reversed)
    if not records:
        is_selective = bool(statuses or since) or not selection.is_empty
        _explain_nothing(selection, places, is_selective=is_selective)
    _print(records, output, places.zone, is_wide=is_wide, labels=labels)


def _refuse_to_follow(*, is_reversed: bool, is_tree: bool) -> None:
    """Raise UsageError for an order in which new executions cannot come last."""
    if is_reversed:
        raise UsageError(
            "--newest-first cannot be combined with --follow, which adds new lines at the end"
        )
    if is_tree:
        raise UsageError(
            "--tree cannot be combined with --follow: a new execution may belong to a tree"
            " that is shown already"
        )


def _shown(
    places: Places, matches: Filter, count: int, *, is_tree: bool, is_reversed: bool
) -> tuple[list[dict[str, Any]], list[str] | None]:
    """Return the executions to show, in order, and for trees their names in it."""
    step = -1 if is_reversed else 1
    if not is_tree:
        return _newest(places, matches, count)[::step], None
    branches = [each for tree in _trees(places, matches, count)[::step] for each in tree]
    return [each.record for each in branches], [each.label for each in branches]


def _filter(
    selection: Selection, statuses: Collection[str], since: str | None, places: Places
) -> Filter:
    begin = None
    if since is not None:
        begin = read_time("--since", since, places.zone, datetime.now(UTC), toward=Toward.PAST)
    return Filter(
        requests=frozenset(selection.names),
        among=_failing(places) if selection.is_failing else None,
        labels=tuple(selection.labels.values()),
        owners=selection.owners,
        statuses=frozenset(statuses),
        since=begin,
    )


def _failing(places: Places) -> frozenset[str]:
    """Return the names of the requests whose last execution failed."""
    from runner.access.loading import load_served
    from runner.cli.access.selecting import selected_views

    found = selected_views(load_served(places), Selection(is_failing=True))
    return frozenset(view.name for view in found)


def _explain_nothing(selection: Selection, places: Places, *, is_selective: bool) -> None:
    """Print to stderr why no execution is shown."""
    found = [reason_for_none(name, places) for name in selection.names if not is_glob(name)]
    if selection.labels or selection.owners:
        found.append(_unknown(selection, places))
    nothing = "no execution matches" if is_selective else "nothing has run yet"
    for line in list(filter(None, found)) or [nothing]:
        echo(line, err=True)


def _unknown(selection: Selection, places: Places) -> str | None:
    """Return which label or owner no request has, if there is a jobs folder."""
    from runner.access.loading import load_served
    from runner.access.shown.request_items import views_of
    from runner.cli.access.selecting import candidates_of
    from runner.cli.arguments.selection import select

    try:
        loaded = load_served(places)
        select(candidates_of(views_of(loaded), loaded), replace(selection, names=()))
    except UsageError as error:
        return str(error)
    return None


def _print(
    records: Sequence[dict[str, Any]],
    output: str,
    zone: str,
    *,
    is_wide: bool,
    labels: Sequence[str] | None,
) -> None:
    """Print executions; `labels` are their names in a tree."""
    if output == "json":
        for record in records:
            echo(json_line(record))
        return
    columns = columns_for(is_wide=is_wide)
    rows = [cells_of(record, columns, zone) for record in records]
    if labels is not None:
        at = columns.index("PROCESS" if is_wide else "REQUEST")
        rows = [[*row[:at], label, *row[at + 1 :]] for row, label in zip(rows, labels, strict=True)]
    (print_table if is_wide else print_fitted)(columns, rows)


def _newest(places: Places, matches: Filter, count: int) -> list[dict[str, Any]]:
    """Return the newest matching executions; running ones come last."""
    running = _running(places, matches)
    is_running_alone = matches.statuses == {ExecutionStatus.PROCESSING}
    ended = [] if is_running_alone else newest(places.log_to_read, count, matches=matches)
    known = {record["execution"] for record in ended}  # one may have ended between the two reads
    found = [*ended, *(record for record in running if record["execution"] not in known)]
    return found[max(len(found) - count, 0) :]


def _trees(places: Places, matches: Filter, count: int) -> list[list[Branch]]:
    """Return the newest trees that have a matching execution, by their roots."""
    ended = replace(matches, events=frozenset())
    running = replace(ended, since=None)

    def is_wanted(record: dict[str, Any]) -> bool:
        is_running = record["event"] == Event.EXECUTION_STARTED
        return (running if is_running else ended).admits(record)

    trees = trees_of(_newest(places, Filter(), _MOST_IN_TREES), is_wanted)
    return trees[max(len(trees) - count, 0) :]


def _running(places: Places, matches: Filter) -> list[dict[str, Any]]:
    """Return the running executions if the filter asks for them. `--since` does not
    apply to them. If the store cannot be read, the reason is reported.
    """
    if matches.statuses and ExecutionStatus.PROCESSING not in matches.statuses:
        return []
    any_time = replace(matches, since=None, events=frozenset())
    try:
        records = processing(places)
    except StoreError as error:
        places.report(f"runner: running executions cannot be shown: {error}")
        return []
    return [record for record in records if any_time.admits(record)]


def _followed(places: Places, matches: Filter, count: int) -> Iterator[dict[str, Any]]:
    """Yield the existing records, then new ones as they appear.

    An execution that both the first read and the log's growth contain is yielded once.
    """
    is_about_starts = ExecutionStatus.PROCESSING in matches.statuses
    events = matches.events | {Event.EXECUTION_STARTED} if is_about_starts else matches.events
    # Bounded memory: `monitor -f` may follow for months.
    recent: deque[tuple[object, object]] = deque(maxlen=count + _MOST_ADDED_MEANWHILE)

    def wait() -> None:
        pause_briefly()
        places.refresh_log()

    for record in follow(
        places.log_to_read,
        matches=replace(matches, events=frozenset(events)),
        wait=wait,
        begin=lambda: _newest(places, matches, count),
    ):
        key = (record["execution"], record["status"])
        if key not in recent:
            recent.append(key)
            yield record


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
