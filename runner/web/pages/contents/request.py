"""One request: its timing, its definition with origins, its durations, its history."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from markupsafe import Markup

from runner.access.shown.request_items import request_details
from runner.access.shown.request_subject import Subject, request_subject
from runner.access.shown.written_definition import written_definition
from runner.commands import CommandKind
from runner.errors import RefusedError, UsageError
from runner.history.reading.query import Bar, Query
from runner.lifecycle import RequestStatus
from runner.planning.reasons.why_no_fire import Explanation
from runner.planning.views.request_view import RequestView
from runner.planning.words.open_alert_words import alert_words
from runner.planning.words.pause_words import pause_span
from runner.requests.catalog.resolved_settings import settings_of
from runner.requests.model import ProcessRequest
from runner.timing.local_times import local_text
from runner.timing.typed_times import OfDay, Toward, read_time
from runner.values import counted
from runner.web.actions import Action, Target
from runner.web.pages.contents.requests import row_of, shown_problems
from runner.web.pages.drawing.duration_chart import Point, duration_chart
from runner.web.pages.past import Past, p95_s, usual_s
from runner.web.pages.present import Present
from runner.web.pages.rendering import Content
from runner.web.pages.wording import short_duration

_FIRES = 10
_IN_CHART = 120
_IN_HISTORY = 20
_ELSEWHERE = frozenset(
    {"request", "status", "sync", "timing", "next", "executions", "description", "labels"}
    | {"alerts", "problems", "pause", "drift", "message", "last_status", "last_ended"}
    | {"scheduled_for", "request_file"}
)
"""The fields that the page shows outside of its list of details."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """A coming fire; `moved` says from where the calendar moved it."""

    at: datetime
    moved: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSetting:
    """A setting with its origin."""

    path: str
    value: str
    origin: str
    is_default: bool


def request(present: Present, past: Past, view: RequestView, at: str) -> Content:
    """Return the page of a request. With `at`, it says why the request did or did not run then."""
    loaded, places = present.loaded, present.places
    item = request_details(view, loaded, None, places)
    full = {"alerts": (), "pause": None, "drift": None, "labels": {}, "timing": None, **item}
    bars = past.bars([view.name], count=_IN_CHART).get(view.name, [])
    found = loaded.in_force.requests.get(view.name)
    values: dict[str, Any] = {
        "name": view.name,
        "item": {"description": None, "process": None, **full},
        "row": row_of(_row_item(view, full), past.strips([view.name]).get(view.name, ())),
        "clock": present.clock,
        "is_recovered": present.is_recovered,
        "buttons": list(_buttons(present, view)),
        "notes": list(_notes(present, view)),
        "found_problems": shown_problems(view.rejection.problems_of(view.name))
        if view.rejection
        else [],
        "details": [
            (name.replace("_", " "), value_words(value, places.zone))
            for name, value in item.items()
            if name not in _ELSEWHERE
        ],
        "records": past.executions(
            Query(among=frozenset({view.name}), with_members=False), limit=_IN_HISTORY
        ).records,
        "at": at,
        **_written(found, present),
        **_settings(found, present),
        **_chart(bars, found),
        **_explained(present, view, found, at),
    }
    return Content(template="request.html", title=f"{view.name} · Runner", values=values)


def value_words(value: object, zone: str) -> str:
    """Return a field of `show` as text; a list has a line for each entry."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return local_text(value, zone)
    if isinstance(value, list | tuple):
        return "\n".join(value_words(each, zone) for each in value)
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {value_words(each, zone)}" for key, each in value.items())
    return json.dumps(value, ensure_ascii=False, default=str)


def _row_item(view: RequestView, item: Mapping[str, Any]) -> dict[str, Any]:
    names = ("last_status", "last_ended", "scheduled_for")
    return {**dict.fromkeys(names), **item, "request": view.name, "sync": view.sync}


