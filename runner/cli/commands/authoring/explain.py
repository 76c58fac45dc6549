"""`explain`: what a timing means, its next fires and its pitfalls; and why a request
did or did not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import click

from runner.cli.access.loading import Loaded, load
from runner.cli.access.places import Places
from runner.cli.access.troubles import report_trouble
from runner.cli.arguments.expressions import is_expression, timing_from
from runner.cli.arguments.times import OfDay, Toward, read_time
from runner.cli.options import complete_requests_and_members, output_option, reading_options
from runner.cli.output.fitting import id_text
from runner.cli.output.tables import coloured, echo, json_line, local_text, print_table, style
from runner.errors import UsageError
from runner.lifecycle import RequestStatus
from runner.monitor.names import is_called, path_of, shown_name
from runner.planning.coming_fires import coming_fires, standing
from runner.planning.moved_fires import moved_words, words_of_move
from runner.planning.states.firing import delay_of
from runner.planning.views.cautions import Caution, cautions
from runner.planning.views.explanation import of_expression, why
from runner.planning.views.fire_query import FireQuery, unscheduled_words
from runner.planning.views.request_cautions import request_cautions
from runner.planning.views.timing_words import timing_words
from runner.planning.views.why_no_fire import Explanation, nowhere
from runner.requests.model import (
    Group,
    Process,
    Reference,
    RunImmediately,
    RunLater,
    Schedule,
    Timing,
)
from runner.timing.upcoming import fires
from runner.timing.zones import zone_named
from runner.values import duration_text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What is explained. `about` identifies it and its status, as JSON fields. `coming`
    yields its fires from `now` on. `why` explains one instant, and `moved` says from where
    the calendar moved a fire.
    """

    about: dict[str, Any]
    timing: Timing | None
    zone: str
    now: datetime
    coming: Iterator[datetime]
    why: Callable[[datetime], Explanation]
    moved: Callable[[datetime], str | None]
    cautions: list[Caution]


_LAST_GOOD = "by the last good version; its file is invalid (`runner validate`)"


@click.command("explain")
@click.argument("what", metavar="EXPRESSION|NAME", shell_complete=complete_requests_and_members)
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
@output_option
@reading_options
def explain_command(what: str, at: str | None, count: int, output: str, places: Places) -> None:
    """Explain in plain English what a timing means, when it fires next, and what its
    pitfalls are.

    EXPRESSION is a cron expression in quotes, or a schedule as in the files. NAME is a
    request. With --at T, the command explains why the request did or did not run at T,
    from its rule, its state and the monitor log.

    \b
    Examples:
      runner explain "0 2 * * 1-5" --timezone Europe/Madrid
      runner explain "{frequency: monthly, day: last_workday, at: '18:00'}"
      runner explain nightly-posting --at "2026-12-24 18:00"
    """
    subject = _expression(what, places) if is_expression(path_of(what)) else _named(what, places)
    if at is None:
        _print_meaning(subject, count, output)
    else:
        when = read_time(
            "--at", at, subject.zone, subject.now, toward=Toward.NEITHER, of_day=OfDay.REFUSED
        )
        _print_answer(subject, when, output)


def _expression(text: str, places: Places) -> _Subject:
    """Return the subject for an expression, which has no state and no history."""
    zone = places.own_zone if places.given_zone else places.zone
    timing, now = timing_from(text, zone=zone), datetime.now(UTC)
    zone = _zone(timing, places)
    return _Subject(
        about={"expression": text},
        timing=timing,
        zone=zone,
        now=now,
        coming=_fires(timing, now),
        why=lambda at: of_expression(timing, at, zone),
        moved=lambda fire: words_of_move(timing, fire, nowhere),
        cautions=cautions(timing, now),
    )


def _fires(timing: Timing, now: datetime) -> Iterator[datetime]:
    """Yield the fires of a timing from `now` on, as if it were registered now."""
    match timing:
        case RunImmediately():
            return iter((now,))
        case RunLater(start=start):
            return iter((start,) if start >= now else ())
        case Schedule(rule=rule):
            return fires(rule, now)


