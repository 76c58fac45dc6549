"""`next`: the upcoming fires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile

import click

from runner.access.loading import load
from runner.access.places import Places
from runner.access.troubles import report_pauses, report_trouble
from runner.cli.access.selecting import selected_requests
from runner.cli.arguments.selection import Selection
from runner.cli.options import complete_requests, output_option, reading_options, selection_options
from runner.cli.output.tables import echo, json_line, style
from runner.planning.coming_fires import ComingFire, merged
from runner.planning.moved_fires import moved_words
from runner.timing.local_times import local_text
from runner.timing.typed_times import OfDay, Toward, read_begin, read_time
from runner.values import duration_text

_USUAL_COUNT = 10


@click.command("next")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_requests)
@click.option(
    "--from",
    "begin",
    metavar="T",
    help="Only fires at or after T, which may be in the past.  [default: now]",
)
@click.option(
    "--until", metavar="T", help="Only fires at or before T; a date includes its whole day."
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(1),
    help="Maximum number of fires.  [default: 10, or all with --until]",
)
@selection_options
@output_option
@reading_options
def next_command(
    selection: Selection,
    begin: str | None,
    until: str | None,
    count: int | None,
    output: str,
    places: Places,
) -> None:
    """List upcoming fires in order of time: of all requests, or of each NAME,
    which may be a glob in quotes.

    This needs no runner, because fire times depend on the files alone. Fires that a pause
    holds are left out. T is a time as in the files, a date, a time of day, now, today,
    yesterday, or a duration from now.

    \b
    Examples:
      runner next -n 3
      runner next nightly-posting --until 2027-01-31
      runner next 'nightly-*' --until 8h
      runner next --label team=finance
    """
    loaded = load(places)
    report_trouble(places, loaded)
    report_pauses(places, loaded)
    requests = selected_requests(loaded, selection)
    after = read_begin(begin, places.zone, loaded.now)
    last = (
        None
        if until is None
        else read_time(
            "--until", until, places.zone, loaded.now, toward=Toward.FUTURE, of_day=OfDay.LAST
        )
    )
    coming = merged(requests, loaded.states, after=after, now=loaded.now, pauses=loaded.pauses)
    fires = _until(coming, last)
    limit = count if count is not None or last is not None else _USUAL_COUNT
    noted = ((fire, moved_words(requests[fire.request], fire.scheduled_for)) for fire in fires)
    _print(islice(noted, limit), output, places.zone, loaded.now)


def _print(
    fires: Iterable[tuple[ComingFire, str | None]], output: str, zone: str, now: datetime
) -> None:
    """Print fires line by line with fixed widths.

    The fires may be endless, and a table needs its last row before it can print the first.
    """
    count = 0
    for count, (fire, moved) in enumerate(fires, 1):
        local = local_text(fire.scheduled_for, zone)
        if output == "json":
            item = {"request": fire.request, "scheduled_for": fire.scheduled_for}
            echo(json_line({**item, "local": local, "zone": zone, "message": moved}))
            continue
        if count == 1:
            echo(style(f"{'SCHEDULED FOR':25}  {'IN':12}  REQUEST", bold=True))
        note = f"  {moved}" if moved else ""
        echo(f"{local}  {_distance(fire.scheduled_for - now):12}  {fire.request}{note}")
    if not count:
        echo("no upcoming fires", err=True)


def _until(fires: Iterable[ComingFire], last: datetime | None) -> Iterator[ComingFire]:
    return takewhile(lambda fire: last is None or fire.scheduled_for <= last, fires)


def _distance(delta: timedelta) -> str:
    whole = timedelta(seconds=round(delta.total_seconds()))
    if whole < timedelta():
        return f"{duration_text(-whole)} ago"
    return duration_text(whole) if whole else "now"
