"""`explain`: what a timing means, its next fires and its pitfalls; and why a request
did or did not run.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import click

from runner.access.places import Places
from runner.access.shown.request_subject import Subject
from runner.cli.arguments.selection import Selection
from runner.cli.commands.authoring.explained import subjects_of
from runner.cli.options import (
    complete_requests_and_members,
    output_option,
    reading_options,
    selection_options,
)
from runner.cli.output.fitting import id_text
from runner.cli.output.tables import coloured, echo, json_line, print_table, style
from runner.lifecycle import RequestStatus
from runner.monitor.names import shown_name
from runner.planning.words.timing_words import timing_words
from runner.timing.local_times import local_text
from runner.timing.typed_times import OfDay, Toward, read_time
from runner.timing.zones import zone_named
from runner.values import duration_text


@click.command("explain")
@click.argument(
    "names",
    metavar="[EXPRESSION|NAME]...",
    nargs=-1,
    shell_complete=complete_requests_and_members,
)
@click.option(
    "--at", metavar="T", help='Explain why it did or did not run at T, such as "2026-12-24 18:00".'
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Maximum number of next fires.",
)
@selection_options
@output_option
@reading_options
def explain_command(
    selection: Selection, at: str | None, count: int, output: str, places: Places
) -> None:
    """Explain in plain English what a timing means, when it fires next, and what its
    pitfalls are.

    EXPRESSION is a cron expression in quotes, or a schedule as in the files. NAME is a
    request, a member of a group, or a glob of requests. With --at T, the command explains
    why the request did or did not run at T, from its rule, its state and the monitor log.

    \b
    Examples:
      runner explain "0 2 * * 1-5" --timezone Europe/Madrid
      runner explain "{frequency: monthly, day: last_workday, at: '18:00'}"
      runner explain nightly-posting --at "2026-12-24 18:00"
      runner explain 'nightly-*' --failing
    """
    subjects = subjects_of(selection, places)
    for number, subject in enumerate(subjects):
        if number and output == "text":
            echo()
        if at is None:
            _print_meaning(subject, count, output, is_titled=len(subjects) > 1)
        else:
            when = read_time(
                "--at", at, subject.zone, subject.now, toward=Toward.NEITHER, of_day=OfDay.REFUSED
            )
            _print_answer(subject, when, output)


def _print_meaning(subject: Subject, count: int, output: str, *, is_titled: bool) -> None:
    """Print what a timing means, its next fires, and cautions."""
    coming = list(islice(subject.coming, count))
    known = subject.cautions
    if output == "json":
        item = {
            **subject.about,
            "timing": timing_words(subject.timing),
            "zone": subject.zone,
            "next": [
                {
                    "scheduled_for": fire,
                    "local": local_text(fire, subject.zone),
                    "message": subject.moved(fire),
                }
                for fire in coming
            ],
            "cautions": [{"kind": each.kind, "message": each.message} for each in known],
        }
        echo(json_line(item))
        return
    if is_titled:
        echo(style(_title(subject.about), bold=True))
    member = subject.about.get("member")
    echo(
        (f"{member} is a member of {subject.about['request']}: " if member else "")
        + timing_words(subject.timing)
    )
    _print_standing(subject)
    if coming:
        echo()
        cells = [_fire_cells(fire, subject) for fire in coming]
        shown = slice(None if any(row[-1] for row in cells) else -1)
        print_table(("NEXT FIRES", "DAY", "IN", "NOTE")[shown], [row[shown] for row in cells])
    if known:
        echo()
        for each in known:
            echo(f"{style('caution', fg='yellow')}: {each.message}")


def _print_standing(subject: Subject) -> None:
    about = subject.about
    if "status" in about:
        verb = "has" if about["status"] == RequestStatus.COMPLETE else "is"  # "no more fires"
        echo(
            f"{about['request']} {verb} {coloured(about['status'])}"
            + (f": {about['message']}" if about["message"] else "")
        )
    if about.get("delay_s"):
        delay = duration_text(timedelta(seconds=about["delay_s"]))
        echo(f"its spread delays each fire by {delay}")
    if about.get("retention"):
        echo(f"its outputs are kept {about['retention']}")


def _title(about: dict[str, Any]) -> str:
    if "expression" in about:
        return " ".join(about["expression"].split())
    return shown_name(about["request"], about.get("member", ""), is_member="member" in about)


def _fire_cells(fire: datetime, subject: Subject) -> tuple[str, ...]:
    away = timedelta(seconds=round((fire - subject.now).total_seconds()))
    day = f"{fire.astimezone(zone_named(subject.zone)):%a}"
    distance = duration_text(away) if away else "now"
    return local_text(fire, subject.zone), day, distance, subject.moved(fire) or ""


def _print_answer(subject: Subject, at: datetime, output: str) -> None:
    """Print why a request did or did not run at an instant."""
    answer, zone = subject.why(at), subject.zone
    has_fire = answer.before is None and answer.after is None
    moved = subject.moved(at) if has_fire else None
    if output == "json":
        item = {
            **subject.about,
            "scheduled_for": at,
            "local": local_text(at, zone),
            "zone": zone,
            "because": [{"cause": each.cause, "message": each.message} for each in answer.because],
            "moved": moved,
            "executions": [run.execution for run in answer.runs],
            "before": answer.before,
            "after": answer.after,
            "alerts": [asdict(alert) for alert in answer.alerts],
        }
        echo(json_line(item))
        return
    echo(f"{style(_title(subject.about), bold=True)} at {local_text(at, zone)}")
    for each in answer.because:
        echo(f"  {each.message}")
    if moved is not None:
        echo(f"  its fire is {moved}")
    for word, fire in (("before", answer.before), ("after", answer.after)):
        if fire is not None:
            echo(f"  nearest fire {word}: {local_text(fire, zone)}")
    for run in answer.runs:
        echo(f"  execution {id_text(run.execution)}")
    for alert in answer.alerts:
        end = f"until {local_text(alert.until, zone)}" if alert.until else "and still is"
        since = local_text(alert.since, zone)
        echo(f"  the alert {alert.check} was open from {since} {end}: {alert.message}")
