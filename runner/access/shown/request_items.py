"""A request and what is known of it, as the fields that `ls`, `show` and the page show.

Reads the store when a field needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.access.loading import Loaded
from runner.access.places import Places
from runner.planning.alerts.routes import routes_of
from runner.planning.coming_fires import first_fires
from runner.planning.moved_fires import moved_words
from runner.planning.retention import EndedExecution
from runner.planning.states.state import RequestState
from runner.planning.views.chains import Chains
from runner.planning.views.request_view import RequestView, views
from runner.planning.words.alert_words import expect_words, routes_words
from runner.planning.words.open_alert_words import alert_item
from runner.planning.words.pause_words import backfill_item, pause_item
from runner.planning.words.process_words import action_words, member_words, process_words
from runner.planning.words.retention_words import retention_words
from runner.planning.words.timing_words import timing_words
from runner.requests.catalog.defaults import NAMES as DEFAULTS
from runner.requests.model import ProcessRequest, Reference, RunLater, Schedule, Timing
from runner.service.executions.execution import execution_of
from runner.values import duration_text

_DEFAULT_GRACE = timedelta(seconds=60)


def views_of(loaded: Loaded, *, among: AbstractSet[str] | None = None) -> list[RequestView]:
    """Return all requests with their status, or those `among` these names, and the rejected
    documents.
    """
    return views(
        loaded.in_force,
        loaded.catalog.rejections,
        loaded.states,
        loaded.now,
        supplied=loaded.stored.requests,
        pauses=loaded.pauses,
        among=among,
    )


def rejection_words(view: RequestView) -> str | None:
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


def request_item(view: RequestView, loaded: Loaded) -> dict[str, Any]:
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
        "message": f"{kept}{rejection_words(view)}" if rejection else _moved_words(view),
    }


def _backfill(state: RequestState | None) -> dict[str, Any] | None:
    if state is None or state.backfill is None:
        return None
    return backfill_item(state.backfill)


def request_details(
    view: RequestView,
    loaded: Loaded,
    revision: str | None,
    places: Places,
    *,
    with_outputs: bool = False,
) -> dict[str, Any]:
    """Return all fields of a request that `show` prints. Fields without a value are left out.

    To find the outputs takes a look at each file of the outputs folder.
    """
    request, state = loaded.in_force.requests.get(view.name), view.state
    item: dict[str, Any] = {**request_item(view, loaded)}
    if view.rejection:
        item["problems"] = [str(problem) for problem in view.rejection.problems_of(view.name)]
    if request is not None and state is not None:
        item |= {
            "request_file": f"{places.jobs / request.source.file}:{request.source.line}",
            "request_sha256": request.source.sha256,
            "git_commit": revision,
            **_declared(request, places),
            "run_by": Chains(loaded.in_force.requests).running(view.name),
            "outputs": _outputs_item(loaded.kept.of(view.name)) if with_outputs else None,
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


def _declared(request: ProcessRequest, places: Places) -> dict[str, Any]:
    """Return what the file of a request says, in words."""
    return {
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
    }


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


def _outputs_item(newest_first: Iterable[EndedExecution]) -> dict[str, Any]:
    """Return the number of executions with an output, its bytes, and the oldest one's end."""
    left = [each for each in newest_first if each.size is not None]
    if not left:
        return {}
    return {
        "executions": len(left),
        "bytes": sum(each.size or 0 for each in left),
        "oldest": datetime.fromtimestamp(left[-1].ended_s, UTC),
    }
