"""`/api/v1/events`: the monitor log as Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from runner.errors import RunnerError
from runner.monitor.reading import Record
from runner.web.api.answers import body, errors
from runner.web.dependencies import CurrentSite, CurrentViewer, authentication_of
from runner.web.following.log_stream import LogStream, Message
from runner.web.identity.roles import Viewer
from runner.web.site import Site, admits_record

router = APIRouter(tags=["events"])
_QUIET_S = 15.0
"""After this time without a record a comment is sent: proxies end silent connections."""
_BEGIN = b"retry: 2000\n\n"
_TOO_OLD = b"event: reset\ndata: {}\n\n"


@router.get(
    "/events",
    summary="Follow the monitor log",
    response_class=Response,
    responses={
        200: body(
            "text/event-stream",
            {"type": "string"},
            "Server-Sent Events: one for each record, named after its `event`, with its `id`, "
            "and the record as JSON. `reset` means that records before are missing: read the "
            "current state again.",
        ),
        **errors(),
    },
)
async def events(
    request: Request,
    site: CurrentSite,
    viewer: CurrentViewer,
    last: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="The id of the last record that you have."),
    ] = None,
) -> Response:
    """Follow the monitor log. A token with a scope gets the records of the executions, and
    of the requests, that it sees.
    """
    stream: LogStream = request.app.state.log_stream
    frames = _frames(request, site, viewer, stream, last)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(frames, headers=headers, media_type="text/event-stream")


async def _frames(
    request: Request, site: Site, viewer: Viewer, stream: LogStream, last: str | None
) -> AsyncIterator[bytes]:
    """Yield the stream. It ends with the viewer's login, or if the reader is too slow."""
    with stream.subscribed() as subscriber:
        await stream.followed()
        yield _BEGIN
        repeated = [] if last is None else stream.since(last)
        if repeated is None:
            yield _TOO_OLD
        known = {message.record.get("id") for message in repeated or ()}
        yield await _admitted(site, viewer, repeated or [])
        while True:
            try:
                async with asyncio.timeout(_QUIET_S):
                    batch = await subscriber.batches.get()
            except TimeoutError:
                if authentication_of(request).identity_of(request) is None:
                    return  # the token was revoked, or it expired
                yield b": nothing new\n\n"
                continue
            if batch is None:
                return
            new = [each for each in batch if not known or each.record.get("id") not in known]
            if frames := await _admitted(site, viewer, new):
                yield frames


async def _admitted(site: Site, viewer: Viewer, batch: list[Message]) -> bytes:
    """Return the frames of the records that a viewer may see."""
    if viewer.scope.is_everything or not batch:
        return b"".join(message.frame for message in batch)
    return await run_in_threadpool(
        lambda: b"".join(each.frame for each in batch if _admits(site, viewer, each.record))
    )


def _admits(site: Site, viewer: Viewer, record: Record) -> bool:
    """Return whether a viewer with a scope may see a record: by the labels of an execution,
    else by its request.
    """
    if str(record.get("event")).startswith("execution."):
        return admits_record(viewer.scope, record)
    try:
        return record.get("request") is not None and site.is_seen(viewer, str(record["request"]))
    except RunnerError:
        return False
