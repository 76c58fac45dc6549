"""Checks of the machine: versions, limits, free space and cgroups. Reads /proc and asks the
system.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from runner import __version__
from runner.examination.doctor_findings import DoctorFinding, advice, good, problem, warning
from runner.examination.file_systems import MOUNTS, REMOTE, file_system_of
from runner.examination.subject import Subject
from runner.execution.trees.cgroups import folder_of
from runner.installation import summary
from runner.store.sqlite.checkup import sqlite_version

_OF_ITS_OWN, _OF_AN_EXECUTION = 64, 4  # open files of the runner, upper estimates
_ROOMY_FILES = 4096
_LITTLE_BYTES, _FEW_INODES = 100 << 20, 1000
_NONE_BYTES = 1 << 20  # a disk with less counts as full


def version_findings(_subject: Subject) -> Iterator[DoctorFinding]:
    """Report the versions of Python, SQLite and the system, and how Runner was installed."""
    python = f"Python {platform.python_version()}, SQLite {sqlite_version()}"
    yield good("versions", f"{python}, {platform.system()} {platform.release()}")
    yield good("versions", f"Runner {__version__} is {summary()}")


def limit_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the limit of open files allows the permitted number of concurrent
    executions.
    """
    limit = _open_files(subject.pid)
    room = (limit - _OF_ITS_OWN) // _OF_AN_EXECUTION
    if subject.max_running is not None and room < subject.max_running:
        needed = _OF_ITS_OWN + _OF_AN_EXECUTION * subject.max_running
        message = (
            f"{limit} open files suffice for about {room} concurrent executions, "
            "but --max-running allows more"
        )
        yield warning("limits", message, f"ulimit -n {needed}, or LimitNOFILE={needed} in the unit")
    elif subject.max_running is None and limit < _ROOMY_FILES:
        message = (
            f"{limit} open files suffice for about {room} concurrent executions, "
            "and nothing limits their number"
        )
        yield advice(
            "limits", message, f"set --max-running, or LimitNOFILE={_ROOMY_FILES * 4} in the unit"
        )
    else:
        yield good("limits", f"{limit} open files: room for about {room} concurrent executions")


def room_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether there is space for the store, the outputs and the log."""
    places = {
        "state": _existing(subject.state),
        "monitor log": _existing(subject.monitor_log.parent),
    }
    for place in dict.fromkeys(places.values()):
        names = " and ".join(name for name, each in places.items() if each == place)
        yield _room(names, place)
    kind = file_system_of(places["state"], MOUNTS.read_text())
    if kind in REMOTE:
        message = (
            f"the state folder is on {kind}, where SQLite's shared memory and locks do not work"
        )
        yield problem("room", message, "choose a folder on a local disk with --state")


def cgroup_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the live runner has a delegated cgroup."""
    if subject.pid is None:
        return
    own = folder_of(Path(f"/proc/{subject.pid}/cgroup").read_text(), MOUNTS.read_text())
    # The runner moves itself into a child cgroup "runner": cgroups(7) forbids processes in
    # a cgroup that has controllers enabled for its children.
    if own is not None and own.name == "runner" and (own / "cgroup.procs").exists():
        given = (own.parent / "cgroup.subtree_control").read_text().split()
        yield good(
            "cgroup",
            f"each execution has a cgroup of its own (limits: {', '.join(given) or 'none'})",
        )
    else:
        message = (
            "no cgroup is delegated to the runner: limits.processes is refused, "
            "and a kill signals each process of a tree in turn"
        )
        yield advice(
            "cgroup",
            message,
            "set Delegate=yes in the unit; in a container, mount cgroup v2 writable",
        )


def _room(names: str, place: Path) -> DoctorFinding:
    """Return the finding about the free space and inodes of a folder's file system."""
    status = os.statvfs(place)
    free, has_inodes = status.f_bavail * status.f_frsize, status.f_files > 0
    message = f"{free >> 20} MiB" + (f" and {status.f_favail} inodes" if has_inodes else "")
    if status.f_flag & os.ST_RDONLY:
        return problem(
            "room",
            f"the disk of {names} ({place}) is mounted read-only",
            "mount it read-write: nothing fires without a store",
        )
    if free < _NONE_BYTES or (has_inodes and status.f_favail == 0):
        return problem(
            "room",
            f"the disk of {names} ({place}) is full",
            "free some space: nothing fires without a store",
        )
    if free < _LITTLE_BYTES or (has_inodes and status.f_favail < _FEW_INODES):
        return warning(
            "room",
            f"only {message} are free for {names} ({place})",
            "free some space, or choose another place",
        )
    return good("room", f"{message} are free for {names}")


def _existing(path: Path) -> Path:
    """Return the nearest existing ancestor of `path`, or `path` itself."""
    return next(each for each in (path, *path.parents) if each.exists())


def _open_files(pid: int | None) -> int:
    """Return the soft limit of open files of a process, or of this one for None."""
    text = Path(f"/proc/{pid or 'self'}/limits").read_text()
    fields = next(line for line in text.splitlines() if line.startswith("Max open files")).split()
    return int(fields[3]) if fields[3].isdecimal() else sys.maxsize
