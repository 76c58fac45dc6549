"""The routes of the pages. Each content is computed once a second for all who see the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from runner.web.dependencies import CurrentIdentity, CurrentSite
from runner.web.pages import live
from runner.web.pages.contents import changes as changes_page
from runner.web.pages.contents import execution as execution_page
from runner.web.pages.contents import executions as executions_page
from runner.web.pages.contents import overview as overview_page
from runner.web.pages.contents import request as request_page
from runner.web.pages.contents import requests as requests_page
from runner.web.pages.past import Past
from runner.web.pages.present import Present, present
from runner.web.pages.rendering import Content, Rendered, page_of
from runner.web.pages.shared_contents import Contents

router = APIRouter(include_in_schema=False)
router.include_router(live.router)
_LONGEST = 500
_GONE = "There is no such request, or its file is gone; the history still has its executions."
Text = Annotated[str, Query(max_length=_LONGEST)]
Place = Annotated[int | None, Query(ge=0, le=1 << 62)]
Number = Annotated[int, Query(ge=1, le=1_000_000)]
_contents = Contents()


async def _shown(
    request: Request,
    site: CurrentSite,
    identity: CurrentIdentity,
    content: Callable[[Present, Past], Content],
) -> HTMLResponse:
    viewer = identity.viewer
    key = (id(site), site.changes, viewer.role, viewer.scope, request.url.path, request.url.query)

    def compute() -> Rendered:
        now = present(site, viewer)
        return content(now, Past(site.history)).rendered(now.places.zone)

    shown = _contents.at_hand(key, compute)
    if shown is None:
        shown = await run_in_threadpool(_contents.rendered, key, compute)
    return page_of(request, identity, shown)


@router.get("/")
async def overview(
    request: Request, site: CurrentSite, identity: CurrentIdentity, lanes: Text = ""
) -> HTMLResponse:
    """Show whether anything is wrong, what runs, what ran and what comes."""
    return await _shown(
        request,
        site,
        identity,
        lambda now, past: overview_page.overview(now, past, is_whole=lanes == "all"),
    )


@router.get("/requests")
async def requests(
    request: Request,
    site: CurrentSite,
    identity: CurrentIdentity,
    q: Text = "",
    state: Text = "",
    label: Text = "",
    owner: Text = "",
    sort: Text = "",
    page: Number = 1,
) -> HTMLResponse:
    """Show the requests."""
    wanted = requests_page.Wanted(q=q, state=state, label=label, owner=owner, sort=sort, page=page)
    return await _shown(
        request, site, identity, lambda now, past: requests_page.requests(now, past, wanted)
    )


@router.get("/requests/{name:path}")
async def one_request(
    request: Request,
    site: CurrentSite,
    identity: CurrentIdentity,
    name: str,
    at: Text = "",
) -> HTMLResponse:
    """Show one request."""

    def content(now: Present, past: Past) -> Content:
        view = now.view(name)
        if view is None:
            raise HTTPException(404, _GONE)
        return request_page.request(now, past, view, at)

    return await _shown(request, site, identity, content)


@router.get("/executions")
async def executions(
    request: Request,
    site: CurrentSite,
    identity: CurrentIdentity,
    wanted_request: Annotated[str, Query(alias="request", max_length=_LONGEST)] = "",
    text: Text = "",
    status: Text = "",
    since: Text = "",
    before: Place = None,
) -> HTMLResponse:
    """Show the executions."""
    wanted = executions_page.Wanted(text=text, request=wanted_request, status=status, since=since)
    return await _shown(
        request,
        site,
        identity,
        lambda now, past: executions_page.executions(now, past, wanted, before),
    )


@router.get("/executions/{execution}")
async def one_execution(
    request: Request,
    site: CurrentSite,
    identity: CurrentIdentity,
    execution: str,
    page: Number | None = None,
) -> HTMLResponse:
    """Show one execution."""

    def content(now: Present, past: Past) -> Content:
        record = execution_page.record_of(now, past, execution)
        if record is None:
            raise HTTPException(404)
        return execution_page.execution(now, past, record, page)

    return await _shown(request, site, identity, content)


@router.get("/changes")
async def changes(
    request: Request,
    site: CurrentSite,
    identity: CurrentIdentity,
    kind: Text = "",
    before: Place = None,
) -> HTMLResponse:
    """Show who did what."""
    return await _shown(
        request, site, identity, lambda now, past: changes_page.changes(now, past, kind, before)
    )
