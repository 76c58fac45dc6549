"""`/healthz` and `/readyz`, for load balancers and the like. They need no login and give no
details.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from runner.errors import RunnerError
from runner.web.dependencies import CurrentSite

router = APIRouter()


@router.get("/healthz")
def healthz() -> PlainTextResponse:
    """Say that this process serves."""
    return PlainTextResponse("alive\n")


@router.get("/readyz")
def readyz(site: CurrentSite) -> PlainTextResponse:
    """Say whether a runner fires; 503 if not."""
    try:
        health = site.health()
    except RunnerError:
        return PlainTextResponse("not ready\n", 503)
    is_ready = health.is_alive and health.trouble is None
    return PlainTextResponse("ready\n" if is_ready else "not ready\n", 200 if is_ready else 503)
