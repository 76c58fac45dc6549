"""What ran and what runs: executions, page by page, and their outputs."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Header, Path
from fastapi import Query as Parameter
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from runner.access.outputs import has_output, open_output
from runner.execution.output import below_outputs
from runner.history.reading.query import Query
from runner.lifecycle import Channel, ExecutionStatus, Reason
from runner.web.api.answers import Cursor, Instant, Json, Limit, body, errors, ok
from runner.web.api.ranges import UnsatisfiableError, part_of
from runner.web.api.schemas import reference
from runner.web.dependencies import CurrentSite, CurrentViewer
from runner.web.identity.roles import Viewer
from runner.web.site import Record, Site, admits_record

router = APIRouter(tags=["executions"])
_RECORD = {"anyOf": [reference("MonitorRecord"), reference("RunningExecution")]}
_PIECE = 64 << 10
_BELOW = re.compile(r"[^/.]/[^/.]/[^/]+\.out")

Id = Annotated[str, Path(description="The execution's whole id.")]
Texts = list[str]


def _one(description: str) -> Any:
    return Parameter(description=description)


def _named(description: str) -> Any:
    return Parameter(description=f"{description} May be repeated.")


@router.get(
    "/executions",
    summary="List executions",
    responses=ok(reference("Executions"), "A page of executions."),
)
def executions(
    site: CurrentSite,
    viewer: CurrentViewer,
    request: Annotated[Texts, _named("Only of this request or member, or of a glob.")] = [],  # noqa: B006
    status: Annotated[list[ExecutionStatus], _named("Only with this status.")] = [],  # noqa: B006
    reason: Annotated[list[Reason], _named("Only with this reason.")] = [],  # noqa: B006
    channel: Annotated[list[Channel], _named("Only by this channel.")] = [],  # noqa: B006
    owner: Annotated[Texts, _named("Only of this owner's requests.")] = [],  # noqa: B006
    label: Annotated[Texts, _named("Only with this label, as KEY=VALUE.")] = [],  # noqa: B006
    since: Annotated[Instant | None, _one("Only what ended then or later.")] = None,
    until: Annotated[Instant | None, _one("Only what ended up to then.")] = None,
    text: Annotated[
        str, Parameter(max_length=200, description="Words of the message or of the output's end.")
    ] = "",
    cursor: Annotated[Cursor | None, _one("The `next` of the page before.")] = None,
    limit: Limit = 50,
) -> Json:
    """List the executions of a selection, the newest first, page by page.

    `label` of one key are alternatives. `text` finds whole words; `disk*` is the beginning
    of a word, and text in quotation marks stays together.
    """
    query = Query(
        requests=frozenset(request),
        statuses=frozenset(map(str, status)),
        reasons=frozenset(map(str, reason)),
        channels=frozenset(map(str, channel)),
        owners=frozenset(owner),
        labels=_by_key(label),
        since=since,
        until=until,
        text=text,
        admits=None if viewer.scope.is_everything else viewer.scope.admits,
    )
    before = None if cursor is None else int(cursor)
    page = site.history.executions(query, before=before, limit=limit)
    running = [] if cursor is not None or text else _running(site, viewer, query)
    following = None if page.before is None else str(page.before)
    return Json({"running": running, "executions": page.records, "next": following})


@router.get(
    "/executions/{execution}",
    summary="Show an execution",
    responses=ok(_RECORD, "Its record.", 404),
)
def execution(execution: Id, site: CurrentSite, viewer: CurrentViewer) -> Json:
    """Show the record of an execution: the finished one, or while it runs the started one."""
    return Json(_record(site, viewer, execution))


@router.get(
    "/executions/{execution}/output",
    summary="Read an output",
    response_class=Response,
    responses={
        200: body("text/plain", {"type": "string"}, "The whole output."),
        206: body("text/plain", {"type": "string"}, "The part that `Range` asks for."),
        **errors(404, 416),
    },
)
def output(
    execution: Id,
    site: CurrentSite,
    viewer: CurrentViewer,
    range: Annotated[str | None, Header(description="Such as `bytes=-4096`: the end.")] = None,  # noqa: A002
) -> Response:
    """Read the output of an execution, as far as it is written. Bytes that are not UTF-8
    are as the process wrote them.
    """
    file = _opened(site, _record(site, viewer, execution))
    size = file.seek(0, os.SEEK_END)
    headers = {"accept-ranges": "bytes", "cache-control": "no-store"}
    try:
        part = part_of(range, size)
    except UnsatisfiableError:
        file.close()
        raise HTTPException(416, headers={"content-range": f"bytes */{size}"}) from None
    begin, end = part or (0, size)
    headers["content-length"] = str(end - begin)
    if part is not None:
        headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
    return StreamingResponse(
        _pieces(file, begin, end),
        206 if part is not None else 200,
        headers,
        media_type="text/plain; charset=utf-8",
    )


def _by_key(labels: Texts) -> tuple[frozenset[str], ...]:
    """Return the labels as a query takes them: those of one key are alternatives."""
    found: dict[str, set[str]] = defaultdict(set)
    for text in labels:
        found[text.partition("=")[0]].add(text)
    return tuple(map(frozenset, found.values()))


def _running(site: Site, viewer: Viewer, query: Query) -> list[Record]:
    """Return the executions in progress of a query, the newest first."""
    return [
        record
        for record in reversed(site.running())
        if admits_record(viewer.scope, record) and replace(query, admits=None).selects(record)
    ]


def _record(site: Site, viewer: Viewer, execution: str) -> Record:
    """Return an execution's record. Raises HTTPException if the viewer cannot see one.

    The history has what ended, also while the store cannot be read; else raises StoreError.
    """
    found = site.history.execution(execution)
    if found is None:
        found = next((each for each in site.running() if each["execution"] == execution), None)
    if found is None or not admits_record(viewer.scope, found):
        raise HTTPException(404)
    return found


def _opened(site: Site, record: Record) -> BinaryIO:
    """Open an execution's output. Raises HTTPException if there is none.

    The path in a record is not trusted: only its part below the outputs folder counts.
    """
    below = below_outputs(str(record.get("output_file") or ""))
    is_plain = site.places.store.url is not None or _BELOW.fullmatch(below)
    if not is_plain or not has_output(site.places, record):
        raise HTTPException(404)
    try:
        return open_output(site.places, record)
    except OSError:  # pruned, or replaced by its process
        raise HTTPException(404) from None


def _pieces(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(begin)
        while begin < end and (piece := file.read(min(_PIECE, end - begin))):
            yield piece
            begin += len(piece)