def _named(name: str, places: Places) -> _Subject:
    """Return the subject for the name of a request or of a group's member."""
    loaded = load(places)
    report_trouble(places, loaded)
    name, member = _membership(name, loaded)
    request, state = loaded.request(name), loaded.states.get(name)
    stands = standing(request, state, loaded.now)
    zone = _zone(request.timing, places)

    def answer(at: datetime) -> Explanation:
        from runner.cli.access.past import history

        past = history(places, loaded, name, at, member=member)
        return why(
            FireQuery(request=request, state=state, at=at, now=loaded.now, history=past, zone=zone)
        )

    return _Subject(
        about={
            "request": name,
            **({"member": member} if member else {}),
            "status": str(stands.status),
            "message": unscheduled_words(stands, zone)
            or (_LAST_GOOD if name in loaded.in_force.kept else None),
            "delay_s": delay_of(request).total_seconds(),
        },
        timing=request.timing,
        zone=zone,
        now=loaded.now,
        coming=coming_fires(request, stands, loaded.now),
        why=answer,
        moved=lambda fire: moved_words(request, fire),
        cautions=request_cautions(request, loaded.now),
    )


def _membership(name: str, loaded: Loaded) -> tuple[str, str | None]:
    """Return the request that a name means, and the member of its group if it is a
    member's name.

    Raises UsageError if members of several groups have that name.
    """
    requests = loaded.in_force.requests
    if name in requests:
        return name, None
    found = {
        request: member
        for request, process in ((each.name, each.process) for each in requests.values())
        for member in _members(process)
        if is_called(name, request, member, is_member=True)
    }
    if len(found) > 1:
        shown = (shown_name(request, member, is_member=True) for request, member in found.items())
        raise UsageError(f"{name!r} is ambiguous: {', '.join(shown)}")
    for request, member in found.items():
        return request, member.removeprefix(f"{request}/")
    return name, None


def _members(process: Process) -> Iterator[str]:
    """Yield the names of a group's members."""
    if isinstance(process.action, Group):
        for member in process.action.members:
            yield member.action.request if isinstance(member.action, Reference) else member.name


def _zone(timing: Timing | None, places: Places) -> str:
    """Return the zone whose wall time a timing uses."""
    match timing:
        case RunLater(zone=zone):
            return zone
        case Schedule(rule=rule):
            return rule.zone
        case _:
            return places.zone


def _print_meaning(subject: _Subject, count: int, output: str) -> None:
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


def _print_standing(subject: _Subject) -> None:
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


def _title(about: dict[str, Any]) -> str:
    if "expression" in about:
        return " ".join(about["expression"].split())
    return shown_name(about["request"], about.get("member", ""), is_member="member" in about)


def _fire_cells(fire: datetime, subject: _Subject) -> tuple[str, ...]:
    away = timedelta(seconds=round((fire - subject.now).total_seconds()))
    day = f"{fire.astimezone(zone_named(subject.zone)):%a}"
    distance = duration_text(away) if away else "now"
    return local_text(fire, subject.zone), day, distance, subject.moved(fire) or ""


def _print_answer(subject: _Subject, at: datetime, output: str) -> None:
    """Print why a request did or did not run at an instant."""
    answer, zone = subject.why(at), subject.zone
    if output == "json":
        item = {
            **subject.about,
            "scheduled_for": at,
            "local": local_text(at, zone),
            "zone": zone,
            "because": [{"cause": each.cause, "message": each.message} for each in answer.because],
            "executions": [run.execution for run in answer.runs],
            "before": answer.before,
            "after": answer.after,
        }
        echo(json_line(item))
        return
    echo(f"{style(_title(subject.about), bold=True)} at {local_text(at, zone)}")
    for each in answer.because:
        echo(f"  {each.message}")
    for word, fire in (("before", answer.before), ("after", answer.after)):
        if fire is not None:
            echo(f"  nearest fire {word}: {local_text(fire, zone)}")
    for run in answer.runs:
        echo(f"  execution {id_text(run.execution)}")
