"""Checks of the machine: clock, zone data, change notification, limits and free space.
Reads /proc and asks the system.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import TZPATH

from runner import RELEASED
from runner.errors import RuleError
from runner.examination.findings import Finding, advice, good, problem, warning
from runner.examination.subject import Subject
from runner.execution.trees.cgroups import folder_of
from runner.monitor.reading import Filter, newest
from runner.monitor.records import Event
from runner.requests.catalog.listing import Absence, listed
from runner.requests.catalog.reader import exhausted
from runner.service.clocks.clock_watch import wrong_clock_words
from runner.service.clocks.zone_change import ZONE, zone_data_of
from runner.store.opening import read_store
from runner.store.sqlite.checkup import sqlite_version
from runner.system.regular_files import real_path
from runner.system.zone_data import read_zone
from runner.timing.zones import zone_named
from runner.values import clock_text, neutral
from runner.watching.watched_links import unwatched

_STA_UNSYNC, _TIME_ERROR = 0x40, 5  # adjtimex(2)
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_STEPS_FOR, _STEPS_READ = timedelta(days=7), 1000  # clock steps in the log
_OF_ITS_OWN, _OF_AN_EXECUTION = 64, 4  # open files of the runner, upper estimates
_ROOMY_FILES = 4096
_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "ceph", "lustre", "afs"}
)
_LITTLE_BYTES, _FEW_INODES = 100 << 20, 1000
_NONE_BYTES = 1 << 20  # a disk with less counts as full


class _Timex(ctypes.Structure):
    """The first fields of `struct timex` (adjtimex(2)). `rest` is larger than the
    fields that follow.
    """

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def version_findings(_subject: Subject) -> Iterator[Finding]:
    """Report the versions of Python, SQLite and the system."""
    python = f"Python {platform.python_version()}, SQLite {sqlite_version()}"
    yield good("versions", f"{python}, {platform.system()} {platform.release()}")


def zone_findings(subject: Subject) -> Iterator[Finding]:
    """Report whether the zone for times without an offset exists, and how old the zone data is."""
    try:
        zone_named(subject.zone)
    except RuleError as error:
        yield problem(
            "zone", str(error), error.suggestion or "--timezone names one, such as Europe/Madrid"
        )
        return
    system, package = (
        system_tzdata(),
        _version_in(files("tzdata").joinpath("zoneinfo", "tzdata.zi").read_text()),
    )
    if system is None:
        yield good(
            "zone", f"{subject.zone}, with the zone data {package} of Python's tzdata package"
        )
    elif system < package:
        message = (
            f"the system's zone data is {system}, older than {package} of Python's tzdata package"
        )
        yield advice(
            "zone", message, "update the system's tzdata, or set PYTHONTZPATH= to use the package's"
        )
    else:
        yield good("zone", f"{subject.zone}, with the system's zone data {system}")


def running_zone_findings(subject: Subject) -> Iterator[Finding]:
    """Report a live runner whose zone or zone data differs from what a runner started
    now would use.
    """
    if subject.pid is None:
        return
    with closing(read_store(subject.state)) as reader:
        meta = reader.meta()
    zone = meta.get(ZONE, subject.zone)
    if zone != subject.zone:
        message = f"the runner uses the zone {zone}, but the zone here is {subject.zone}"
        yield advice(
            "zone",
            message,
            "nothing to do: commands use the runner's zone; a restart from here changes it",
        )
    old = [key for key, raw in zone_data_of(meta).items() if read_zone(key) not in (None, raw)]
    if old:
        message = f"the runner's zone data for {', '.join(old)} is not that of the disk"
        right = (
            "run `runner reload`; if this stays, the runner has another PYTHONTZPATH: restart it"
        )
        yield warning("zone", message, right)


def system_tzdata() -> str | None:
    """Return the version of the zone data that Python finds first, such as 2025b; None
    if no zone data there states its version.
    """
    for folder in map(Path, TZPATH):
        try:
            return _version_in((folder / "tzdata.zi").read_text())
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _version_in(rules: str) -> str:
    return neutral(rules.partition("\n")[0].removeprefix("# version "))


def clock_findings(subject: Subject) -> Iterator[Finding]:
    """Report whether the clock is right and synchronised, and the latest steps in the
    monitor log.
    """
    now = datetime.now(UTC)
    if now < RELEASED:
        yield problem(
            "clock", wrong_clock_words(now, RELEASED), "set the clock, or let chrony do it"
        )
    synchronised = is_synchronised()
    if synchronised is None:
        yield good("clock", "the system does not say whether its clock is synchronised")
    elif synchronised:
        yield good("clock", "the clock is synchronised")
    else:
        message = "the clock is not synchronised (adjtimex)"
        yield warning(
            "clock", message, "run chrony or systemd-timesyncd; in a container, on its host"
        )
    if not subject.monitor_log.is_file():
        return
    matching = Filter(events=frozenset({Event.RUNNER_CLOCK_STEPPED}), since=now - _STEPS_FOR)
    steps = newest(subject.monitor_log, _STEPS_READ, matches=matching)
    back = [record for record in steps if record.get("reopened_from")]
    # The last step of all, and before it the last one back, whose reopened span may be open.
    for record in steps[-1:] if back[-1:] == steps[-1:] else [*back[-1:], *steps[-1:]]:
        yield advice("clock", _step_words(record), "let the time service slew the clock")


def _step_words(record: Mapping[str, object]) -> str:
    step_s = float(str(record.get("step_s") or 0))
    message = f"the clock was stepped by {clock_text(step_s)} at {record.get('time')}"
    if begin := record.get("reopened_from"):
        until = record.get("reopened_until")
        message += f"; from {begin} to {until}, fires that had a verdict run only on time"
    return message


def is_synchronised() -> bool | None:
    """Return whether the kernel's clock is synchronised; None if the system does not say."""
    if _TIMESYNC.exists():
        return True
    if sys.platform != "linux":
        return None
    timex = _Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    return None if state < 0 else state != _TIME_ERROR and not timex.status & _STA_UNSYNC


