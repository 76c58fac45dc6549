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
from runner.web.following.log_growth import LogGrowth

router = APIRouter(include_in_schema=False)
_QUIET_S = 15.0
"""After this time without a word a comment is sent: proxies end silent connections."""
_BEGIN, _NOTHING = b"retry: 2000\n\n", b": nothing new\n\n"


@router.get("/events")
async def events(request: Request, _identity: CurrentIdentity) -> StreamingResponse:
    """Stream an event whenever the monitor log has grown.

    Its data is the time that the page should wait before it asks again, in seconds.
    """
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(request), headers=headers, media_type="text/event-stream")


async def _events(request: Request) -> AsyncIterator[bytes]:
    """Yield the stream. It ends with the viewer's login."""
    growth: LogGrowth = request.app.state.log_growth
    with growth.watched():
        yield _BEGIN
        while True:
            grown = growth.next  # noted first, so that nothing is missed from here on
            yield _changed(growth.pause_s)
            # Streams that wake at the same moment would keep all pages waiting.
            await asyncio.sleep(growth.pause_s * uniform(1, 1.5))
            while not await _is_set(grown):
                if authentication_of(request).identity_of(request) is None:
                    return  # the token was removed, or it expired
                yield _NOTHING


def _changed(pause_s: float) -> bytes:
    return b"event: changed\ndata: %g\n\n" % pause_s


async def _is_set(event: asyncio.Event) -> bool:
    """Wait for an event, but not for ever; return whether it is set."""
    try:
        async with asyncio.timeout(_QUIET_S):
            return await event.wait()
    except TimeoutError:
        return False
