"""The overview: is anything wrong, what runs, what ran, what comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice
from operator import itemgetter

from markupsafe import Markup

from runner.access.former_runner import former_runner_lines
from runner.access.shown.fleet_items import fleet_item, fleet_rows
from runner.access.troubles import folder_trouble
from runner.commands import CommandKind
from runner.history.reading.query import Query
from runner.lifecycle import ExecutionStatus
from runner.monitor.records import Event
from runner.planning.states.results import Result
from runner.planning.views.request_view import RequestView
from runner.planning.words.pause_words import pause_words
from runner.values import from_microseconds, short_commit
from runner.web.actions import Target
from runner.web.pages.attention import Attention, attention, verdict
from runner.web.pages.drawing.timeline import key, window_at
from runner.web.pages.in_progress import running
from runner.web.pages.lanes import MOST, chosen, lanes
from runner.web.pages.past import Past, usual_s
from runner.web.pages.present import Present
from runner.web.pages.rendering import Content
from runner.web.pages.wording import rough_duration, success_rate

_MOST_NEEDS, _MOST_RUNNING, _MOST_COMING, _MOST_ENDED = 12, 12, 8, 24
_MOST_NAMES = 3
_ALL_LANES = 1000
_DAY = timedelta(hours=24)
_COUNTED = (
    ExecutionStatus.SUCCESS,
    ExecutionStatus.ERROR,
    ExecutionStatus.KILLED,
    ExecutionStatus.MISFIRED,
    ExecutionStatus.SKIPPED,
    ExecutionStatus.SYSTEM_RESTART,
)
_ALWAYS = frozenset(_COUNTED[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing about the runner."""

    name: str
    value: str | Markup
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """The requests that fire at one instant; `more` of them are not named."""

    at: datetime
    names: Sequence[str]
    more: int


def overview(present: Present, past: Past, *, is_whole: bool) -> Content:
    """Return the overview; with `is_whole`, each request has a lane."""
    results = _results(present)
    needs = attention(present.alerts, results, {})
    health = present.site.health()
    answer = verdict(
        needs,
        trouble=health.trouble,
        requests=len(_names(present)),
        is_paused=any(pause.names is None for pause in present.loaded.pauses.at(present.now)),
    )
    waiting_for = sum(need.acknowledged_by is None for need in needs)
    kinds = {action.kind for target in Target for action in present.actions(target)}
    return Content(
        template="overview.html",
        title=f"{f'({waiting_for}) ' if waiting_for else ''}Overview · Runner",
        values={
            "verdict": answer,
            "facts": list(_facts(present, past)),
            "notes": list(_notes(present, past, health.trouble)),
            "needs": needs,
            "most_needs": _MOST_NEEDS,
            "ended": _ended(present, past),
            "running": _running(present, past),
            "most_running": _MOST_RUNNING,
            "waiting": present.waiting,
            "coming": list(islice(_coming(present), _MOST_COMING)),
            "clock": present.clock,
            "is_recovered": present.is_recovered,
            "jobs": str(present.places.jobs),
            "can_kill": CommandKind.KILL in kinds,
            "can_acknowledge": CommandKind.ACKNOWLEDGE in kinds,
            **_counts(present, past),
            **_timeline(present, past, needs, results, is_whole=is_whole),
        },
    )


def _coming(present: Present) -> Iterator[Coming]:
    """Yield the next fires, those of one instant together."""
    fires = sorted(
        (view.next_fire, view.name) for view in present.views if view.next_fire is not None
    )
    for at, group in groupby(fires, key=itemgetter(0)):
        names = [name for _, name in group]
        yield Coming(at=at, names=names[:_MOST_NAMES], more=max(len(names) - _MOST_NAMES, 0))


def _names(present: Present) -> list[str]:
    return [view.name for view in present.views if view.name]


def _results(present: Present) -> dict[str, Result]:
    found = ((view.name, present.loaded.results.of(view.name)) for view in present.views)
    return {name: result for name, result in found if name and result is not None}


