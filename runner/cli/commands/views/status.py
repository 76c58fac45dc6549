"""`status`: whether a runner is alive, and what it does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from runner import RELEASED
from runner.access.ownership import no_runner_words, other_jobs, served_jobs, words_of
from runner.access.places import Places
from runner.access.troubles import folder_trouble, why_nothing_fires
from runner.cli.options import output_option, reading_options
from runner.cli.output.fitting import id_text, moment_text, print_fitted
from runner.cli.output.tables import (
    coloured,
    echo,
    json_line,
    print_table,
    style,
)
from runner.errors import NoRunnerError
from runner.lifecycle import RequestStatus
from runner.monitor.names import name_in
from runner.planning.words.open_alert_words import alert_item, alert_words
from runner.planning.words.pause_words import backfill_item, backfill_words, pause_item, pause_words
from runner.service.trouble import UNSETTLED, TroubleNote
from runner.store.opening import owner_of, read_store
from runner.store.rows import AlertRow, ExecutionRow, Fleet, Snapshot
from runner.timing.local_times import local_text
from runner.values import duration_text, from_microseconds, short_commit

if TYPE_CHECKING:
    from runner.planning.alerts.alert import Alert
    from runner.planning.states.pauses import Pause

_MOST_ALERTS = 10
"""How many alerts are listed; `runner alerts` lists all."""
_COMING = 5
"""How many requests `next` lists, each with its next fire."""


@click.command("status")
@output_option
@reading_options
def status_command(output: str, places: Places) -> None:
    """Show whether a runner is alive, its commit, what runs, what waits and what is
    next.

    The exit code is 4 if no runner is alive. The command then says when the last one
    ended, and what it left running.
    """
    owner = owner_of(places.store)
    if owner is None:
        from runner.access.former_runner import former_runner_lines

        raise NoRunnerError("\n".join((no_runner_words(places), *former_runner_lines(places))))
    trouble = TroubleNote(places.state).read()
    if trouble and output == "text":  # printed first: it explains why the store may be unreadable
        echo(f"trouble   nothing fires: {trouble}")
    if (served := other_jobs(places)) is not None:
        raise NoRunnerError(words_of(served, places))
    places, now = replace(places, jobs=served_jobs(places) or places.jobs), datetime.now(UTC)
    if trouble is None and (trouble := why_nothing_fires(places, now)) and output == "text":
        echo(f"trouble   nothing fires: {trouble}")
    item, offers = _item(owner.pid, places, now)
    item["trouble"] = trouble
    if output == "json":
        paused, alerts = map(pause_item, item["paused"]), map(alert_item, item["alerts"])
        echo(json_line(item | {"paused": list(paused), "alerts": list(alerts)}))
        return
    _print(item, offers, places)


def _print(item: Mapping[str, Any], offers: Mapping[str, str], places: Places) -> None:
    stands = "stopping" if item["stopping"] else "running"
    since = local_text(item["stopping"] or item["started"], places.zone)
    commit = f" at {short_commit(item['git_commit'])}" if item["git_commit"] else ""
    for pause in item["paused"]:
        echo(f"paused    {style(pause_words(pause, places.zone), fg='yellow')}")
    counts = ", ".join(f"{count} {coloured(status)}" for status, count in item["requests"].items())
    where = f" on {item['leader']}" if item["leader"] else ""
    echo(f"runner {item['pid']}{where} has been {stands} since {since}")
    echo(f"jobs      {item['jobs']}{commit}")
    echo(f"log       {places.followed_log}")
    echo(f"requests  {counts or 'none'}")
    if item["nodes"]:
        from runner.access.shown.fleet_items import fleet_rows

        echo(f"nodes     {len(item['nodes'])}")
        print_table(
            ("  ROLE", "NODE", "STATE"), [(f"  {role}", *rest) for role, *rest in fleet_rows(item)]
        )
    if item["clock"] is not None:
        echo(f"clock     {style(_clock_words(item['clock'], places.zone), fg='yellow')}")
    if item["alerts"]:
        echo(f"alerts    {len(item['alerts'])}")
    for alert in item["alerts"][:_MOST_ALERTS]:
        words = f"{alert.request or 'the runner'}  {alert_words(alert, places.zone)}"
        echo(f"  {style(words, fg='yellow')}")
    for backfill in item["backfills"]:
        echo(f"backfill  {backfill['request']}: {backfill_words(backfill)}")
    for title in ("running", "waiting"):
        echo(f"{title}   {len(item[title])}")
        _print_executions(item[title], offers, places.zone)
    echo("next")
    print_table(
        ("  SCHEDULED FOR", "REQUEST"),
        [
            (f"  {local_text(each['scheduled_for'], places.zone)}", each["request"])
            for each in item["next"]
        ],
    )


def _print_executions(
    items: Sequence[Mapping[str, Any]], offers: Mapping[str, str], zone: str
) -> None:
    columns = ["  REQUEST", "EXECUTION", "PID", "SCHEDULED FOR"]
    rows: list[tuple[str, ...]] = [
        (
            f"  {name_in(each)}",
            id_text(each["execution"]),
            str(each["pid"] or "-"),
            moment_text(each["scheduled_for"], zone),
        )
        for each in items
    ]
    waits = [_worker_words(offers.get(each["execution"])) for each in items]
    if any(waits):
        columns.append("WAITS FOR")
        rows = [(*row, words) for row, words in zip(rows, waits, strict=True)]
    print_fitted(columns, rows)


def _worker_words(queue: str | None) -> str:
    return "" if queue is None else f"a worker of queue {queue}"


def _item(pid: int, places: Places, now: datetime) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the fields that `status` prints, and the queues of what waits for a worker."""
    with closing(read_store(places.store)) as reader:
        meta, executions, alerts = reader.meta(), reader.executions(), reader.alerts()
        statuses, backfills = reader.statuses(), reader.backfills()
        fleet, offers = reader.fleet(), reader.offers()
        coming = [(each.request, from_microseconds(each.fire)) for each in reader.coming(_COMING)]
        # The rows of a former version name no fire.
        is_former = len(coming) < min(statuses.get(RequestStatus.SCHEDULED, 0), _COMING)
        if pauses := _pauses(meta, now):
            coming = _coming_under_pauses(reader.snapshot(), places, now)
    if meta.get(UNSETTLED) != "" or is_former:
        statuses, coming = _by_files(places)
    is_waiting = {each.id: each.phase.is_before_start or each.id in offers for each in executions}
    item = {
        "pid": pid,
        "started": from_microseconds(int(meta["started"])) if "started" in meta else None,
        "stopping": from_microseconds(int(meta["stopping"])) if meta.get("stopping") else None,
        "version": meta.get("version"),
        **_fleet(fleet),
        "jobs": meta.get("jobs", str(places.jobs)),
        "git_commit": meta.get("git_commit") or None,
        "requests": statuses,
        "paused": pauses,
        "alerts": _open(alerts),
        "clock": _clock_item(meta, now),
        "running": [_execution_item(each) for each in executions if not is_waiting[each.id]],
        "waiting": [_execution_item(each) for each in executions if is_waiting[each.id]],
        "backfills": [_backfill_item(name, text) for name, text in backfills.items()],
        "next": [{"request": request, "scheduled_for": fire} for request, fire in coming],
    }
    return item, offers


