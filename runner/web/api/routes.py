"""The routes of the API."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from runner.web.api import acting, events, executions, openapi, requests
from runner.web.api.acting import Answered
from runner.web.following.log_growth import LogGrowth
from runner.web.following.log_stream import LogStream
from runner.web.site import Site

router = APIRouter(prefix="/api/v1")
for _part in (requests, executions, acting, events, openapi):
    router.include_router(_part.router)


def prepare(app: FastAPI, site: Site) -> None:
    """Give an application what its streams and its API remember between requests."""
    app.state.answered = Answered()
    app.state.log_stream = LogStream(site.log)
    app.state.log_growth = LogGrowth(site.log)
