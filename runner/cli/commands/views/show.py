"""`show`: one request in detail."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from runner.access.loading import Loaded, load
from runner.access.places import Places
from runner.access.shown.request_items import rejection_words, request_details
from runner.access.troubles import report_trouble
from runner.cli.access.selecting import selected_views
from runner.cli.arguments.selection import Selection
from runner.cli.options import complete_requests, output_option, reading_options, selection_options
from runner.cli.output.fitting import id_text
from runner.cli.output.output_words import outputs_words
from runner.cli.output.tables import echo, json_line, print_items, style
from runner.errors import RefusedError, UsageError
from runner.lifecycle import status_words
from runner.planning.views.request_view import RequestView
from runner.planning.words.open_alert_words import alert_words
from runner.planning.words.pause_words import pause_span
from runner.timing.local_times import local_text

_GIT_PATIENCE_S = 2.0  # `show` then appears without the commit


@click.command("show")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_requests)
@click.option(
    "--resolved",
    is_flag=True,
    help="Show each setting with its origin: FILE:LINE, or default.",
)
@selection_options
@output_option
@reading_options
def show_command(selection: Selection, resolved: bool, output: str, places: Places) -> None:
    """Show everything about the request NAME, or about each selected one: its process,
    its timing, its status and its next fires.

    \b
    Examples:
      runner show nightly-posting
      runner show nightly-posting --resolved
      runner show --failing
    """
    if selection.is_empty:
        raise UsageError("give the names of requests, or a selection such as --failing")
    loaded = load(places)
    report_trouble(places, loaded)
    found = [view for view in selected_views(loaded, selection) if view.name]
    revision = None if resolved else _revision(places.jobs)
    for number, view in enumerate(found):
        if number and output == "text":
            echo()
        if resolved:
            _print_resolved(view, loaded, output, places)
        else:
            _print_details(view, loaded, revision, output, places)


def _print_details(
    view: RequestView, loaded: Loaded, revision: str | None, output: str, places: Places
) -> None:
    item = request_details(view, loaded, revision, places, with_outputs=True)
    if output == "json":
        echo(json_line(item))
        return
    if view.rejection:
        from runner.cli.output.problems import problem_lines

        item["problems"] = [
            line
            for problem in view.rejection.problems_of(view.name)
            for line in problem_lines(problem)
        ]
    item["status"] = status_words(item["status"])
    if view.pause:
        item["pause"] = pause_span(view.pause, places.zone)
    alerts = loaded.alerts.get(view.name, ())
    item["alerts"] = [alert_words(alert, places.zone) for alert in alerts]
    if "executions" in item:
        item["executions"] = list(map(id_text, item["executions"]))
    if "outputs" in item:
        item["outputs"] = outputs_words(item["outputs"], places.zone)
    width = max(map(len, item))
    for key, value in item.items():
        for line in _lines(value, places.zone):
            echo(f"{style(key.ljust(width), bold=True)}  {line}")
            key = ""


def _print_resolved(view: RequestView, loaded: Loaded, output: str, places: Places) -> None:
    """Print all settings of a request with their origins, defaults included."""
    from runner.requests.catalog.resolved_settings import settings_of
    from runner.values import neutral

    request = loaded.in_force.requests.get(view.name)
    if view.rejection is not None or request is None:
        raise RefusedError(f"the file of {view.name} is invalid: {rejection_words(view)}")
    display = partial(_display, places.jobs)
    items = (
        {
            "request": view.name,
            "path": setting.path,
            "value": setting.value,
            "origin": neutral(setting.origin),
            "file": setting.file,
            "line": setting.line,
        }
        for setting in settings_of(request, places.jobs, display=display, zone=places.zone)
    )
    print_items(
        items,
        output,
        columns=("SETTING", "VALUE", "ORIGIN"),
        cells=lambda item: (item["path"], neutral(_word(item["value"])), item["origin"]),
    )


def _display(jobs: Path, relative: str) -> str:
    return str(jobs / relative)


def _revision(jobs: Path) -> str | None:
    """Return the commit that the files are at, marked if they differ from it."""
    from runner.provenance.revision import Provenance

    provenance = Provenance(jobs)
    provenance.ask()
    provenance.take(within_s=_GIT_PATIENCE_S)
    provenance.close()
    return provenance.revision()


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