def notification_findings(subject: Subject) -> Iterator[Finding]:
    """Report whether edits arrive as notifications, or only by polling."""
    if subject.listing is None:
        return
    kind = file_system_of(subject.jobs, Path("/proc/self/mountinfo").read_text())
    if kind in _REMOTE or kind.startswith("fuse"):
        message = f"{subject.jobs} is on {kind}, which does not notify of changes made elsewhere"
        yield advice(
            "notification", message, "nothing to do: polling finds edits some seconds later"
        )
        return
    folders, most = _folders_below(subject.jobs), _number("fs/inotify/max_user_watches")
    if subject.pid is None and not _can_watch():
        message = "the inotify instances of this user are used up"
        yield warning("notification", message, "raise fs.inotify.max_user_instances with sysctl")
    elif most is not None and folders >= most:
        message = f"{folders} folders need a watch, but fs.inotify.max_user_watches is {most}"
        yield warning(
            "notification", message, f"sysctl fs.inotify.max_user_watches={max(2 * folders, 65536)}"
        )
    elif kind == "overlay":
        message = (
            f"{subject.jobs} is in a container's image: "
            "edits from outside the container are not notified"
        )
        yield advice(
            "notification", message, "mount the folder as a volume if it is edited from outside"
        )
    elif places := _unwatched(subject.jobs):
        message = (
            "links lead to more folders than are watched: "
            f"only polling finds edits in {places[0]}{_and_more(places)}"
        )
        yield advice(
            "notification",
            message,
            "nothing to do if a delay of some seconds is acceptable; else use fewer links",
        )
    else:
        yield good(
            "notification",
            f"edits are notified ({folders} folder{'s' * (folders != 1)} on {kind or 'disk'})",
        )


def _unwatched(jobs: Path) -> list[str]:
    listing = exhausted(listed(jobs, {}))
    if isinstance(listing, Absence):
        return []
    return exhausted(
        unwatched(real_path(jobs), (f"{jobs.absolute()}/{link}" for link in listing.links))
    )


def _and_more(places: list[str]) -> str:
    return f" (and {len(places) - 1} other places)" if len(places) > 1 else ""


def file_system_of(path: Path, mountinfo: str) -> str:
    """Return the type of a path's file system, or "" if unknown (proc(5), mountinfo)."""
    device = path.stat().st_dev  # mountinfo's third field is this, as MAJOR:MINOR
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        if line.split(" ", 3)[2] == number:
            return line.partition(" - ")[2].partition(" ")[0]
    return ""


def limit_findings(subject: Subject) -> Iterator[Finding]:
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


def room_findings(subject: Subject) -> Iterator[Finding]:
    """Report whether there is space for the store, the outputs and the log."""
    places = {
        "state": _existing(subject.state),
        "monitor log": _existing(subject.monitor_log.parent),
    }
    for place in dict.fromkeys(places.values()):
        names = " and ".join(name for name, each in places.items() if each == place)
        yield _room(names, place)
    kind = file_system_of(places["state"], Path("/proc/self/mountinfo").read_text())
    if kind in _REMOTE:
        message = (
            f"the state folder is on {kind}, where SQLite's shared memory and locks do not work"
        )
        yield problem("room", message, "choose a folder on a local disk with --state")


def cgroup_findings(subject: Subject) -> Iterator[Finding]:
    """Report whether the live runner has a delegated cgroup."""
    if subject.pid is None:
        return
    own = folder_of(
        Path(f"/proc/{subject.pid}/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    )
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


def _room(names: str, place: Path) -> Finding:
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


def _folders_below(folder: Path) -> int:
    return sum(1 for _ in os.walk(folder))


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


def _open_files(pid: int | None) -> int:
    """Return the soft limit of open files of a process, or of this one for None."""
    text = Path(f"/proc/{pid or 'self'}/limits").read_text()
    fields = next(line for line in text.splitlines() if line.startswith("Max open files")).split()
    return int(fields[3]) if fields[3].isdecimal() else sys.maxsize
