"""What `runner doctor` checks: everything that a runner depends on. Reads whatever is
there, and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from runner.errors import RunnerError
from runner.examination import (
    clock_checks,
    content_checks,
    fleet_checks,
    machine_checks,
    notification_checks,
    permission_checks,
    receiver_checks,
)
from runner.examination.doctor_findings import DoctorFinding, problem
from runner.examination.subject import Subject
from runner.system.background_calls import BackgroundThread, Pending
from runner.system.blocked_calls import BlockedCall

_CHECKS: tuple[tuple[str, Callable[[Subject], Iterator[DoctorFinding]]], ...] = (
    ("versions", machine_checks.version_findings),
    ("runner", content_checks.runner_findings),
    ("fleet", fleet_checks.fleet_findings),
    ("user", permission_checks.user_findings),
    ("jobs", permission_checks.jobs_findings),
    ("requests", content_checks.request_findings),
    ("notification", notification_checks.notification_findings),
    ("receivers", receiver_checks.receiver_findings),
    ("zone", clock_checks.zone_findings),
    ("zone", clock_checks.running_zone_findings),
    ("clock", clock_checks.clock_findings),
    ("state", permission_checks.state_findings),
    ("store", content_checks.store_findings),
    ("log", permission_checks.log_findings),
    ("log", content_checks.line_findings),
    ("rotation", content_checks.rotation_findings),
    ("outputs", content_checks.output_findings),
    ("room", machine_checks.room_findings),
    ("limits", machine_checks.limit_findings),
    ("cgroup", machine_checks.cgroup_findings),
)


_PATIENCE_S, _LATER_PATIENCE_S = 3.0, 0.5
"""How long a check may be in one call on a file; less once a call has not returned."""
_LOOK_EVERY_S = 0.1
_MOUNT_WAY_OUT = (
    "check its mount (findmnt -T) and its server or disk; a runner would wait for it too"
)


def examine(subject: Subject) -> Iterator[DoctorFinding]:
    """Run all checks, one after another. A check that cannot read what it needs yields
    a problem, and so does one that waits for a file or folder that does not answer.
    """
    background, patience_s = BackgroundThread("examination"), _PATIENCE_S
    try:
        for name, check in _CHECKS:
            found: list[DoctorFinding] = []
            pending = background.begin(partial(_collect, check, subject, found))
            silent = _silent_call(pending, patience_s)
            yield from found
            if silent is not None:
                patience_s = _LATER_PATIENCE_S
                yield problem(name, f"{silent.path} does not answer", _MOUNT_WAY_OUT)
            elif (error := _error_of(pending)) is not None:
                yield _failed(name, error)
    finally:
        background.close()


def _collect(
    check: Callable[[Subject], Iterator[DoctorFinding]],
    subject: Subject,
    found: list[DoctorFinding],
) -> None:
    found.extend(check(subject))  # what comes before a call that hangs is kept


def _silent_call(pending: Pending[None], patience_s: float) -> BlockedCall | None:
    """Wait for a check; return the call in which it has been for `patience_s` seconds."""
    first, since_s = None, 0.0
    while not pending.wait(_LOOK_EVERY_S):
        call, now_s = pending.blocked_call(), time.monotonic()
        if first is None or not first.is_still(call):
            first, since_s = call, now_s
        elif now_s - since_s >= patience_s:
            return call
    return None


def _error_of(pending: Pending[None]) -> OSError | RunnerError | None:
    try:
        pending.result()
    except (OSError, RunnerError) as error:
        return error
    return None


def _failed(name: str, error: OSError | RunnerError) -> DoctorFinding:
    """Return the finding for a check that failed. An error may contain its own remedy."""
    what, _, remedy = _reason(error).partition("; ")
    return problem(
        name,
        f"the check failed: {what}",
        remedy or "run doctor as the runner's user",
    )


def _reason(error: OSError | RunnerError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{error.filename}: {error.strerror.lower()}"
            if error.filename
            else error.strerror.lower()
        )
    return str(error)