def _facts(present: Present, past: Past) -> Iterator[Fact]:
    meta, rejections = present.loaded.snapshot.meta, present.loaded.catalog.rejections
    if (started := meta.get("started")) and present.site.health().is_alive:
        alive_s = (present.now - from_microseconds(int(started))).total_seconds()
        yield Fact(name="runner", value=f"alive for {rough_duration(max(alive_s, 0.0))}")
    if meta.get("stopping"):
        yield Fact(name="runner", value="stopping")
    if commit := short_commit(meta.get("git_commit") or None):
        yield Fact(name="commit", value=commit)
    if present.admits is None:
        for record in past.events(_is_reading, limit=1).records:
            at = present.clock.moment(str(record["time"]) if record["time"] else None)
            yield Fact(name="reloaded", value=at, href="/changes?kind=reloads")
    yield Fact(name="requests", value=str(len(_names(present))), href="/requests")
    if present.admits is None:
        yield Fact(name="rejected files", value=str(len(rejections)), href="/requests#rejected")
        if present.loaded.fleet is not None:
            for role, node, words in fleet_rows(fleet_item(present.loaded.fleet)):
                yield Fact(name=role, value=": ".join(filter(None, (node, words))))


def _is_reading(record: dict[str, object]) -> bool:
    return record.get("event") in (Event.RUNNER_RELOADED, Event.RUNNER_STARTED)


def _notes(present: Present, past: Past, trouble: str | None) -> Iterator[str]:
    if trouble is not None:
        yield trouble
    if not present.site.health().is_alive:
        yield from former_runner_lines(present.places)
    if (words := folder_trouble(present.places, present.loaded)) is not None:
        yield words
    for pause in present.loaded.pauses.at(present.now):
        yield f"paused: {pause_words(pause, present.places.zone)}"
    if (notice := past.notice) is not None:
        yield notice


def _ended(present: Present, past: Past) -> Sequence[dict[str, object]]:
    query = Query(with_members=False, admits=present.admits)
    return past.executions(query, limit=_MOST_ENDED).records


def _running(present: Present, past: Past) -> list[object]:
    names = {record["request"] for record in present.running}
    bars = past.bars(names)
    usual = {name: usual for name, each in bars.items() if (usual := usual_s(each)) is not None}
    return list(running(present.running, usual, present.now))


def _counts(present: Present, past: Past) -> dict[str, object]:
    query = Query(since=present.now - _DAY, admits=present.admits)
    counts: Counter[str] = Counter()
    for tally in past.ask(lambda index: index.tallies(query)) or []:
        counts[tally.status] += tally.count
    shown = {status: counts[status] for status in _COUNTED if counts[status] or status in _ALWAYS}
    return {"counts": shown, "rate": success_rate(counts)}


def _is_timed(view: RequestView) -> bool:
    return view.request is not None and view.request.timing is not None


def _timeline(
    present: Present,
    past: Past,
    needs: Sequence[Attention],
    results: dict[str, Result],
    *,
    is_whole: bool,
) -> dict[str, object]:
    window = window_at(present.now)
    first = {need.request for need in needs if need.request}
    first |= {str(record["request"]) for record in present.running}
    ended: dict[str, datetime] = {name: each.ended for name, each in results.items()}
    recent = {name: at for name, at in ended.items() if at >= window.begin}
    found = chosen(present.views, first, recent, most=_ALL_LANES if is_whole else MOST)
    names = [view.name for view in found]
    query = Query(since=window.begin, admits=present.admits)
    bars = past.lanes(names, query)
    shown = list(lanes(found, bars, present.running, present.loaded.pauses, window))
    return {
        "ticks": window.ticks,
        "lanes": shown,
        "key": key(each.picture for each in shown),
        "lane_count": max(len(found), sum(_is_timed(view) for view in present.views)),
        "all_lanes": is_whole,
        "requests": len(_names(present)),
    }
