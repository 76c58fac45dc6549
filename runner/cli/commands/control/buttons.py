"""`schedule`, `unschedule`, `reschedule`, `kill`, `reload`: the commands that control a runner."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runner.access.places import Places
from runner.cli.arguments.selection import Selection
from runner.cli.options import (
    complete_requests,
    complete_running,
    place_options,
    selection_options,
    shared_jobs_option,
)
from runner.cli.output.tables import echo
from runner.commands import Answer, Command, CommandKind
from runner.errors import Problem, RefusedError, UsageError
from runner.lifecycle import RequestStatus
from runner.values import listed

_MOST_SHOWN = 20
_names = click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_requests)
_FOR_EXAMPLE = "a selection such as --label team=finance"
_all = click.option("--all", "is_for_all", is_flag=True, help="All requests.")


@click.command("schedule")
@_names
@selection_options
@_all
@shared_jobs_option
@place_options
def schedule_command(
    selection: Selection, is_for_all: bool, allow_shared_jobs: bool, places: Places
) -> None:
    """Press Schedule: let unscheduled requests fire again from now on.

    The command's effect lasts until the file's own `scheduled` changes. While the two
    differ, `runner ls` shows the request as drifted.

    \b
    Examples:
      runner schedule nightly-posting
      runner schedule --label team=finance --status unscheduled
    """
    _press(CommandKind.SCHEDULE, selection, is_for_all, allow_shared_jobs, places)


@click.command("unschedule")
@_names
@selection_options
@_all
@shared_jobs_option
@place_options
def unschedule_command(
    selection: Selection, is_for_all: bool, allow_shared_jobs: bool, places: Places
) -> None:
    """Press Unschedule: stop future fires. Running executions continue. `runner pause`
    stops the fires of all requests for a while.

    The command's effect lasts until the file's own `scheduled` changes. While the two
    differ, `runner ls` shows the request as drifted.

    \b
    Examples:
      runner unschedule nightly-posting
      runner unschedule 'nightly-*' --owner finance
    """
    _press(CommandKind.UNSCHEDULE, selection, is_for_all, allow_shared_jobs, places)


@click.command("reschedule")
@_names
@selection_options
@_all
@shared_jobs_option
@place_options
def reschedule_command(
    selection: Selection, is_for_all: bool, allow_shared_jobs: bool, places: Places
) -> None:
    """Press Reschedule: run a one-time request again, or restart a schedule from now,
    with all its repetitions.

    \b
    Examples:
      runner reschedule nightly-posting
      runner reschedule --label team=finance --status complete
    """
    _press(CommandKind.RESCHEDULE, selection, is_for_all, allow_shared_jobs, places)


@click.command("kill")
@click.argument("names", metavar="[EXECUTION|NAME]...", nargs=-1, shell_complete=complete_running)
@selection_options
@place_options
def kill_command(selection: Selection, places: Places) -> None:
    """Stop running executions: send the stop signal to the whole process tree, then
    SIGKILL after the grace period.

    A request's name means all its executions; a member's name means that member of a
    group. An execution's id may be shortened to any unambiguous part of at least 4
    characters.

    \b
    Examples:
      runner kill nightly-posting
      runner kill 'month-end/*' --label team=finance
    """
    from runner.access.reaching import asked

    if selection.is_empty:
        raise UsageError(f"give the names or ids of executions, or {_FOR_EXAMPLE}")
    targets = selection.names
    if not selection.is_by_name:
        targets = _running(selection, places)
    _finish(asked(places, Command(kind=CommandKind.KILL, targets=targets)))


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
    from runner.access.reaching import asked
    from runner.cli.output.problems import problem_lines

    answer = asked(places, Command(kind=CommandKind.RELOAD, allow_empty=allow_empty))
    problems = [Problem(**each) for each in answer.data.get("problems", ())]
    for problem in problems:
        for line in problem_lines(problem):
            echo(line, err=True)
    if (more := answer.data.get("problems_count", 0) - len(problems)) > 0:
        echo(f"and {more} more; `runner validate` shows all", err=True)
    _finish(answer)


def _press(
    kind: CommandKind,
    selection: Selection,
    is_for_all: bool,
    allow_shared_jobs: bool,
    places: Places,
) -> None:
    if selection.is_empty and not is_for_all:
        raise UsageError(f"give the names of requests, {_FOR_EXAMPLE}, or --all")
    if is_for_all and not selection.is_empty:
        raise UsageError("--all means every request: give it alone, without names and conditions")
    targets = () if is_for_all else targets_of(kind, selection, places)
    if targets or is_for_all:
        command = Command(kind=kind, targets=targets, is_for_all=is_for_all)
        carry_out(command, allow_shared_jobs, places)


def carry_out(command: Command, allow_shared_jobs: bool, places: Places) -> None:
    """Let the runner carry out a command, or do it here if none is running; print the answer."""
    _finish(answer_to(command, allow_shared_jobs, places))


def answer_to(command: Command, allow_shared_jobs: bool, places: Places) -> Answer:
    """Return the answer of the runner, or of this program if none is running."""
    from runner.access.reaching import reach
    from runner.cli.access.embedded import embedded

    def alone() -> Answer:
        with embedded(places, allow_shared_jobs=allow_shared_jobs) as runner:
            return runner.carry_out(command)

    return reach(places, command, served=lambda answer: answer, alone=alone)


def targets_of(kind: CommandKind, selection: Selection, places: Places) -> tuple[str, ...]:
    """Return the names of the requests whose button is pressed, after printing them.

    A definition has no timing and no button, so only its own name selects it.
    """
    if selection.is_by_name:
        return selection.names
    from runner.access.loading import load_served
    from runner.access.ownership import require_own
    from runner.cli.access.selecting import selected_views

    require_own(places)
    chosen = selected_views(load_served(places), selection)
    targets = tuple(
        view.name
        for view in chosen
        if view.name in selection.names or (view.name and view.status != RequestStatus.DEFINITION)
    )
    if chosen and not targets:
        raise RefusedError("every selected request is a definition, without a timing")
    if targets:
        say_chosen(targets, kind)
    return targets


def _running(selection: Selection, places: Places) -> tuple[str, ...]:
    """Return the names of what runs among the selected requests, after printing them.

    Raises RefusedError if none of them runs.
    """
    from runner.access.loading import load_served
    from runner.access.reaching import require_runner
    from runner.cli.access.selecting import running_names

    require_runner(places)
    names = running_names(load_served(places), selection)
    if not names:
        raise RefusedError("no selected request is running")
    say_chosen(names, CommandKind.KILL)
    return names


def say_chosen(names: Sequence[str], kind: CommandKind) -> None:
    """Print to stderr, before acting, what a selection has chosen."""
    echo(f"selected {len(names)} to {kind}: {listed(names, _MOST_SHOWN)}", err=True)


def _finish(answer: Answer) -> None:
    for line in answer.lines:
        echo(line)
    if not answer.is_done:
        raise SystemExit(1)
