"""What is configured and what comes: requests, upcoming fires, problems, alerts."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from itertools import islice, takewhile
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.exceptions import HTTPException

from runner.access.loading import Loaded
from runner.access.shown.request_items import request_details, request_item, views_of
from runner.planning.coming_fires import merged
from runner.planning.moved_fires import moved_words
from runner.planning.views.request_view import RequestView
from runner.planning.words.open_alert_words import alert_item
from runner.requests.model import ProcessRequest
from runner.service.alerts.stored_alerts import open_alerts
from runner.web.api.answers import Instant, Json, Limit, ok
from runner.web.api.schemas import page_of, reference
from runner.web.dependencies import CurrentSite, CurrentViewer
from runner.web.identity.roles import Viewer

router = APIRouter(tags=["requests"])
Name = Annotated[str, Path(description="The request's name.", examples=["nightly-posting"])]
Names = Annotated[list[str], Query(description="Only these requests; may be repeated.")]
Owners = Annotated[list[str], Query(description="Only of these owners; may be repeated.")]


@router.get(
    "/requests",
    summary="List requests",
    responses=ok(page_of("requests", "Request", "All requests, sorted by name."), "The requests."),
)
def requests(site: CurrentSite, viewer: CurrentViewer, owner: Owners = []) -> Json:  # noqa: B006
    """List the requests with their status, their last result and their next fire."""
    loaded = site.loaded()
    found = [
        request_item(view, loaded)
        for view in _seen_views(loaded, viewer)
        if not owner or (view.request is not None and view.request.owner in owner)
    ]
    return Json({"requests": found})


@router.get(
    "/requests/{name}",
    summary="Show a request",
    responses=ok(reference("RequestDetails"), "The request.", 404),
)
def request(name: Name, site: CurrentSite, viewer: CurrentViewer) -> Json:
    """Show everything about a request: its process, its timing, its status, its next fires."""
    loaded = site.loaded()
    found = _seen_views(loaded, viewer, among={name})
    if not found or not found[0].name:
        raise HTTPException(404)
    return Json(request_details(found[0], loaded, None, site.places))


@router.get(
    "/next",
    summary="List upcoming fires",
    responses=ok(page_of("fires", "Fire", "In order of time."), "The upcoming fires."),
)
def upcoming(
    site: CurrentSite,
    viewer: CurrentViewer,
    request: Names = [],  # noqa: B006 - FastAPI copies it
    until: Annotated[Instant | None, Query(description="Only fires up to this time.")] = None,
    limit: Limit = 50,
) -> Json:
    """List the upcoming fires of all requests, or of some, without those that a pause holds."""
    loaded = site.loaded()
    names = {
        name: each
        for name, each in _seen_requests(loaded, viewer).items()
        if not request or name in request
    }
    coming = merged(names, loaded.states, after=loaded.now, now=loaded.now, pauses=loaded.pauses)
    fires = islice(takewhile(lambda fire: not until or fire.scheduled_for <= until, coming), limit)
    found = [
        {
            "request": fire.request,
            "scheduled_for": fire.scheduled_for,
            "message": moved_words(names[fire.request], fire.scheduled_for),
        }
        for fire in fires
    ]
    return Json({"fires": found})


@router.get(
    "/problems",
    summary="List the problems of rejected files",
    responses=ok(page_of("problems", "FileProblem", "By file."), "The problems."),
)
def problems(site: CurrentSite, viewer: CurrentViewer) -> Json:
    """List what is wrong in rejected files. A token with a scope sees only problems of
    requests that it sees.
    """
    return Json({"problems": [*_problems(site.loaded(), viewer)]})


@router.get(
    "/alerts",
    summary="List open alerts",
    responses=ok(page_of("alerts", "Alert", "The oldest first."), "The open alerts."),
)
def alerts(site: CurrentSite, viewer: CurrentViewer) -> Json:
    """List the open alerts. A token with a scope sees those of the requests that it sees."""
    loaded = site.loaded()
    seen = _seen_requests(loaded, viewer)
    found = [
        alert_item(alert)
        for alert in open_alerts(loaded.snapshot.alerts)
        if viewer.scope.is_everything or alert.request in seen
    ]
    return Json({"alerts": found})


def _problems(loaded: Loaded, viewer: Viewer) -> Iterator[dict[str, Any]]:
    seen = _seen_requests(loaded, viewer)
    for rejection in loaded.catalog.rejections:
        blamed = [problem for name, problem in rejection.blamed if name in seen]
        for problem in rejection.problems if viewer.scope.is_everything else blamed:
            yield asdict(problem)


def _seen_requests(loaded: Loaded, viewer: Viewer) -> dict[str, ProcessRequest]:
    return {
        name: each
        for name, each in loaded.in_force.requests.items()
        if viewer.scope.admits(each.labels, each.context.client)
    }


def _seen_views(
    loaded: Loaded, viewer: Viewer, *, among: AbstractSet[str] | None = None
) -> list[RequestView]:
    """Return what a viewer sees; of rejected documents nothing says whose they are."""
    found, seen = views_of(loaded, among=among), _seen_requests(loaded, viewer)
    return [view for view in found if viewer.scope.is_everything or view.name in seen]