def _fleet(fleet: Fleet | None) -> dict[str, Any]:
    if fleet is None:
        return {"leader": None, "nodes": []}  # usual; saves the import
    from runner.access.shown.fleet_items import fleet_item

    return fleet_item(fleet)


def _pauses(meta: Mapping[str, str], now: datetime) -> tuple[Pause, ...]:
    """Return the pauses that hold fires now."""
    if "pauses" not in meta:
        return ()  # usual; saves the import
    from runner.planning.states.pauses import pauses_in

    return pauses_in(meta).at(now)


def _coming_under_pauses(
    snapshot: Snapshot, places: Places, now: datetime
) -> list[tuple[str, datetime]]:
    """Return the next fires that no pause holds. The store's rows name the next fires of all."""
    from runner.access.stored import StoredStates, stored_requests
    from runner.planning.coming_fires import next_fires
    from runner.planning.states.pauses import pauses_in
    from runner.service.clocks.kept_zones import ZONE

    rows = [row for row in snapshot.requests if row.file is not None]
    zone = snapshot.meta.get(ZONE, places.zone)
    requests = stored_requests(rows, zone=zone, recalled={})
    coming = next_fires(requests, StoredStates(rows), now, pauses_in(snapshot.meta))
    return [(fire.request, fire.scheduled_for) for fire in coming[:_COMING]]


