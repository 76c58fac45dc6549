"""`/metrics`: what Prometheus scrapes, with a token as its bearer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from runner.metrics import Metrics, exposition
from runner.web.dependencies import CurrentSite, CurrentViewer

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(
    site: CurrentSite, viewer: CurrentViewer, accept: Annotated[str, Header()] = ""
) -> Response:
    """Answer with all metrics; a token with a scope gets those of the requests that it sees."""
    loaded = site.loaded()
    names = None
    if not viewer.scope.is_everything:
        requests = loaded.in_force.requests.values()
        names = frozenset(
            each.name for each in requests if viewer.scope.admits(each.labels, each.context.client)
        )
    content, media_type = exposition(Metrics(loaded, site.history, names), accept)
    return Response(content, media_type=media_type)
