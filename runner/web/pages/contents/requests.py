"""The list of requests: filtered, sorted and in pages by the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from runner.access.shown.excerpts import Excerpt, excerpt_of
from runner.access.shown.request_items import request_item
from runner.errors import Problem
from runner.history.reading.query import StripBar
from runner.lifecycle import INVALID, RequestStatus, status_words
from runner.planning.states.results import FAILURES
from runner.planning.views.request_view import IN_SYNC
from runner.web.pages.drawing.strip import strip
from runner.web.pages.past import Past, rate_of
from runner.web.pages.present import Present
from runner.web.pages.rendering import Content

_ON_PAGE = 100
_MOST_PROBLEMS = 20
STATES = ("", "failing", "running", "unscheduled", "paused", "out_of_sync", "invalid", "definition")
_COLUMNS = (
    ("name", "Request"),
    ("", "Schedule"),
    ("", "Last 30"),
    ("", "Success"),
    ("last", "Last result"),
    ("next", "Next fire"),
)
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the address asks for. An unknown sort or state is the default one."""

    q: str = ""
    state: str = ""
    label: str = ""
    owner: str = ""
    sort: str = ""
    page: int = 1

    @property
    def is_selective(self) -> bool:
        """Whether some requests may be left out."""
        return bool(self.q or self.state or self.label or self.owner)

    def url(self, **changes: str | int) -> str:
        """Return the address of the same list with changes; a new sort begins at page 1."""
        wanted = asdict(replace(self, **{"page": 1, **changes}))  # type: ignore[arg-type]
        given = {name: value for name, value in wanted.items() if value not in ("", 1)}
        return f"/requests?{urlencode(given)}" if given else "/requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A request in the list."""

    name: str
    status: str
    status_words: str
    tone: str
    sync: str
    drift: str | None
    labels: Mapping[str, str]
    note: str
    timing: str | None
    strip: Markup
    rate: str | None
    last_status: str | None
    last_ended: datetime | None
    next_fire: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownProblem:
    """A problem of a file, and the line that it is about."""

    problem: Problem
    excerpt: Excerpt | None


def requests(present: Present, past: Past, wanted: Wanted) -> Content:
    """Return the list of requests that the viewer may see, and the rejected files."""
    items = {view.name: request_item(view, present.loaded) for view in present.views if view.name}
    named = [view for view in present.views if view.name]
    running = {str(record["request"]) for record in present.running}
    kept = [view for view in named if is_wanted(items[view.name], wanted, running)]
    order = _ORDERS.get(wanted.sort, _by_trouble)
    kept.sort(key=lambda view: (*order(items[view.name]), view.name))
    pages = max(-(-len(kept) // _ON_PAGE), 1)
    wanted = replace(wanted, page=min(max(wanted.page, 1), pages))
    shown = kept[(wanted.page - 1) * _ON_PAGE : wanted.page * _ON_PAGE]
    strips = past.strips([view.name for view in shown])
    problems = present.loaded.catalog.problems if present.admits is None else ()
    return Content(
        template="requests.html",
        title="Requests · Runner",
        values={
            "wanted": wanted,
            "states": STATES,
            "labels": sorted({text for item in items.values() for text in _labels(item)}),
            "owners": sorted({item["owner"] for item in items.values() if item["owner"]}),
            "columns": _COLUMNS,
            "rows": [row_of(items[view.name], strips.get(view.name, ())) for view in shown],
            "count": len(kept),
            "total": len(named),
            "pages": pages,
            "rejected": shown_problems(problems[:_MOST_PROBLEMS]),
            "rejected_count": len(present.loaded.catalog.rejections),
            "clock": present.clock,
            "jobs": str(present.places.jobs),
        },
    )


def row_of(item: Item, bars: Sequence[StripBar]) -> Row:
    """Return a request as a row of the list."""
    notes = [each["check"] for each in item["alerts"]]
    return Row(
        name=item["request"],
        status=item["status"],
        status_words=status_words(item["status"]).replace("_", " "),
        tone=_tone(item),
        sync=item["sync"],
        drift=item["drift"],
        labels=item["labels"],
        note=", ".join(filter(None, [*notes, "paused" if item["pause"] else None])),
        timing=item["timing"],
        strip=strip(bars),
        rate=rate_of(bars),
        last_status=item["last_status"],
        last_ended=item["last_ended"],
        next_fire=item["scheduled_for"],
    )


def shown_problems(problems: Sequence[Problem]) -> list[ShownProblem]:
    """Return problems with the lines that they are about. Reads files."""
    return [ShownProblem(problem=each, excerpt=excerpt_of(each)) for each in problems]


def is_wanted(item: Item, wanted: Wanted, running: set[str]) -> bool:
    """Return whether the address asks for a request."""
    text = " ".join(
        filter(None, (item["request"], item["request_file"], item["timing"], item["owner"]))
    )
    return (
        all(word in text.casefold() for word in wanted.q.casefold().split())
        and (not wanted.label or wanted.label in _labels(item))
        and (not wanted.owner or wanted.owner == item["owner"])
        and _STATES.get(wanted.state, _any)(item, running)
    )


def _labels(item: Item) -> set[str]:
    return {f"{key}={value}" for key, value in item["labels"].items()}


def _any(_item: Item, _running: set[str]) -> bool:
    return True


_STATES: Mapping[str, Callable[[Item, set[str]], bool]] = {
    "failing": lambda item, _: item["last_status"] in FAILURES or bool(item["alerts"]),
    "running": lambda item, running: item["request"] in running,
    "unscheduled": lambda item, _: item["status"] == RequestStatus.UNSCHEDULED,
    "paused": lambda item, _: item["pause"] is not None,
    "out_of_sync": lambda item, _: item["sync"] != IN_SYNC,
    "invalid": lambda item, _: item["status"] == INVALID,
    "definition": lambda item, _: item["status"] == RequestStatus.DEFINITION,
}


def _by_trouble(item: Item) -> tuple[object, ...]:
    """Sort what needs a person first, and what only runs on demand last."""
    is_bad = item["status"] == INVALID or item["last_status"] in FAILURES or item["alerts"]
    return (not is_bad, item["status"] == RequestStatus.DEFINITION)


def _by_last(item: Item) -> tuple[object, ...]:
    ended = item["last_ended"]
    return (ended is None, -ended.timestamp() if ended else 0.0)


def _by_next(item: Item) -> tuple[object, ...]:
    fire = item["scheduled_for"]
    return (fire is None, fire.timestamp() if fire else 0.0)


_ORDERS: Mapping[str, Callable[[Item], tuple[object, ...]]] = {
    "name": lambda _: (),
    "last": _by_last,
    "next": _by_next,
}


def _tone(item: Item) -> str:
    if item["status"] == INVALID:
        return "bad"
    return "warn" if item["status"] == RequestStatus.UNSCHEDULED else "idle"
