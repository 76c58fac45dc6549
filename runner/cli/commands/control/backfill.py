"""`backfill`: run the fires of a past span that have no success."""

from __future__ import annotations

from datetime import datetime

import click

from runner.access.backfill import RequestPast, fires_to_run, past_of
from runner.access.loading import Loaded, load_served
from runner.access.ownership import require_own
from runner.access.places import Places
from runner.cli.access.selecting import selected_requests
from runner.cli.arguments.selection import Selection
from runner.cli.commands.control.buttons import answer_to, say_chosen
from runner.cli.options import (
    complete_requests,
    output_option,
    place_options,
    selection_options,
    shared_jobs_option,
)
from runner.cli.output.tables import echo, json_line
from runner.commands import Command, CommandKind
from runner.errors import UsageError
from runner.planning.states.backfills import MOST_FIRES
from runner.requests.model import Schedule
from runner.timing.local_times import local_text
from runner.timing.typed_times import OfDay, Toward, read_time


@click.command("backfill")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_requests)
@click.option("--from", "begin", metavar="T", required=True, help="The first fire at or after T.")
@click.option(
    "--to",
    "end",
    metavar="T",
    required=True,
    help="The last fire at or before T; a date includes its whole day.",
)
@click.option(
    "--at-most",
    metavar="N",
    type=click.IntRange(1, MOST_FIRES),
    help=f"Run only the N oldest of these fires.  [default: all, up to {MOST_FIRES}]",
)
@click.option("--all", "is_for_all", is_flag=True, help="Also run fires that have a success.")
@click.option("--dry-run", is_flag=True, help="Only list the fires that would run.")
@selection_options
@output_option
@shared_jobs_option
@place_options
def backfill_command(
    selection: Selection,
    begin: str,
    end: str,
    at_most: int | None,
    is_for_all: bool,
    dry_run: bool,
    output: str,
    allow_shared_jobs: bool,
    places: Places,
) -> None:
    """Run the fires of the request NAME in a past span that have no success, one after
    another, the oldest first. The backfills of several requests run side by side.

    Each execution has the time of its fire in RUNNER_SCHEDULED_FOR, and `backfill` in
    RUNNER_CHANNEL. Retries and `on_failure` work as usual, and the next fire follows even
    after a failure. A restart goes on where the backfill stood. A pause of the request
    holds it; `unschedule` and `kill` end it.

    A span that is older than the known results of the request needs --all.

    \b
    Examples:
      runner backfill nightly-posting --from 2026-11-01 --to 2026-11-07 --dry-run
      runner backfill nightly-posting --from 2026-11-01 --to 2026-11-07
      runner backfill --label team=finance --from 2026-11-01 --to 2026-11-07
    """
    if selection.is_empty:
        raise UsageError("give the names of requests, or a selection such as --label team=finance")
    require_own(places)
    loaded = load_served(places)
    first, last = _span(begin, end, places.zone, loaded.now)
    # Every request is looked at before one of them runs: a refusal runs none of them.
    pasts = [past_of(name, loaded, places) for name in _names(selection, loaded)]
    found = [fires_to_run(past, first, last, at_most, is_for_all=is_for_all) for past in pasts]
    is_done = True
    for past, fires in zip(pasts, found, strict=True):
        if not fires:
            echo(f"{past.name}: no fire of this span is left to run", err=True)
        elif dry_run:
            _print(fires, past, output, places.zone, is_named=len(pasts) > 1)
        else:
            command = Command(kind=CommandKind.BACKFILL, targets=(past.name,), fires=fires)
            answer = answer_to(command, allow_shared_jobs, places)
            for line in answer.lines:
                echo(line)
            is_done &= answer.is_done
    if not is_done:
        raise SystemExit(1)


def _span(begin: str, end: str, zone: str, now: datetime) -> tuple[datetime, datetime]:
    """Return the span that --from and --to mean, up to `now`. Raises UsageError."""
    first, last = (
        read_time(option, text, zone, now, toward=Toward.PAST, of_day=of_day)
        for option, text, of_day in (("--from", begin, OfDay.FIRST), ("--to", end, OfDay.LAST))
    )
    if last < first:
        raise UsageError("--to is earlier than --from")
    return first, min(last, now)


def _names(selection: Selection, loaded: Loaded) -> tuple[str, ...]:
    """Return the names of the requests to backfill, after printing what is selected.

    Only a schedule has fires of the past, so a selection leaves other requests out.
    """
    if selection.is_by_name:
        return tuple(dict.fromkeys(selection.names))
    names = tuple(
        name
        for name, request in selected_requests(loaded, selection).items()
        if isinstance(request.timing, Schedule) or name in selection.names
    )
    if names:
        say_chosen(names, CommandKind.BACKFILL)
    return names


def _print(
    fires: tuple[datetime, ...], past: RequestPast, output: str, zone: str, *, is_named: bool
) -> None:
    for fire in fires:
        local = local_text(fire, zone)
        item = {"request": past.name, "scheduled_for": fire, "local": local, "zone": zone}
        text = f"{local}  {past.name}" if is_named else local
        echo(json_line(item) if output == "json" else text)
