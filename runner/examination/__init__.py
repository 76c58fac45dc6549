"""What `runner doctor` checks: everything that a runner depends on. Reads whatever is
there, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runner.errors import RunnerError
from runner.examination import clock, machine, notification, permissions, soundness
from runner.examination.findings import Finding, problem
from runner.examination.subject import Subject

_CHECKS: tuple[tuple[str, Callable[[Subject], Iterator[Finding]]], ...] = (
    ("versions", machine.version_findings),
    ("runner", soundness.runner_findings),
    ("user", permissions.user_findings),
    ("jobs", permissions.jobs_findings),
    ("requests", soundness.request_findings),
    ("notification", notification.notification_findings),
    ("zone", clock.zone_findings),
    ("zone", clock.running_zone_findings),
    ("clock", clock.clock_findings),
    ("state", permissions.state_findings),
    ("store", soundness.store_findings),
    ("log", permissions.log_findings),
    ("log", soundness.line_findings),
    ("rotation", soundness.rotation_findings),
    ("room", machine.room_findings),
    ("limits", machine.limit_findings),
    ("cgroup", machine.cgroup_findings),
)


def examine(subject: Subject) -> Iterator[Finding]:
    """Run all checks, one after another. A check that cannot read what it needs yields
    a problem.
    """
    for name, check in _CHECKS:
        try:
            yield from check(subject)
        except (OSError, RunnerError) as error:
            yield problem(
                name,
                f"the check failed: {_reason(error)}",
                "run doctor as the user that the runner runs as",
            )


def _reason(error: OSError | RunnerError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{error.filename}: {error.strerror.lower()}"
            if error.filename
            else error.strerror.lower()
        )
    return str(error)
