"""The Process Monitor: executions, the newest first, filtered by the address."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import urlencode

from runner.errors import UsageError
from runner.history.reading.query import Query
from runner.lifecycle import ExecutionStatus
from runner.timing.typed_times import Toward, read_time
from runner.web.pages.past import Past
from runner.web.pages.present import Present
from runner.web.pages.rendering import Content

_ON_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the address asks for."""

    text: str = ""
    request: str = ""
    status: str = ""
    since: str = ""

    @property
    def is_selective(self) -> bool:
        """Whether some executions may be left out."""
        return any(asdict(self).values())

    def url(self, before: int) -> str:
        """Return the address of the executions before a place in the log."""
        given = {name: value for name, value in asdict(self).items() if value}
        return f"/executions?{urlencode({**given, 'before': before})}"


def executions(present: Present, past: Past, wanted: Wanted, before: int | None) -> Content:
    """Return a page of executions, and the running ones on top of the first page."""
    since, trouble = _since(wanted, present)
    query = Query(
        requests=frozenset({wanted.request} if wanted.request else ()),
        statuses=frozenset({wanted.status} if wanted.status in _ENDS else ()),
        text=wanted.text,
        since=since,
        with_members=bool(wanted.request or wanted.text),
        admits=present.admits,
    )
    found = past.executions(query, before=before, limit=_ON_PAGE)
    running = [] if before is not None or wanted.is_selective else present.running
    newest_first = [each for each in reversed(running) if not each.get("group")]
    return Content(
        template="executions.html",
        title="History · Runner",
        is_live=before is None,
        values={
            "wanted": wanted,
            "statuses": _ENDS,
            "records": [*newest_first, *found.records],
            "older": wanted.url(found.before) if found.before is not None else None,
            "trouble": trouble or past.notice,
            "clock": present.clock,
            "is_recovered": present.is_recovered,
        },
    )


_ENDS = [str(status) for status in ExecutionStatus if status is not ExecutionStatus.PROCESSING]


def _since(wanted: Wanted, present: Present) -> tuple[datetime | None, str | None]:
    if not wanted.since:
        return None, None
    zone = present.places.zone
    try:
        return read_time("since", wanted.since, zone, present.now, toward=Toward.PAST), None
    except UsageError as error:
        return None, str(error)
