"""`simulate`: what the requests would do in a time span, and how the load spreads over
days and hours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Any

import click

from runner.access.loading import load
from runner.access.past import durations
from runner.access.places import Places
from runner.access.troubles import report_pauses
from runner.cli.access.selecting import selected_requests
from runner.cli.arguments.selection import Selection
from runner.cli.options import output_option, reading_options, selection_options
from runner.cli.output.tables import echo, json_line, print_table, style
from runner.planning.forecast.moves import MovedFire, moved_fires
from runner.planning.forecast.simulation import Load, Rush, Simulation, simulate
from runner.timing.local_times import local_text
from runner.timing.typed_times import OfDay, Toward, read_begin, read_time
from runner.timing.zones import zone_named
from runner.values import clock_text, counted, listed

_WEEK = timedelta(days=7)
_MOST_DAYS = 31
_MOST_NAMED = 3
_MOST_MOVED = 1000
_BLOCKS = " ░▒▓█"
_COLOURS = (None, "green", "yellow", "magenta", "red")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LABEL = 14


@click.command("simulate")
@click.option("--from", "begin", metavar="T", help="Begin at T.  [default: now]")
@click.option(
    "--to",
    "end",
    metavar="T",
    help="End just before T; a date includes its whole day.  [default: 7 days later]",
)
@click.option(
    "--max-running",
    type=click.IntRange(1),
    help="Show what would wait with this maximum of concurrent executions.",
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Maximum number of requests, and of moved fires, to list.",
)
@selection_options
@output_option
@reading_options
def simulate_command(
    begin: str | None,
    end: str | None,
    max_running: int | None,
    count: int,
    selection: Selection,
    output: str,
    places: Places,
) -> None:
    """Forecast a time span: fires, the busiest minute, overlaps, a heat map, and the
    fires that a calendar moves.

    The forecast assumes that an execution takes as long as the median of the request's
    newest executions in the monitor log. A request that has not run yet counts as
    taking no time. Fires that a pause holds are left out. T is a time as in the files, a
    date, a time of day, now, today, yesterday, or a duration from now. Requests that are
    not selected are left out, as if there were none of them.

    \b
    Examples:
      runner simulate
      runner simulate --label team=finance
      runner simulate --from 2026-12-24 --to 2026-12-26 --max-running 8
    """
    loaded = load(places)
    report_pauses(places, loaded)
    first = read_begin(begin, places.zone, loaded.now)
    until = first + _WEEK
    if end is not None:
        until = read_time(
            "--to", end, places.zone, loaded.now, toward=Toward.FUTURE, of_day=OfDay.AFTER
        )
    chosen = selected_requests(loaded, selection)
    simulated = simulate(
        loaded.in_force.requests,
        loaded.states,
        durations(places),
        begin=first,
        end=until,
        now=loaded.now,
        pauses=loaded.pauses,
        max_running=max_running,
        among=None if selection.is_empty else chosen,
    )
    moves = moved_fires(
        chosen.values(),
        loaded.states,
        begin=first,
        end=until,
        now=loaded.now,
        pauses=loaded.pauses,
    )
    moved = list(islice(moves, _MOST_MOVED))
    if output == "json":
        echo(json_line(_item(simulated, moved, places.zone)))
        return
    _print(simulated, count, places.zone)
    if count and moved:
        echo()
        _print_moved(moved, count, places.zone)


def _item(simulated: Simulation, moved: Iterable[MovedFire], zone: str) -> dict[str, Any]:
    days = simulated.by_day_and_hour(zone_named(zone))
    return {
        "from": simulated.begin,
        "to": simulated.end,
        "zone": zone,
        "fires": simulated.fires,
        "busiest": _rush_item(simulated.rush, zone) if simulated.rush else None,
        "moved": [
            {
                "request": each.request,
                "scheduled_for": each.fire,
                "local": local_text(each.fire, zone),
                "message": each.origin,
            }
            for each in moved
        ],
        "requests": [_load_item(each) for each in simulated.loads],
        "days": [{"date": day.isoformat(), "hours": hours} for day, hours in days.items()],
    }


def _rush_item(rush: Rush, zone: str) -> dict[str, Any]:
    requests = [{"request": name, "starts": starts} for name, starts in rush.requests]
    return {
        "time": rush.at,
        "local": local_text(rush.at, zone),
        "starts": rush.starts,
        "requests": requests,
    }


def _load_item(each: Load) -> dict[str, Any]:
    return {
        "request": each.request,
        "fires": each.fires,
        "duration_s": each.duration and each.duration.total_seconds(),
        "overlapping": each.overlapping,
        "skipped": each.skipped,
        "waiting": each.waiting,
        "longest_wait_s": each.longest_wait.total_seconds(),
    }


def _print(simulated: Simulation, count: int, zone: str) -> None:
    echo(f"{counted(simulated.fires, 'fire')} of {counted(len(simulated.loads), 'request')}")
    echo(f"from {local_text(simulated.begin, zone)} to {local_text(simulated.end, zone)}")
    if simulated.rush is None:
        return
    _print_totals(simulated, zone)
    echo()
    _print_heat(simulated.by_day_and_hour(zone_named(zone)))
    if count:
        echo()
        _print_loads(simulated.loads[:count])
    if 0 < count < len(simulated.loads):
        echo(f"and {len(simulated.loads) - count:,} more; -n shows more requests")


def _print_totals(simulated: Simulation, zone: str) -> None:
    """Print the busiest minute, and the counts of overlapping and waiting fires."""
    rush, loads = simulated.rush, simulated.loads
    assert rush is not None
    echo(f"busiest minute: {counted(rush.starts, 'start')} at {local_text(rush.at, zone)}")
    echo(f"  {_first_of(rush.requests)}")
    if overlapping := sum(each.overlapping for each in loads):
        skipped = sum(each.skipped for each in loads)
        words = f"; {skipped:,} of them would be skipped" if skipped else ""
        echo(f"{counted(overlapping, 'fire')} due while the previous execution still runs{words}")
        found = sorted(
            ((each.request, each.overlapping) for each in loads if each.overlapping),
            key=lambda each: -each[1],
        )
        echo(f"  {_first_of(found)}")
    if waiting := sum(each.waiting for each in loads):
        longest = max(each.longest_wait for each in loads).total_seconds()
        echo(f"{counted(waiting, 'fire')} would wait, for at most {clock_text(longest)}")
    if unknown := sum(each.duration is None for each in loads):
        echo(f"assumed to take no time: {counted(unknown, 'request')} without a past execution")


def _first_of(counts: Sequence[tuple[str, int]]) -> str:
    """Return the first few requests with their counts, and the number of the others."""
    return listed((f"{name} {number:,}" for name, number in counts), _MOST_NAMED)


def _print_heat(days: dict[date, list[int]]) -> None:
    """Print the starts by day and hour in at most 80 columns; a long span is shown by weekday."""
    rows = (
        _by_weekday(days)
        if len(days) > _MOST_DAYS
        else {f"{day:%a %Y-%m-%d}": hours for day, hours in days.items()}
    )
    most = max(max(hours) for hours in rows.values())
    echo(
        " " * _LABEL
        + "  "
        + "".join(f"{hour:02}    " for hour in range(0, 24, 3))
        + f"{'STARTS':>14}"
    )
    for label, hours in rows.items():
        cells = "".join(_cell(starts, most) for starts in hours)
        echo(f"{label:<{_LABEL}}  {cells}{sum(hours):>14,}")
    echo(" " * _LABEL + "  " + _legend(most))


def _by_weekday(days: dict[date, list[int]]) -> dict[str, list[int]]:
    rows = {name: [0] * 24 for name in _WEEKDAYS}
    for day, hours in days.items():
        name = _WEEKDAYS[day.weekday()]
        rows[name] = [sum(both) for both in zip(rows[name], hours, strict=True)]
    return rows


def _cell(starts: int, most: int) -> str:
    return _block(_level(starts, most)) * 2


def _block(level: int) -> str:
    # Shades alone already show the level; colour only repeats it.
    return _BLOCKS[level] if "NO_COLOR" in os.environ else style(_BLOCKS[level], fg=_COLOURS[level])


def _level(starts: int, most: int) -> int:
    """Return the quarter of `most` that a number of starts lies in, from 1 to 4; 0 for
    no starts.
    """
    return -(-starts * (len(_BLOCKS) - 1) // most)  # rounded up: one start is visible too


def _legend(most: int) -> str:
    bounds = [most * level // (len(_BLOCKS) - 1) for level in range(len(_BLOCKS))]
    ranges = [(level, bounds[level - 1] + 1, bounds[level]) for level in range(1, len(_BLOCKS))]
    return "  ".join(
        f"{_block(level)} {_range(low, high)}" for level, low, high in ranges if low <= high
    )


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _print_loads(loads: Iterable[Load]) -> None:
    print_table(
        ("REQUEST", "FIRES", "LASTS", "OVERLAPPING", "SKIPPED", "WAITING", "LONGEST WAIT"),
        [
            (
                each.request,
                f"{each.fires:,}",
                "-" if each.duration is None else clock_text(each.duration.total_seconds()),
                f"{each.overlapping:,}",
                f"{each.skipped:,}",
                f"{each.waiting:,}",
                clock_text(each.longest_wait.total_seconds()) if each.waiting else "-",
            )
            for each in loads
        ],
    )


def _print_moved(moved: Sequence[MovedFire], count: int, zone: str) -> None:
    """Print the fires that a calendar moved into the span."""
    print_table(
        ("MOVED TO", "REQUEST", "NOTE"),
        [(local_text(each.fire, zone), each.request, each.origin) for each in moved[:count]],
    )
    if len(moved) > count:
        most = " or more" if len(moved) == _MOST_MOVED else ""
        echo(f"and {counted(len(moved) - count, 'moved fire')}{most} (-n)")
