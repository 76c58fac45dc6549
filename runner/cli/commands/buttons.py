"""`schedule`, `unschedule`, `reschedule`, `kill`, `reload`: what a person asks of a runner."""

from __future__ import annotations

import click

from runner.cli.options import complete_requests, complete_running, place_options
from runner.cli.output.tables import echo
from runner.cli.places import Places
from runner.commands import Answer, Command, Kind
from runner.errors import Problem, UsageError

_names = click.argument("names", metavar="NAME...", nargs=-1, shell_complete=complete_requests)
_all = click.option("--all", "is_for_all", is_flag=True, help="All requests.")


@click.command("schedule")
@_names
@_all
@place_options
def schedule_command(names: tuple[str, ...], is_for_all: bool, places: Places) -> None:
    """Press Schedule: fire again from now on what was unscheduled.

    Kept until the file's own `scheduled` changes; shown as drift if it differs from it.
    """
    _press(Kind.SCHEDULE, names, is_for_all, places)


@click.command("unschedule")
@_names
@_all
@place_options
def unschedule_command(names: tuple[str, ...], is_for_all: bool, places: Places) -> None:
    """Press Unschedule: stop future fires; what runs goes on. `--all` pauses everything.

    Kept until the file's own `scheduled` changes; shown as drift if it differs from it.
    """
    _press(Kind.UNSCHEDULE, names, is_for_all, places)


@click.command("reschedule")
@_names
@_all
@place_options
def reschedule_command(names: tuple[str, ...], is_for_all: bool, places: Places) -> None:
    """Press Reschedule: run a one-time request again; plan a schedule from now, its
    repetitions counted afresh.
    """
    _press(Kind.RESCHEDULE, names, is_for_all, places)


@click.command("kill")
@click.argument(
    "targets", metavar="EXECUTION|NAME...", nargs=-1, required=True, shell_complete=complete_running
)
@place_options
def kill_command(targets: tuple[str, ...], places: Places) -> None:
    """Stop what runs: its stop signal to the whole process tree, after its grace KILL.

    A request's name means all its executions, a member's name that member of a group.
    The id of an execution may be shortened to any part that is unambiguous, of 4
    characters or more.
    """
    from runner.cli.reaching import asked

    _finish(asked(places, Command(kind=Kind.KILL, targets=targets)))


@click.command("reload")
@click.option(
    "--allow-empty", is_flag=True, help="Remove all requests if the folder is empty or gone."
)
@place_options
def reload_command(allow_empty: bool, places: Places) -> None:
    """Have the runner read its jobs folder now, and say what changed and what is wrong in it.

    Exit code 1 if a file is wrong; the last good version of its requests goes on.
    """
    from runner.cli.output.problems import problem_lines
    from runner.cli.reaching import asked

    answer = asked(places, Command(kind=Kind.RELOAD, allow_empty=allow_empty))
    problems = [Problem(**each) for each in answer.data.get("problems", ())]
    for problem in problems:
        for line in problem_lines(problem):
            echo(line, err=True)
    if (more := answer.data.get("problems_count", 0) - len(problems)) > 0:
        echo(f"and {more} more; `runner validate` shows all", err=True)
    _finish(answer)


def _press(kind: Kind, names: tuple[str, ...], is_for_all: bool, places: Places) -> None:
    from runner.cli.embedded import embedded
    from runner.cli.reaching import reach

    if bool(names) == is_for_all:
        raise UsageError("name requests, or say --all")
    command = Command(kind=kind, targets=names, is_for_all=is_for_all)

    def alone() -> Answer:
        with embedded(places) as runner:
            return runner.obey(command)

    _finish(reach(places, command, served=lambda answer: answer, alone=alone))


def _finish(answer: Answer) -> None:
    for line in answer.lines:
        echo(line)
    if not answer.is_done:
        raise SystemExit(1)
