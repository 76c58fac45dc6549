"""`status`: whether a runner is alive, and what it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import click

from runner import RELEASED
from runner.cli.access.loading import Loaded, load, served_jobs
from runner.cli.access.ownership import no_runner_words, other_jobs, words_of
from runner.cli.access.places import Places
from runner.cli.access.troubles import folder_trouble, why_nothing_fires
from runner.cli.options import output_option, reading_options
from runner.cli.output.fitting import id_text, moment_text, print_fitted
from runner.cli.output.tables import (
    coloured,
    echo,
    json_line,
    local_text,
    print_table,
    short_commit,
    style,
)
from runner.errors import NoRunnerError
from runner.monitor.names import name_in
from runner.planning.coming_fires import next_fires
from runner.planning.views.request_view import views
from runner.service.clock_watch import memory_in, wrong_clock_words
from runner.service.executions.execution import Execution, execution_of
from runner.service.trouble import TroubleNote
from runner.store.opening import owner_pid
from runner.values import duration_text, from_microseconds

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
    pid = owner_pid(places.state)
    if pid is None:
        from runner.cli.access.former_runner import former_runner_lines

        raise NoRunnerError("\n".join((no_runner_words(places), *former_runner_lines(places))))
    trouble = TroubleNote(places.state).read()
    if trouble and output == "text":  # printed first: it explains why the store may be unreadable
        echo(f"trouble   nothing fires: {trouble}")
    if (served := other_jobs(places)) is not None:
        raise NoRunnerError(words_of(served, places))
    places = replace(places, jobs=served_jobs(places) or places.jobs)
    loaded = load(places)
    if trouble is None and (trouble := why_nothing_fires(places, loaded)) and output == "text":
        echo(f"trouble   nothing fires: {trouble}")
    if (words := folder_trouble(places, loaded)) is not None:
        echo(words, err=True)
    item = _item(pid, loaded, places) | {"trouble": trouble}
    if output == "json":
        echo(json_line(item))
        return
    _print(item, places)


def _print(item: Mapping[str, Any], places: Places) -> None:
    stands = "stopping" if item["stopping"] else "running"
    since = local_text(item["stopping"] or item["started"], places.zone)
    commit = f" at {short_commit(item['git_commit'])}" if item["git_commit"] else ""
    counts = ", ".join(f"{count} {coloured(status)}" for status, count in item["requests"].items())
    echo(f"runner {item['pid']} is {stands} since {since}")
    echo(f"jobs      {item['jobs']}{commit}")
    echo(f"log       {places.monitor_log}")
    echo(f"requests  {counts or 'none'}")
    if item["clock"] is not None:
        echo(f"clock     {style(_clock_words(item['clock'], places.zone), fg='yellow')}")
    for title in ("running", "waiting"):
        echo(f"{title}   {len(item[title])}")
        _print_executions(item[title], places.zone)
    echo("next")
    print_table(
        ("  SCHEDULED FOR", "REQUEST"),
        [
            (f"  {local_text(each['scheduled_for'], places.zone)}", each["request"])
            for each in item["next"]
        ],
    )


def _print_executions(items: Sequence[Mapping[str, Any]], zone: str) -> None:
    rows = [
        (
            f"  {name_in(each)}",
            id_text(each["execution"]),
            str(each["pid"] or "-"),
            moment_text(each["scheduled_for"], zone),
        )
        for each in items
    ]
    print_fitted(("  REQUEST", "EXECUTION", "PID", "SCHEDULED FOR"), rows)


def _item(pid: int, loaded: Loaded, places: Places) -> dict[str, Any]:
    """Return the fields that `status` prints."""
    meta = loaded.snapshot.meta
    executions = [execution_of(row) for row in loaded.snapshot.executions]
    found = views(loaded.in_force, loaded.catalog.rejections, loaded.states, loaded.now)
    coming = next_fires(loaded.in_force.requests, loaded.states, loaded.now)
    return {
        "pid": pid,
        "started": from_microseconds(int(meta["started"])) if "started" in meta else None,
        "stopping": from_microseconds(int(meta["stopping"])) if meta.get("stopping") else None,
        "version": meta.get("version"),
        "jobs": meta.get("jobs", str(places.jobs)),
        "git_commit": meta.get("git_commit") or None,
        "requests": dict(Counter(view.status for view in found)),
        "clock": _clock_item(meta, loaded.now),
        "running": [_execution_item(each) for each in executions if not each.phase.is_before_start],
        "waiting": [_execution_item(each) for each in executions if each.phase.is_before_start],
        "next": [
            {"request": fire.request, "scheduled_for": fire.scheduled_for}
            for fire in coming[:_COMING]
        ],
    }


def _clock_item(meta: Mapping[str, str], now: datetime) -> dict[str, Any] | None:
    """Return what is unusual about the clock: it is wrong, or it went back. None if it is fine."""
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


def _execution_item(execution: Execution) -> dict[str, Any]:
    return {
        "execution": execution.id,
        "request": execution.request,
        "process": execution.process.name,
        "group": execution.claim.group,
        "channel": execution.claim.channel,
        "scheduled_for": execution.claim.scheduled_for,
        "started": execution.started,
        "pid": execution.pid,
    }
