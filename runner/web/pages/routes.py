"""The routes of the pages."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from runner.web.dependencies import CurrentSite, CurrentViewer
from runner.web.rendering import rendered
from runner.web.site import admits_record

router = APIRouter()


@router.get("/")
def overview(site: CurrentSite, viewer: CurrentViewer) -> HTMLResponse:
    """Show what runs, what is wrong and what comes."""
    seen = [name for name in site.loaded().in_force.requests if site.is_seen(viewer, name)]
    running = [each for each in site.running() if admits_record(viewer.scope, each)]
    return rendered("overview.html", names=sorted(seen), running=running)
