"""`pause` and `resume`: stop the fires of all requests, or of some, for a while."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import click

from runner.access.places import Places
from runner.cli.arguments.selection import Selection
from runner.cli.commands.control.buttons import carry_out, targets_of
from runner.cli.options import (
    complete_requests,
    place_options,
    selection_options,
    shared_jobs_option,
)
from runner.commands import LONGEST_REASON, Command, CommandKind
from runner.errors import UsageError
from runner.timing.typed_times import read_end

_names = click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_requests)


@click.command("pause")
@_names
@selection_options
@click.option("--until", metavar="T", help="Resume by itself at T.  [default: `runner resume`]")
@click.option("--reason", metavar="TEXT", required=True, help="Why; shown until the resume.")
@shared_jobs_option
@place_options
def pause_command(
    selection: Selection,
    until: str | None,
    reason: str,
    allow_shared_jobs: bool,
    places: Places,
) -> None:
    """Stop the fires of all requests, or of the selected ones, until a resume.

    Running executions, their retries, groups and follow-ups go on, and `exec` works. A
    pause survives restarts, and it holds requests that are added later. At the resume
    the fires of the pause are recorded as skipped, `misfire` says whether any of them
    runs, and one-time requests run.

    \b
    Examples:
      runner pause --reason "the database moves"
      runner pause nightly-posting --until 18:00 --reason "month end"
      runner pause --label team=finance --reason "month end"
    """
    if not reason.strip():
        raise UsageError("--reason is empty; it is what others see during the pause")
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason is longer than {LONGEST_REASON} characters")
    end = None if until is None else read_end(until, places.zone, datetime.now(UTC))
    command = Command(kind=CommandKind.PAUSE, reason=reason, until=end)
    _for_selected(command, selection, allow_shared_jobs, places)


@click.command("resume")
@_names
@selection_options
@shared_jobs_option
@place_options
def resume_command(selection: Selection, allow_shared_jobs: bool, places: Places) -> None:
    """End the pauses of all requests, or of the selected ones.

    A pause of several requests goes on for the others.
    """
    _for_selected(Command(kind=CommandKind.RESUME), selection, allow_shared_jobs, places)


def _for_selected(
    command: Command, selection: Selection, allow_shared_jobs: bool, places: Places
) -> None:
    """Carry out a command for the selected requests; for all if nothing is selected."""
    targets = () if selection.is_empty else targets_of(command.kind, selection, places)
    if targets or selection.is_empty:
        command = replace(command, targets=targets, is_for_all=selection.is_empty)
        carry_out(command, allow_shared_jobs, places)
