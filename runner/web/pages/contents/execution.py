"""One execution: its record, its output, its members, attempts and what followed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from runner.access.outputs import has_output, open_output
from runner.access.places import Places
from runner.commands import CommandKind
from runner.history.reading.query import Query
from runner.lifecycle import ExecutionStatus
from runner.monitor.names import who
from runner.values import parse_instant
from runner.web.actions import Target
from runner.web.pages.ansi import ansi_html
from runner.web.pages.drawing.progress import bar
from runner.web.pages.drawing.svg import execution_path, kind_of
from runner.web.pages.output_pages import OutputPage, output_page
from runner.web.pages.past import Past
from runner.web.pages.present import Present
from runner.web.pages.rendering import Content
from runner.web.pages.wording import short_duration
from runner.web.site import admits_record

Record = Mapping[str, Any]
_EVERY_S = 2
_MOST_SEARCHED = 200
_TIMES = frozenset({"scheduled_for", "started", "ended", "missed_from", "missed_until", "time"})
_LINKS = frozenset({"execution", "group", "follows"})
_ELSEWHERE = frozenset({"output_tail", "v", "id", "event", "message", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a group on the time axis of the group."""

    record: Record
    took: str
    picture: Markup | None


def execution(present: Present, past: Past, record: Record, page: int | None) -> Content:
    """Return the page of an execution, running or ended."""
    is_running = record["status"] == ExecutionStatus.PROCESSING
    members = _members(present, past, record)
    related = _related(present, past, record)
    can_kill = any(each.kind is CommandKind.KILL for each in present.actions(Target.EXECUTION))
    kill_url = (
        f"/confirm/kill?target={quote(record['execution'])}" if is_running and can_kill else None
    )
    return Content(
        template="execution.html",
        title=f"{who(record)}: {record['status']} · Runner",
        is_live=is_running,
        every_s=_EVERY_S if is_running else None,
        values={
            "record": record,
            "is_running": is_running,
            "clock": present.clock,
            "is_recovered": present.is_recovered,
            "kill_url": kill_url,
            "members": _waterfall(record, members, present.now),
            "fields": [(name, _field(name, value, present)) for name, value in _shown(record)],
            "record_json": json.dumps(record, ensure_ascii=False, indent=2),
            **related,
            **_output(present.places, record, page, has_members=bool(members)),
        },
    )


def record_of(present: Present, past: Past, execution: str) -> Record | None:
    """Return the record of an execution that the viewer may see; None for none."""
    for each in present.site.running():
        if each["execution"] == execution:
            return each if admits_record(present.viewer.scope, each) else None
    found = past.execution(execution)
    return found if found and admits_record(present.viewer.scope, found) else None


def _members(present: Present, past: Past, record: Record) -> list[Record]:
    name = record["execution"]
    ended = past.related(lambda index: index.members(name))
    known = {each["execution"] for each in ended}
    running = [each for each in present.running if each.get("group") == name]
    return [*ended, *(each for each in running if each["execution"] not in known)]


def _related(present: Present, past: Past, record: Record) -> dict[str, Sequence[Record]]:
    """Return the other attempts, and what followed."""
    name, scope = record["execution"], present.viewer.scope
    attempts = [
        *_first_attempt(past, record),
        *past.related(lambda index: index.attempts(dict(record))),
    ]
    followers = past.related(lambda index: index.followers(name))
    return {
        "attempts": [each for each in attempts if each["execution"] != name],
        "followers": [each for each in followers if admits_record(scope, each)],
    }


def _first_attempt(past: Past, record: Record) -> list[dict[str, Any]]:
    """Return the first attempt of a further one: the nearest before it at the same fire."""
    if (record["attempt"] or 1) <= 1 or record["scheduled_for"] is None:
        return []
    group, begin = record["group"], parse_instant(record["scheduled_for"])
    if group is not None:
        found = past.related(lambda index: index.members(group))
    else:
        query = Query(among=frozenset({record["request"]}), since=begin, with_members=False)
        found = [*past.executions(query, limit=_MOST_SEARCHED).records]
    same = ("process", "follows", "generation", "scheduled_for")
    return [
        each
        for each in found
        if each["attempt"] == 1 and all(each.get(name) == record.get(name) for name in same)
    ]


def _waterfall(group: Record, members: Sequence[Record], now: datetime) -> list[Member]:
    if not members or not group.get("started"):
        return []
    begin = parse_instant(group["started"])
    end = parse_instant(group["ended"]) if group.get("ended") else now
    whole_s = max((end - begin).total_seconds(), 0.001)
    return [
        _member(each, begin, whole_s, now)
        for each in sorted(members, key=lambda each: str(each.get("started") or each["ended"]))
    ]


def _member(record: Record, begin: datetime, whole_s: float, now: datetime) -> Member:
    if not record.get("started"):
        return Member(record=record, took="", picture=None)
    from_s = (parse_instant(record["started"]) - begin).total_seconds()
    took_s = record.get("duration_s")
    if took_s is None:
        took_s = max((now - parse_instant(record["started"])).total_seconds(), 0.0)
    took = short_duration(took_s)
    label = f"from {short_duration(max(from_s, 0.0))} on, for {took}"
    picture = bar(kind_of(record["status"]), from_s / whole_s, (from_s + took_s) / whole_s, label)
    return Member(record=record, took=took, picture=picture)


def _shown(record: Record) -> list[tuple[str, object]]:
    return [
        (name, value)
        for name, value in record.items()
        if name not in _ELSEWHERE and value not in (None, {}, [])
    ]


def _field(name: str, value: object, present: Present) -> object:
    if name in _TIMES:
        return present.clock.full(str(value))
    if name in _LINKS:
        path = execution_path(str(value))
        return Markup('<a class="mono" href="{}">{}</a>').format(path, value)
    if name == "request":
        return Markup('<a href="/requests/{}">{}</a>').format(quote(str(value), safe=""), value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items() if each is not None)
    return value


def _output(
    places: Places, record: Record, page: int | None, *, has_members: bool
) -> dict[str, Any]:
    """Return a page of the output as HTML, or why there is none."""
    empty: dict[str, Any] = {"output": None, "output_html": None}
    if not has_output(places, record) or has_members:
        words = "Each member has its own output." if has_members else "It never started."
        return {**empty, "output_trouble": words}
    try:
        with open_output(places, record) as file:
            found = output_page(file, page)
    except FileNotFoundError:
        words = "The output is gone: outputs are pruned by age, count and size."
        return {**empty, "output_trouble": words}
    except OSError as error:
        words = f"The output cannot be read: {error.strerror or error}."
        return {**empty, "output_trouble": words}
    words = "It has printed nothing yet." if _is_running(record) else "It printed nothing."
    return {"output": found, "output_html": _html(found), "output_trouble": words}


def _html(page: OutputPage) -> Markup:
    return ansi_html(page.styles + page.text)


def _is_running(record: Record) -> bool:
    return bool(record["status"] == ExecutionStatus.PROCESSING)
