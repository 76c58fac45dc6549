"""Checks the variables that the receivers in runner.yaml name. Reads environments."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping

from runner.examination.doctor_findings import DoctorFinding, advice, good, problem, warning
from runner.examination.subject import Subject
from runner.execution.child.program import SpawnError
from runner.execution.environment_files import read
from runner.execution.trees import proc
from runner.requests.receivers import AlertSettings
from runner.values import counted, listed

_REMEDY = "set it where the runner starts, or in the `environment_file` of runner.yaml"


def receiver_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report the variables of receivers that are not set where the runner runs.

    Without a live runner, the present environment stands for its own.
    """
    users = _users_of_variables(subject.alerts)
    if not users:
        return
    try:
        file = subject.alerts.environment_file
        supplied = read(str(file)) if file is not None else {}
    except SpawnError as error:
        yield problem("receivers", str(error), "correct `environment_file` in runner.yaml")
        return
    missing = [name for name in users if not supplied.get(name)]
    environment, whose = _environment_of(subject.pid)
    if environment is None:
        if missing:
            message = f"{whose} cannot be read, which should have {', '.join(sorted(missing))}"
            yield advice("receivers", message, "run doctor as the runner's user")
        return
    for name in sorted(name for name in missing if not environment.get(name)):
        message = f"{name} is not set in {whose}; needed by {listed(users[name], 3)}"
        yield warning("receivers", message, _REMEDY)
    if all(supplied.get(name) or environment.get(name) for name in users):
        yield good("receivers", f"{counted(len(users), 'variable')} of receivers, all set")


def _users_of_variables(alerts: AlertSettings) -> Mapping[str, list[str]]:
    """Return who needs each variable, in words."""
    found: dict[str, list[str]] = defaultdict(list)
    whole = {f"receiver {name}": way for name, way in alerts.receivers.items()}
    for words, target in {**whole, "the runner's ping": alerts.ping}.items():
        for key in ("url_variable", "user_variable", "password_variable"):
            if (name := getattr(target, key, None)) is not None:
                found[name].append(words)
    return found


def _environment_of(pid: int | None) -> tuple[Mapping[str, str] | None, str]:
    """Return the environment of the runner, and whose it is in words; None if unreadable."""
    if pid is None:
        return os.environ, "the environment of this command (no runner is running)"
    whose = f"the environment of runner {pid}"
    raw = proc.environment_of(pid)
    if not raw:
        return None, whose
    pairs = (entry.partition("=") for entry in os.fsdecode(raw).split("\0"))
    return {name: value for name, _, value in pairs}, whose