def _buttons(present: Present, view: RequestView) -> Iterator[Action]:
    """Yield the buttons that make sense for the request's state."""
    if view.request is None:
        return
    is_timed = view.request.timing is not None
    useless = {
        CommandKind.SCHEDULE: not is_timed or view.status != RequestStatus.UNSCHEDULED,
        CommandKind.UNSCHEDULE: not is_timed or view.status == RequestStatus.UNSCHEDULED,
        CommandKind.RESCHEDULE: not is_timed,
        CommandKind.PAUSE: not is_timed or view.pause is not None,
        CommandKind.RESUME: view.pause is None,
        CommandKind.BACKFILL: not is_timed,
    }
    for action in present.actions(Target.REQUEST):
        if not useless.get(action.kind, False):
            yield action


def _notes(present: Present, view: RequestView) -> Iterator[str]:
    zone = present.places.zone
    for alert in present.alerts:
        if alert.request == view.name:
            yield alert_words(alert, zone)
    if view.pause is not None:
        yield f"paused {pause_span(view.pause, zone)}"
    if view.drift is not None:
        yield view.drift
    if view.is_new:
        yield "No runner has seen this request yet."


def _written(found: ProcessRequest | None, present: Present) -> dict[str, Any]:
    """Return the definition as written, or why it cannot be shown."""
    if found is None:
        return {"written": [], "written_trouble": None}
    try:
        lines = written_definition(found.source, present.places.jobs)
    except RefusedError as error:
        return {"written": [], "written_trouble": f"{error}."}
    return {"written": lines, "written_trouble": None}


def _settings(found: ProcessRequest | None, present: Present) -> dict[str, Any]:
    """Return the resolved definition, or why it cannot be shown."""
    if found is None:
        return {"settings": [], "settings_trouble": "Its file is invalid, and no version is kept."}
    jobs = present.places.jobs
    try:
        settings = settings_of(found, jobs, display=lambda file: file, zone=present.places.zone)
    except RefusedError as error:
        return {"settings": [], "settings_trouble": f"{error}."}
    shown = [
        ShownSetting(
            path=each.path,
            value=value_words(each.value, present.places.zone),
            origin=each.origin,
            is_default=each.file is None,
        )
        for each in settings
    ]
    return {"settings": shown, "settings_trouble": None}


def _chart(bars: Sequence[Bar], found: ProcessRequest | None) -> dict[str, Any]:
    points = [
        Point(
            execution=bar.execution,
            status=bar.status,
            duration_s=bar.duration_s,
            words=bar.started[:16].replace("T", " ") + " UTC",
        )
        for bar in bars
        if bar.started and bar.duration_s is not None
    ]
    limit = found.expect.duration if found else None
    lines = {
        "p50": usual_s(bars),
        "p95": p95_s(bars),
        "expect": limit.total_seconds() if limit else None,
    }
    known = {name: seconds for name, seconds in lines.items() if seconds is not None}
    chart: Markup | None = duration_chart(points, known) if points else None
    words = ", ".join(f"{name} {short_duration(seconds)}" for name, seconds in known.items())
    last = f"last {counted(len(points), 'execution')}"
    return {"chart": chart, "chart_words": f"{last}: {words}" if points else ""}


def _explained(
    present: Present, view: RequestView, found: ProcessRequest | None, at: str
) -> dict[str, Any]:
    """Return the coming fires and cautions, and the answer to "why at …"."""
    zone = present.places.zone
    if found is None:
        empty: dict[str, Any] = {"fires": [], "cautions": [], "answer": None}
        return {**empty, "at_trouble": None, "subject_zone": zone}
    subject = request_subject(view.name, present.loaded, present.places)
    answer, trouble = _answer(subject, at)
    return {
        "fires": [Fire(at=at, moved=subject.moved(at)) for at in islice(subject.coming, _FIRES)],
        "cautions": subject.cautions,
        "answer": answer,
        "at_trouble": trouble,
        "subject_zone": subject.zone,
    }


def _answer(subject: Subject, at: str) -> tuple[Explanation | None, str | None]:
    if not at:
        return None, None
    try:
        instant = read_time(
            "the time", at, subject.zone, subject.now, toward=Toward.NEITHER, of_day=OfDay.REFUSED
        )
        return subject.why(instant), None
    except UsageError as error:
        return None, str(error)
