"""`show`: one request in detail."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from runner.access.loading import Loaded, load
from runner.access.places import Places
from runner.access.troubles import report_trouble
from runner.cli.access.selecting import selected_views
from runner.cli.arguments.selection import Selection
from runner.cli.options import complete_requests, output_option, reading_options, selection_options
from runner.cli.output.alert_words import alert_item, alert_words
from runner.cli.output.fitting import id_text
from runner.cli.output.output_words import outputs_item, outputs_words
from runner.cli.output.tables import echo, json_line, print_items, status_words, style
from runner.errors import RefusedError, UsageError
from runner.planning.alerts.routes import routes_of
from runner.planning.coming_fires import first_fires
from runner.planning.moved_fires import moved_words
from runner.planning.states.state import RequestState
from runner.planning.views.chains import Chains
from runner.planning.views.request_view import RequestView
from runner.planning.words.alert_words import expect_words, routes_words
from runner.planning.words.pause_words import backfill_item, pause_item, pause_span
from runner.planning.words.process_words import action_words, member_words, process_words
from runner.planning.words.retention_words import retention_words
from runner.planning.words.timing_words import timing_words
from runner.requests.catalog.defaults import NAMES as DEFAULTS
from runner.requests.model import ProcessRequest, Reference, RunLater, Schedule, Timing
from runner.service.executions.execution import execution_of
from runner.timing.local_times import local_text
from runner.values import duration_text

_GIT_PATIENCE_S = 2.0  # `show` then appears without the commit
_DEFAULT_GRACE = timedelta(seconds=60)


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
    item = _details(view, loaded, revision, places)
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
        raise RefusedError(f"the file of {view.name} is invalid: {_reason(view)}")
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


def _reason(view: RequestView) -> str | None:
    """Return in short why a request is invalid, or None; name the file if it is a defaults file."""
    if view.rejection is None:
        return None
    first = view.rejection.problems_of(view.name)[0]
    if Path(first.file).name in DEFAULTS and Path(view.file).name not in DEFAULTS:
        return f"its defaults {first.file} are invalid: {first.message}"
    return first.message


def _moved_words(view: RequestView) -> str | None:
    """Return from where the calendar moved the next fire, if it did."""
    if view.request is None or view.next_fire is None:
        return None
    moved = moved_words(view.request, view.next_fire)
    return f"the next fire is {moved}" if moved else None


def item_of(view: RequestView, loaded: Loaded) -> dict[str, Any]:
    """Return a request's status as the fields that `ls` and `show` print."""
    rejection = view.rejection
    last = loaded.results.of(view.name)
    kept = "the last good version stays active; " if rejection and view.request else ""
    return {
        "request": view.name or None,
        "status": view.status,
        "sync": view.sync,
        "scheduled_for": view.next_fire,
        "request_file": view.file,
        "last_status": last and last.status,
        "last_ended": last and last.ended,
        "owner": view.request.owner if view.request else None,
        "labels": view.request.labels if view.request else {},
        "timing": timing_words(view.request.timing) if view.request else None,
        "drift": view.drift,
        "pause": view.pause and pause_item(view.pause),
        "alerts": list(map(alert_item, loaded.alerts.get(view.name, ()))),
        "backfill": _backfill(view.state),
        "reopened_until": view.reopened_until,
        "message": f"{kept}{_reason(view)}" if rejection else _moved_words(view),
    }


def _backfill(state: RequestState | None) -> dict[str, Any] | None:
    if state is None or state.backfill is None:
        return None
    return backfill_item(state.backfill)


def _details(
    view: RequestView, loaded: Loaded, revision: str | None, places: Places
) -> dict[str, Any]:
    """Return all fields of a request that `show` prints. Fields without a value are left out."""
    request, state = loaded.in_force.requests.get(view.name), view.state
    item: dict[str, Any] = {**item_of(view, loaded)}
    if view.rejection:
        item["problems"] = [str(problem) for problem in view.rejection.problems_of(view.name)]
    if request is not None and state is not None:
        item |= {
            "request_file": f"{places.jobs / request.source.file}:{request.source.line}",
            "request_sha256": request.source.sha256,
            "git_commit": revision,
            "description": request.description,
            "context": {
                name: each for name, each in asdict(request.context).items() if each is not None
            }
            or None,
            "scheduled": None if request.scheduled else False,
            "reschedule": request.reschedule,
            "process": action_words(request.process.action),
            "process_name": request.process.name if request.process.name != request.name else None,
            "members": member_words(request.process),
            "directory": request.process.directory,
            **process_words(request.process),
            "on_success": action_words(Reference(request=request.on_success))
            if request.on_success
            else None,
            "on_failure": _on_failure(request),
            "expect": expect_words(request.expect),
            "notify": routes_words(routes_of(request, places.settings.alerts.notify)) or None,
            "ping": request.ping,
            "retention": retention_words(request.retention.over(places.settings.retention)),
            "run_by": Chains(loaded.in_force.requests).running(view.name),
            "outputs": outputs_item(loaded.kept.of(view.name)),
            "formerly": request.formerly,
            "misfire_grace": _grace_words(request.timing),
            "generation": state.generation,
            "next": first_fires(request, state, loaded.now, 3, loaded.pauses.held(request)),
            "executions": [
                each.id
                for each in map(execution_of, loaded.snapshot.executions)
                if each.request == view.name and each.claim.group is None
            ],
        }
    return {name: value for name, value in item.items() if value not in (None, [], {}, "")}


def _on_failure(request: ProcessRequest) -> list[str]:
    """Return in words what happens after a failure."""
    words = []
    if request.on_failure:
        words.append(action_words(Reference(request=request.on_failure)))
    if request.unschedule_after:
        words.append(f"unscheduled after {request.unschedule_after} failures in a row")
    return words


def _grace_words(timing: Timing | None) -> str | None:
    """Return the misfire grace, unless it is the default."""
    if not isinstance(timing, RunLater | Schedule) or timing.misfire_grace == _DEFAULT_GRACE:
        return None
    return duration_text(timing.misfire_grace)


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
