"""The requests that a command line selects, from the files and the store's memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from runner.access.last_results import LastResults
from runner.access.loading import Loaded
from runner.access.shown.request_items import views_of
from runner.cli.arguments.selection import Selectable, Selection, select
from runner.cli.output.tables import echo
from runner.lifecycle import RequestStatus
from runner.matching import is_glob
from runner.monitor.names import path_of
from runner.planning.states.results import FAILURES
from runner.planning.views.request_view import RequestView
from runner.requests.catalog.cached_requests import outlines_of
from runner.requests.model import Outline
from runner.service.executions.execution import execution_of


def candidates_of(found: Iterable[RequestView], loaded: Loaded) -> list[Selectable]:
    """Return what a selection looks at in each request."""
    return [
        candidate_of(view.name, view.request, loaded.results, status=view.status) for view in found
    ]


def candidate_of(
    name: str, request: Outline | None, results: LastResults, *, status: str
) -> Selectable:
    """Return what a selection looks at in a request with this definition, if it has one."""
    last = results.of(name)
    return Selectable(
        name=name,
        labels=request.labels if request else {},
        owner=request.owner if request else None,
        status=status,
        is_failing=last is not None and last.status in FAILURES,
    )


def selected_views(loaded: Loaded, selection: Selection) -> list[RequestView]:
    """Return the selected requests with their status: all if the selection is empty.

    Says on stderr if none of them is in the state asked for at the moment. Raises
    UsageError for a name, a label or an owner that no request has, and RefusedError for
    the name of a request whose file is invalid or gone.
    """
    found = views_of(loaded, among=frozenset(selection.names) if selection.is_by_name else None)
    if selection.is_empty:
        return found
    known = {view.name for view in found}
    for name in selection.names:
        if name not in known and not is_glob(name):
            loaded.request(name)
    names = frozenset(select(candidates_of(found, loaded), selection))
    if not names:
        echo(words_for_none(selection), err=True)
    return [view for view in found if view.name in names]


def selected_requests(loaded: Loaded, selection: Selection) -> Mapping[str, Outline]:
    """Return the selected requests that are in force, by name.

    Raises UsageError and RefusedError as `selected_views`, and RefusedError for the name
    of a request without a valid version.
    """
    if selection.is_by_name:
        return {name: loaded.request(name) for name in selection.names}
    if selection.is_empty:
        return outlines_of(loaded.in_force.requests)
    found = [view for view in selected_views(loaded, selection) if view.name]
    for view in found:
        if view.request is None:
            echo(f"{view.name} is left out: {view.file} is invalid (`runner validate`)", err=True)
    return {view.name: view.request for view in found if view.request is not None}


def running_names(loaded: Loaded, selection: Selection) -> tuple[str, ...]:
    """Return the names of requests, and of members of groups, that a selection means and
    that run or wait. A member is left out if its group is selected.

    A removed request is selected by the labels and the owner that its execution has.
    Raises UsageError as `select`.
    """
    executions = [execution_of(row) for row in loaded.snapshot.executions]
    known = {each.name: each for each in candidates_of(views_of(loaded), loaded)}
    running: dict[str, Selectable] = {}
    for each in executions:
        request = known.get(each.request) or Selectable(
            name=each.request,
            labels=each.claim.labels,
            owner=each.claim.owner,
            status=str(RequestStatus.UNSCHEDULED),
            is_failing=False,
        )
        name = each.request if each.claim.group is None else path_of(each.name)
        running[name] = replace(request, name=name)
    names = select((known | running).values(), selection)
    return tuple(name for name in names if name in running and name.rpartition("/")[0] not in names)


def words_for_none(selection: Selection) -> str:
    """Return why nothing is selected, if only `--status` or `--failing` excludes it."""
    statuses = " or ".join(sorted(selection.statuses))
    parts = [f"is {statuses}" if statuses else "", "is failing" if selection.is_failing else ""]
    return f"no selected request {' and '.join(filter(None, parts))}"
