"""Checks whether the runner is notified of edits. Reads /proc and asks inotify."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from runner.examination.doctor_findings import DoctorFinding, advice, good, warning
from runner.examination.file_systems import MOUNTS, REMOTE, file_system_of
from runner.examination.subject import Subject
from runner.requests.catalog.catalog_reader import exhausted
from runner.requests.catalog.folder.listing import Absence, list_files
from runner.system.regular_files import real_path
from runner.values import counted
from runner.watching.watched_links import unwatched


def notification_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether edits arrive as notifications, or only by polling."""
    if subject.listing is None:
        return
    kind = file_system_of(subject.jobs, MOUNTS.read_text())
    if kind in REMOTE or kind.startswith("fuse"):
        message = f"{subject.jobs} is on {kind}, which does not notify of changes made elsewhere"
        right = "nothing to do: polling finds edits some seconds later"
        yield advice("notification", message, right)
        return
    folders = sum(1 for _ in os.walk(subject.jobs))
    yield _exhausted_finding(subject, folders) or _unnoticed_finding(subject, kind, folders)


def _exhausted_finding(subject: Subject, folders: int) -> DoctorFinding | None:
    """Return the finding about a limit of inotify that is reached; None if none is."""
    if subject.pid is None and not _can_watch():
        message = "the inotify instances of this user are used up"
        return warning("notification", message, "raise fs.inotify.max_user_instances with sysctl")
    most = _number("fs/inotify/max_user_watches")
    if most is None or folders < most:
        return None
    message = f"{folders} folders need a watch, but fs.inotify.max_user_watches is {most}"
    right = f"sysctl fs.inotify.max_user_watches={max(2 * folders, 65536)}"
    return warning("notification", message, right)


def _unnoticed_finding(subject: Subject, kind: str, folders: int) -> DoctorFinding:
    """Return the finding about edits that no notification reports; a good one without any."""
    if kind == "overlay":
        message = (
            f"{subject.jobs} is in a container's image: "
            "the system does not report edits from outside the container"
        )
        right = "mount the folder as a volume if it is edited from outside"
        return advice("notification", message, right)
    if places := _unwatched(subject.jobs):
        message = (
            "links lead to more folders than the runner watches: "
            f"only polling finds edits in {places[0]}{_and_more(places)}"
        )
        right = "nothing to do if a delay of some seconds is acceptable; else use fewer links"
        return advice("notification", message, right)
    message = f"the system reports edits ({counted(folders, 'folder')} on {kind or 'disk'})"
    return good("notification", message)


def _unwatched(jobs: Path) -> list[str]:
    listing = exhausted(list_files(jobs, {}))
    if isinstance(listing, Absence):
        return []
    return exhausted(
        unwatched(real_path(jobs), (f"{jobs.absolute()}/{link}" for link in listing.links))
    )


def _and_more(places: list[str]) -> str:
    return f" (and {counted(len(places) - 1, 'other place')})" if len(places) > 1 else ""


def _number(name: str) -> int | None:
    try:
        return int((Path("/proc/sys") / name).read_text())
    except (OSError, ValueError):
        return None


def _can_watch() -> bool:
    """Return whether the user may create another inotify instance, by creating one."""
    descriptor = ctypes.CDLL(None).inotify_init1(os.O_CLOEXEC) if sys.platform == "linux" else -1
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0 or sys.platform != "linux"
