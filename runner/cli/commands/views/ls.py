"""`ls`: one line per request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from runner.access.loading import load
from runner.access.places import Places
from runner.access.shown.request_items import request_item
from runner.access.troubles import report_pauses, report_trouble
from runner.cli.access.selecting import selected_views
from runner.cli.arguments.selection import Selection
from runner.cli.options import complete_requests, output_option, reading_options, selection_options
from runner.cli.output.fitting import fits, moment_text, print_fitted, terminal_columns
from runner.cli.output.tables import coloured, echo, json_line, style
from runner.lifecycle import INVALID, Check
from runner.planning.states.results import FAILURES
from runner.planning.views.request_view import IN_SYNC
from runner.planning.words.pause_words import backfill_words

_OPTIONAL = ("FILE", "SYNC")
"""The columns that a narrow terminal drops. A note below the table reports drift instead."""


@click.command("ls")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_requests)
@selection_options
@output_option
@reading_options
def ls_command(selection: Selection, output: str, places: Places) -> None:
    """List the requests with status, last result, next fire and schedule. Requests
    whose last execution failed are red.

    SYNC compares the runner's state with the file. `drifted` means that they differ:
    for example, a person has unscheduled the request, or an edit is not live yet. `new`
    means that no runner has seen the request. `kept` means that the jobs folder shows
    no files, and the last good version stays active.

    \b
    Examples:
      runner ls --failing
      runner ls 'nightly-*' --label team=finance
    """
    loaded = load(places)
    report_trouble(places, loaded)
    report_pauses(places, loaded)
    items = [request_item(view, loaded) for view in selected_views(loaded, selection)]
    if output == "json":
        for item in items:
            echo(json_line(item))
        return
    columns = _columns(items)
    rows = [[_LS_CELLS[name](item, places.zone) for name in columns] for item in items]
    if "NOTE" not in columns or fits(columns, rows):
        print_fitted(columns, rows, optional=_OPTIONAL)
        return
    # A note is a sentence and useless when cut; below the table it has the whole width.
    print_fitted(columns[:-1], [row[:-1] for row in rows], optional=_OPTIONAL)
    echo("")
    for item, row in zip(items, rows, strict=True):
        if row[-1]:
            echo(f"{_name_cell(item, places.zone)}: {row[-1]}")


def _columns(items: list[dict[str, Any]]) -> list[str]:
    """Return the columns with content. A terminal shows SYNC only if a request is out of sync."""
    idle = {
        name for name in ("FILE", "NOTE") if not any(_LS_CELLS[name](item, "UTC") for item in items)
    }
    if terminal_columns() is not None and all(item["sync"] == IN_SYNC for item in items):
        idle.add("SYNC")
    return [name for name in _LS_CELLS if name not in idle]


def _is_failing(item: dict[str, Any]) -> bool:
    return item["last_status"] in FAILURES


def _on_time_words(until: datetime | None, zone: str) -> str:
    """Return the note about a clock that went back: until when old fires run only on time."""
    return (
        f"the clock went back: until {moment_text(until, zone)} it fires only on time"
        if until
        else ""
    )


def _name_cell(item: dict[str, Any], _zone: str) -> str:
    name = item["request"] or "-"
    return style(name, fg="red") if _is_failing(item) or item["status"] == INVALID else name


def _result_cell(item: dict[str, Any], zone: str) -> str:
    if item["last_status"] is None:
        return "-"
    status = item["last_status"]
    shown = style(status, fg="red") if _is_failing(item) else coloured(status)
    return f"{shown} {moment_text(item['last_ended'], zone)}"


def _note(item: dict[str, Any], zone: str) -> str:
    """Return everything that is unusual about a request: a drift hides no invalid file."""
    # A pause of all requests needs no note at each of them: a line on stderr reports it.
    paused = "paused" if item["pause"] and item["pause"]["paused"] is not None else None
    backfill = f"backfill: {backfill_words(item['backfill'])}" if item["backfill"] else None
    # The last result of a request shows its failure.
    checks = [each["check"] for each in item["alerts"] if each["check"] != Check.FAILURE]
    alerts = f"alert: {', '.join(checks)}" if checks else None
    notes = (
        paused,
        alerts,
        backfill,
        item["message"],
        item["drift"],
        _on_time_words(item["reopened_until"], zone),
    )
    return "; ".join(filter(None, notes))


def _file_cell(item: dict[str, Any], _zone: str) -> str:
    """Return the request's file, or nothing if the file is named after the request."""
    file = str(item["request_file"])
    return "" if file in (f"{item['request']}.yaml", f"{item['request']}.yml") else file


_LS_CELLS: dict[str, Callable[[dict[str, Any], str], str]] = {
    "NAME": _name_cell,
    "STATUS": lambda item, _: coloured(item["status"]),
    "SYNC": lambda item, _: coloured(item["sync"]),
    "LAST RESULT": _result_cell,
    "NEXT FIRE": lambda item, zone: moment_text(item["scheduled_for"], zone),
    "SCHEDULE": lambda item, _: item["timing"] or "-",
    "FILE": _file_cell,
    "NOTE": _note,
}
