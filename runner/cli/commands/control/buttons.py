"""`schedule`, `unschedule`, `reschedule`, `kill`, `reload`: the commands that control a runner."""

from __future__ import annotations

import click

from runner.cli.access.places import Places
from runner.cli.options import (
    complete_requests,
    complete_running,
    place_options,
    shared_jobs_option,
)
from runner.cli.output.tables import echo
from runner.commands import Answer, Command, Kind
from runner.errors import Problem, UsageError

_names = click.argument("names", metavar="NAME...", nargs=-1, shell_complete=complete_requests)
_all = click.option("--all", "is_for_all", is_flag=True, help="All requests.")


@click.command("schedule")
@_names
@_all
@shared_jobs_option
@place_options
def schedule_command(
    names: tuple[str, ...], is_for_all: bool, allow_shared_jobs: bool, places: Places
) -> None:
    """Press Schedule: let unscheduled requests fire again from now on.

    The command's effect lasts until the file's own `scheduled` changes. While the two
    differ, `runner ls` shows the request as drifted.
    """
    _press(Kind.SCHEDULE, names, is_for_all, allow_shared_jobs, places)


@click.command("unschedule")
@_names
@_all
@shared_jobs_option
@place_options
def unschedule_command(
    names: tuple[str, ...], is_for_all: bool, allow_shared_jobs: bool, places: Places
) -> None:
    """Press Unschedule: stop future fires. Running executions continue. `--all` pauses
    everything.

    The command's effect lasts until the file's own `scheduled` changes. While the two
    differ, `runner ls` shows the request as drifted.
    """
    _press(Kind.UNSCHEDULE, names, is_for_all, allow_shared_jobs, places)


@click.command("reschedule")
@_names
@_all
@shared_jobs_option
@place_options
def reschedule_command(
    names: tuple[str, ...], is_for_all: bool, allow_shared_jobs: bool, places: Places
) -> None:
    """Press Reschedule: run a one-time request again, or restart a schedule from now,
    with all its repetitions.
    """
    _press(Kind.RESCHEDULE, names, is_for_all, allow_shared_jobs, places)


@click.command("kill")
@click.argument(
    "targets", metavar="EXECUTION|NAME...", nargs=-1, required=True, shell_complete=complete_running
)
@place_options
def kill_command(targets: tuple[str, ...], places: Places) -> None:
    """Stop running executions: send the stop signal to the whole process tree, then
    SIGKILL after the grace period.

    A request's name means all its executions; a member's name means that member of a
    group. An execution's id may be shortened to any unambiguous part of at least 4
    characters.
    """
    from runner.cli.access.reaching import asked

    _finish(asked(places, Command(kind=Kind.KILL, targets=targets)))


@click.command("reload")
@click.option(
    "--allow-empty",
    is_flag=True,
    help="Accept an empty or missing folder, which removes all requests.",
)
@place_options
def reload_command(allow_empty: bool, places: Places) -> None:
    """Make the runner read its jobs folder now, and report what changed and what is
    invalid.

    The exit code is 1 if a file is invalid. The last good version of its requests stays
    active.
    """
    from runner.cli.access.reaching import asked
    from runner.cli.output.problems import problem_lines

    answer = asked(places, Command(kind=Kind.RELOAD, allow_empty=allow_empty))
    problems = [Problem(**each) for each in answer.data.get("problems", ())]
    for problem in problems:
        for line in problem_lines(problem):
            echo(line, err=True)
    if (more := answer.data.get("problems_count", 0) - len(problems)) > 0:
        echo(f"and {more} more; `runner validate` shows all", err=True)
    _finish(answer)


def _press(
    kind: Kind, names: tuple[str, ...], is_for_all: bool, allow_shared_jobs: bool, places: Places
) -> None:
    from runner.cli.access.embedded import embedded
    from runner.cli.access.reaching import reach

    if bool(names) == is_for_all:
        raise UsageError("give the names of requests, or --all, but not both")
    command = Command(kind=kind, targets=names, is_for_all=is_for_all)

    def alone() -> Answer:
        with embedded(places, allow_shared_jobs=allow_shared_jobs) as runner:
            return runner.carry_out(command)

    _finish(reach(places, command, served=lambda answer: answer, alone=alone))


def _finish(answer: Answer) -> None:
    for line in answer.lines:
        echo(line)
    if not answer.is_done:
        raise SystemExit(1)
