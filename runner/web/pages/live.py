"""Tells an open page that something happened, at most once a second.

The page then asks for its content, which all who may see the same share. Whole records,
as the API streams them, would cost two hundred viewers two hundred times as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import uniform

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from runner.web.dependencies import CurrentIdentity, authentication_of
from runner.web.log_stream import LogStream

router = APIRouter(include_in_schema=False)
_PAUSE_S = 1.0
_QUIET_S = 15.0
"""After this time without a word a comment is sent: proxies end silent connections."""
_BEGIN, _NOTHING = b"retry: 2000\n\n", b": nothing new\n\n"
_CHANGED = b"event: changed\ndata: 1\n\n"


@router.get("/events")
async def events(request: Request, _identity: CurrentIdentity) -> StreamingResponse:
    """Stream an event whenever the monitor log has grown."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(request), headers=headers, media_type="text/event-stream")


async def _events(request: Request) -> AsyncIterator[bytes]:
    """Yield the stream. It ends with the viewer's login."""
    stream: LogStream = request.app.state.log_stream
    with stream.subscribed() as subscriber:
        await stream.followed()
        yield _BEGIN + _CHANGED  # what happened since the page was made
        while True:
            try:
                async with asyncio.timeout(_QUIET_S):
                    await subscriber.batches.get()
            except TimeoutError:
                if authentication_of(request).identity_of(request) is None:
                    return  # the token was removed, or it expired
                yield _NOTHING
                continue
            while not subscriber.batches.empty():
                subscriber.batches.get_nowait()
            yield _CHANGED
            # Streams that wake at the same moment would keep all pages waiting.
            await asyncio.sleep(_PAUSE_S * uniform(1, 1.5))
