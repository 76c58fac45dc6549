"""`doctor`: checks of everything that a runner depends on, with advice."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import click

from runner.access.places import Places
from runner.cli.commands.control.start import max_running_option
from runner.cli.options import output_option, reading_options
from runner.cli.output.tables import echo, json_line, style
from runner.examination import examine
from runner.examination.doctor_findings import DoctorFinding, Level
from runner.examination.subject import Subject
from runner.system.zone_data import system_zone
from runner.values import counted

_COLOURS = {Level.OK: "green", Level.ADVICE: "cyan", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command("doctor")
@max_running_option
@output_option
@reading_options
def doctor_command(max_running: int | None, output: str, places: Places) -> None:
    """Check everything that a runner depends on, and report each problem and how to fix
    it.

    The checks cover who else may write the requests, the store or the log; the clock,
    the zone data, change notification, the variables of receivers, disk space and limits;
    and whether the store and the log are intact. The command changes nothing. Run it as
    the runner's user. The exit code is 1 if there is a problem.

    \b
    Examples:
      runner doctor
      sudo -u runner runner doctor --jobs /etc/runner/jobs.d --state /var/lib/runner
      runner doctor --output json | jq 'select(.level != "ok")'
    """
    subject = Subject(
        jobs=places.jobs,
        state=places.state,
        url=places.store.url,
        monitor_log=places.monitor_log,
        zone=places.given_zone or system_zone(),
        max_running=max_running or places.settings.max_running,
        output_bounds=places.settings.outputs,
        alerts=places.settings.alerts,
    )
    found: Counter[Level] = Counter()
    for finding in examine(subject):
        found[finding.level] += 1
        _print(finding, output)
    if output != "json":
        echo(_verdict(found), err=True)
    if found[Level.PROBLEM]:
        raise SystemExit(1)


def _print(finding: DoctorFinding, output: str) -> None:
    if output == "json":
        echo(json_line(asdict(finding)))
        return
    level = style(f"{finding.level:<8}", fg=_COLOURS[finding.level])
    echo(f"{level} {finding.check:<13} {finding.message}")
    if finding.suggestion:
        echo(f"{'':22} → {finding.suggestion}")


def _verdict(found: Counter[Level]) -> str:
    words = {Level.PROBLEM: "problem", Level.WARNING: "warning"}
    parts = [counted(found[level], word) for level, word in words.items() if found[level]]
    return ", ".join(parts) or "no problems found"