def _open(rows: Sequence[AlertRow]) -> tuple[Alert, ...]:
    if not rows:
        return ()  # usual; saves the import
    from runner.service.alerts.stored_alerts import open_alerts

    return open_alerts(rows)


def _backfill_item(name: str, text: str) -> dict[str, Any]:
    from runner.planning.states.backfills import backfill_from  # seldom needed

    return {"request": name, **backfill_item(backfill_from(json.loads(text)))}


def _by_files(places: Places) -> tuple[dict[str, int], list[tuple[str, datetime]]]:
    """Return how many requests have each status, `invalid` included, and the next fires.

    The store does not have the rejected documents.
    """
    # Imported late: while all files are in force, the store knows more than they do.
    from runner.access.loading import load
    from runner.planning.coming_fires import next_fires
    from runner.planning.views.request_view import views

    loaded = load(places)
    if (words := folder_trouble(places, loaded)) is not None:
        echo(words, err=True)
    found = views(loaded.in_force, loaded.catalog.rejections, loaded.states, loaded.now)
    coming = next_fires(loaded.in_force.requests, loaded.states, loaded.now, loaded.pauses)
    return (
        dict(Counter(view.status for view in found)),
        [(fire.request, fire.scheduled_for) for fire in coming[:_COMING]],
    )


def _clock_item(meta: Mapping[str, str], now: datetime) -> dict[str, Any] | None:
    """Return what is unusual about the clock: it is wrong, or it went back. None if it is fine."""
    if now >= RELEASED and "from" not in json.loads(meta.get("clock", "{}")):
        return None  # usual; saves the import
    from runner.service.clock_watch import memory_in, wrong_clock_words

    if now < RELEASED:
        return {"message": wrong_clock_words(now, RELEASED)}
    memory = memory_in(meta)
    if memory is None or memory.reopened is None or memory.reopened.end <= now:
        return None
    return {
        "message": None,
        "went_back_at": memory.went_back_at,
        "reopened_from": memory.reopened.begin,
        "reopened_until": memory.reopened.end,
        "left_s": max(memory.left.total_seconds(), 0.0),
    }


def _clock_words(item: Mapping[str, Any], zone: str) -> str:
    if item["message"] is not None:
        return str(item["message"])
    left = duration_text(timedelta(minutes=-(-item["left_s"] // 60)))  # rounded up
    return (
        f"went back to {local_text(item['went_back_at'], zone)}; while the runner runs for another "
        f"{left}, fires until {local_text(item['reopened_until'], zone)} run only on time"
    )


def _execution_item(row: ExecutionRow) -> dict[str, Any]:
    body = json.loads(row.body)
    return {
        "execution": row.id,
        "request": row.request,
        "process": body["process"]["name"],
        "group": row.group_id,
        "channel": body["claim"]["channel"],
        "scheduled_for": from_microseconds(row.scheduled_for),
        "started": None if row.started is None else from_microseconds(row.started),
        "pid": row.pid,
    }
