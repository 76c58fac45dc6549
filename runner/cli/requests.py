"""`ls`, `show`, `next`: the requests, how they stand, when they fire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import click

from runner.cli.loading import Loaded, load
from runner.cli.options import Places, output_option, place_options, wall_option
from runner.cli.printing import coloured, json_line, local_text, print_items
from runner.planning.process_words import action_words, member_words, process_words
from runner.planning.views import RequestView, first_fires, merged, views
from runner.planning.words import timing_words
from runner.requests.model import Reference


@click.command("ls")
@output_option
@place_options
def ls_command(output: str, places: Places) -> None:
    """List the requests: status, next fire, drift from the file.

    A request that a person has unscheduled, say, while its file says otherwise, has drifted.
    """
    loaded = load(places)
    items = [_item(view) for view in views(loaded.in_force, loaded.catalog.rejections, loaded.states, loaded.now)]
    print_items(
        items,
        output,
        columns=("NAME", "STATUS", "NEXT FIRE", "FILE", "NOTE"),
        cells=lambda item: (
            item["request"] or "-",
            coloured(item["status"]),
            local_text(item["scheduled_for"], places.zone),
            item["request_file"],
            item["drift"] or item["message"] or "",
        ),
    )


@click.command("show")
@click.argument("name")
@output_option
@place_options
def show_command(name: str, output: str, places: Places) -> None:
    """Tell everything about the request NAME: what it runs, when, how it stands, its next fires."""
    loaded = load(places)
    found = [
        view
        for view in views(loaded.in_force, loaded.catalog.rejections, loaded.states, loaded.now)
        if view.name == name
    ]
    if not found:
        loaded.request(name)
    item = _details(found[0], loaded, places)
    if output == "json":
        click.echo(json_line(item))
        return
    if found[0].rejection:
        from runner.cli.problems import problem_lines

        item["problems"] = [line for problem in found[0].rejection.problems for line in problem_lines(problem)]
    width = max(map(len, item))
    for key, value in item.items():
        for line in _lines(value, places.zone):
            click.echo(f"{click.style(key.ljust(width), bold=True)}  {line}")
            key = ""


@click.command("next")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--from", "begin", metavar="T", help="Only fires at or after T.  [default: now]")
@click.option("--until", metavar="T", help="Only fires at or before T.")
@click.option("-n", "count", type=click.IntRange(1), help="How many.  [default: 10, or all with --until]")
@output_option
@place_options
def next_command(
    names: tuple[str, ...], begin: str | None, until: str | None, count: int | None, output: str, places: Places
) -> None:
    """List coming fires, of all requests or of NAME, in the order of their time.

    It needs no runner: fire times depend on the files alone. T is a time as in the files, as "2026-12-24 18:00".

    \b
    Examples:
      runner next -n 3
      runner next nightly-posting --until "2027-01-31 00:00"
    """
    loaded = load(places)
    requests = {name: loaded.request(name) for name in names} if names else loaded.in_force.requests
    after = loaded.now if begin is None else wall_option("--from", begin, places.zone)
    last = None if until is None else wall_option("--until", until, places.zone)
    fires = merged(requests, loaded.states, after=after, now=loaded.now)
    limit = count if count is not None or last is not None else 10
    coming = islice((fire for fire in _until(fires, last)), limit)
    items = (
        {
            "request": fire.request,
            "scheduled_for": fire.scheduled_for,
            "local": local_text(fire.scheduled_for, places.zone),
            "zone": places.zone,
        }
        for fire in coming
    )
    # Not as a table, whose widths only its last row would tell: there may be no end of fires.
    count = 0
    for count, item in enumerate(items, 1):
        if output == "json":
            click.echo(json_line(item))
            continue
        if count == 1:
            click.echo(click.style(f"{'SCHEDULED FOR':25}  {'IN':12}  REQUEST", bold=True))
        click.echo(f"{item['local']}  {_distance(item['scheduled_for'] - loaded.now):12}  {item['request']}")
    if not count:
        click.echo("nothing is to come", err=True)


def _item(view: RequestView) -> dict[str, Any]:
    rejection = view.rejection
    kept = "the last good version goes on; " if rejection and view.request else ""
    return {
        "request": view.name or None,
        "status": view.status,
        "scheduled_for": view.next_fire,
        "request_file": view.file,
        "drift": view.drift,
        "message": f"{kept}{rejection.problems[0].message}" if rejection else None,
    }


def _details(view: RequestView, loaded: Loaded, places: Places) -> dict[str, Any]:
    request, state = view.request, view.state
    item: dict[str, Any] = {**_item(view)}
    if view.rejection:
        item["problems"] = [str(problem) for problem in view.rejection.problems]
    if request is not None and state is not None:
        item |= {
            "request_file": f"{places.jobs / request.source.file}:{request.source.line}",
            "request_sha256": request.source.sha256,
            "description": request.description,
            "owner": request.owner,
            "labels": request.labels or None,
            "process": action_words(request.process.action),
            "members": member_words(request.process),
            "directory": request.process.directory,
            **process_words(request.process),
            "on_failure": action_words(Reference(request=request.on_failure)) if request.on_failure else None,
            "formerly": request.formerly,
            "timing": timing_words(request.timing),
            "generation": state.generation,
            "next": first_fires(request, state, loaded.now, 3),
            "executions": [row.id for row in loaded.snapshot.executions if row.request == view.name],
        }
    return {name: value for name, value in item.items() if value not in (None, [], "")}


def _lines(value: object, zone: str) -> list[str]:
    if isinstance(value, list):
        return [line for item in value for line in _lines(item, zone)]
    if isinstance(value, datetime):
        return [local_text(value, zone)]
    if isinstance(value, dict):
        return [f"{key}: {_word(item)}" for key, item in value.items()]
    return _word(value).splitlines()


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _until(fires: Iterator[Any], last: datetime | None) -> Iterator[Any]:
    for fire in fires:
        if last is not None and fire.scheduled_for > last:
            return
        yield fire


def _distance(delta: Any) -> str:
    from runner.values import duration_text

    whole = type(delta)(seconds=round(delta.total_seconds()))
    return duration_text(whole) if whole.total_seconds() > 0 else "now"
