"""Who else may write or read what a runner lives by: who may write its requests runs commands as its user.

Reads files and folders.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from runner.execution.output import outputs_folder
from runner.requests.catalog import exhausted
from runner.requests.files import listed
from runner.requests.openness import may_anybody_write
from runner.requests.settings import NAME
from runner.requests.trust import group_name, user_name
from runner.service.examination.findings import Finding, advice, good, problem, warning
from runner.service.examination.subject import Subject
from runner.store.checkup import wal_path
from runner.store.connection import database_path
from runner.store.lock import lock_path
from runner.store.mailbox import wake_path
from runner.values import neutral

_ROOT = 0
_OTHERS_READ = stat.S_IROTH


def jobs_findings(subject: Subject) -> Iterator[Finding]:
    """Tell who may change the requests: the folder, those in it, the files, and the way to the folder."""
    listing = exhausted(listed(subject.jobs, {})) if subject.jobs.is_dir() else None
    if listing is None:
        yield problem(
            "jobs", f"there is no jobs folder {subject.jobs}", "`runner init` makes one, --jobs names another"
        )
        return
    read = {*listing.files, *listing.defaults}
    folders = {str(above) for relative in read for above in PurePosixPath(relative).parents} | {"."}
    inside = [subject.jobs / relative for relative in sorted(folders | read)]
    inside.append(subject.jobs.absolute().parent / NAME)
    found = [*_exposures("jobs", inside, subject), *_way_findings(subject)]
    count = len(listing.files)
    where = f"{count} request file{'s' * (count != 1)} in {neutral(str(subject.jobs))}"
    who = " and ".join(dict.fromkeys((user_name(subject.user), "root")))
    yield from found or [good("jobs", f"only {who} may change {where}")]


def state_findings(subject: Subject) -> Iterator[Finding]:
    """Tell whether the runner can use its state folder, and who else can."""
    folder = subject.state
    if not folder.exists():
        yield good("state", f"there is no state folder {folder} yet; `runner start` makes it")
        return
    if not folder.is_dir():
        yield problem("state", f"{folder} is no folder", "move it away, or choose another with --state")
        return
    places = [path for path in _state_places(folder) if path.exists()]
    found = [*_use_findings("state", [folder, *places], subject), *_kind_findings(folder)]
    if folder.stat().st_mode & stat.S_IXOTH:  # else nobody else comes that far
        found += _readers("state", [path for path in places if path.name != "wake"])
    found += _exposures("state", [folder, *places], subject)
    yield from found or [good("state", f"{folder} is writable, and by nobody else")]


def log_findings(subject: Subject) -> Iterator[Finding]:
    """Tell whether the monitor log can be written, and who else may write or read it."""
    log = subject.monitor_log
    folder = log.parent
    if not folder.is_dir():
        if folder != subject.state and not folder.parent.is_dir():
            yield problem("log", f"there is no folder {folder} for the monitor log", f"mkdir -p {_quoted(folder)}")
        return
    if log.exists() and not log.is_file():
        yield problem("log", f"{log} is no file", "move it away, or choose another place with --monitor-log")
        return
    places = [folder, log] if log.exists() else [folder]
    found = [*_use_findings("log", places, subject), *_readers("log", places[1:]), *_exposures("log", places, subject)]
    yield from found or [good("log", f"{log} is writable, and not for everyone to read")]


def user_findings(subject: Subject) -> Iterator[Finding]:
    """Say so where another user asks than the one whose runner it is: what may be written is seen as by that one."""
    if os.geteuid() == subject.user:
        return
    us, name = user_name(os.geteuid()), user_name(subject.user)
    message = f"the state folder belongs to {name}, and this is asked as {us}, who may do other things"
    yield advice("user", message, f"sudo -u {shlex.quote(name)} runner doctor")


def _state_places(folder: Path) -> Iterator[Path]:
    yield from (database_path(folder), wal_path(folder), lock_path(folder), wake_path(folder), outputs_folder(folder))


def _kind_findings(folder: Path) -> Iterator[Finding]:
    wake, lock, outputs = wake_path(folder), lock_path(folder), outputs_folder(folder)
    kinds = ((wake, wake.is_fifo(), "FIFO"), (lock, lock.is_file(), "file"), (outputs, outputs.is_dir(), "folder"))
    for path, is_right, kind in kinds:
        if path.exists() and not is_right:
            yield problem("state", f"{path} is no {kind}", "move it away, and the runner makes a new one")


def _use_findings(check: str, paths: Iterable[Path], subject: Subject) -> Iterator[Finding]:
    for path in paths if os.geteuid() == subject.user else ():
        needed = os.W_OK | (os.X_OK if path.is_dir() else 0)
        if not os.access(path, needed):
            reason = (
                "its file system is read-only" if os.statvfs(path).f_flag & os.ST_RDONLY else "permission is denied"
            )
            message = f"{path} cannot be written as {user_name(os.geteuid())}: {reason}"
            yield problem(check, message, "give it to the user that the runner runs as, with chown or chmod")
            return


def _readers(check: str, paths: Iterable[Path]) -> Iterator[Finding]:
    for path in paths:
        if path.stat().st_mode & _OTHERS_READ:
            message = f"everyone may read {path}, where what processes print is kept"
            yield warning(check, message, f"chmod o-rwx {_quoted(path)}")


def _exposures(check: str, paths: list[Path], subject: Subject) -> Iterator[Finding]:
    """Tell of each kind of people who may write some of `paths` in one sentence."""
    statuses = [(path, path.stat()) for path in paths if path.exists()]
    if found := [path for path, status in statuses if may_anybody_write(str(path), status)]:
        message = f"anybody may write {_counted(found)}: they could run anything as {user_name(subject.user)}"
        yield problem(check, message, f"chmod -R o-w {_quoted(paths[0])}")
    groups = [(path, status.st_gid) for path, status in statuses if _is_of_other_group(status, subject)]
    if groups:
        names = ", ".join(sorted({group_name(gid) for _, gid in groups}))
        message = (
            f"the group {names}, which {user_name(subject.user)} is not in, may write {_counted(p for p, _ in groups)}"
        )
        yield warning(
            check, message, f"chmod -R g-w {_quoted(paths[0])}, or let whom you trust be in a group of the runner's"
        )
    owners = [(path, status.st_uid) for path, status in statuses if status.st_uid not in (_ROOT, subject.user)]
    if owners:
        names = ", ".join(sorted({user_name(uid) for _, uid in owners}))
        message = (
            f"{_counted(p for p, _ in owners)} belongs to {names}, who can run anything as {user_name(subject.user)}"
        )
        yield advice(check, message, "if that is not who deploys the requests, chown it")


def _way_findings(subject: Subject) -> Iterator[Finding]:
    """Tell who could put another folder in the place of the jobs folder; a sticky folder lets only owners do that."""
    for folder in Path(os.path.realpath(subject.jobs)).parents:
        status = folder.stat()
        if status.st_mode & stat.S_ISVTX:
            continue
        is_open = may_anybody_write(str(folder), status)
        if is_open or _is_of_other_group(status, subject):
            who = "anybody" if is_open else f"the group {group_name(status.st_gid)}"
            message = f"{who} may write {folder}, and so put another folder in the place of {subject.jobs}"
            told = problem if is_open else warning
            yield told("jobs", message, f"chmod {'o' if is_open else 'g'}-w {_quoted(folder)}")


def _is_of_other_group(status: os.stat_result, subject: Subject) -> bool:
    return bool(status.st_mode & stat.S_IWGRP) and status.st_gid not in subject.groups | {_ROOT}


def _counted(paths: Iterable[Path]) -> str:
    first, *more = paths
    return neutral(str(first)) + (f" and {len(more)} more" if more else "")


def _quoted(path: Path) -> str:
    return shlex.quote(neutral(str(path)))
