"""Checks of who else may write or read what a runner depends on. A user who can write
its requests can run commands as its user.

Reads files and folders.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from runner.examination.doctor_findings import DoctorFinding, advice, good, problem, warning
from runner.examination.subject import Subject
from runner.execution.output import outputs_folder
from runner.provenance.commits import objection_to_git
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.model import Group
from runner.requests.settings import NAME, NO_JOBS_HINT
from runner.store.lock import lock_path
from runner.store.sqlite.wake import wake_path
from runner.store.state_folder import places_in
from runner.system.regular_files import is_missing, is_there, real_path
from runner.system.trust import ROOT, Grade, Objection, as_user, user_name
from runner.values import counted, listed, neutral

_ROOT = 0
_MOST_NAMED = 10  # paths in one command
_OTHERS_READ = stat.S_IROTH


def jobs_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report who may change the requests: the folders, the files, and the folders above them."""
    listing = subject.listing
    if listing is None and not is_missing(subject.jobs):
        yield problem(
            "jobs",
            f"the jobs folder {subject.jobs} cannot be read",
            "run doctor as the runner's user, or change the permissions: chmod, chown",
        )
        return
    if listing is None:
        yield problem(
            "jobs",
            f"there is no jobs folder {subject.jobs}",
            NO_JOBS_HINT,
        )
        return
    read = {*listing.files, *listing.defaults}
    folders = {str(above) for relative in read for above in PurePosixPath(relative).parents} | {"."}
    inside = [subject.jobs / relative for relative in sorted(folders | read)]
    inside += [
        path
        for path in (subject.jobs.absolute().parent / NAME, *_read_besides(subject))
        if is_there(path)
    ]
    found = [*_exposures("jobs", inside, subject), *_git_findings(subject)]
    count = len(listing.files)
    where = f"{counted(count, 'request file')} in {neutral(str(subject.jobs))}"
    who = " and ".join(dict.fromkeys((user_name(subject.user), "root")))
    yield from found or [good("jobs", f"only {who} may change {where}")]


def _read_besides(subject: Subject) -> list[Path]:
    """Return the date files and environment files that the requests name."""
    reader = CatalogReader(subject.jobs, default_zone="UTC")
    processes = [request.process for request in reader.read().requests.values()]
    for process in processes:
        if isinstance(process.action, Group):
            processes += process.action.members
    files = {file for process in processes for file in process.environment_files}
    return sorted(Path(os.path.normpath(file)) for file in {*files, *reader.read_besides})


def _git_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report a repository that another user may change: its config can make git run commands."""
    if objection := objection_to_git(subject.jobs, subject.trust):
        kept = (
            "root records no commit"
            if subject.user == _ROOT
            else "git would run what its `config` says"
        )
        finding = problem if subject.user == _ROOT or objection.grade is Grade.OTHERS else advice
        yield finding("jobs", f"{objection.reason}, which git reads: {kept}", objection.suggestion)


def state_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the runner can use its state folder, and who else can."""
    folder = subject.state
    if not folder.exists():
        yield good("state", f"there is no state folder {folder} yet; `runner start` creates it")
        return
    if not folder.is_dir():
        yield problem(
            "state", f"{folder} is not a folder", "move it away, or choose another with --state"
        )
        return
    places = list(places_in(folder))
    found = [*_use_findings("state", [folder, *places], subject), *_kind_findings(folder)]
    if folder.stat().st_mode & stat.S_IXOTH:  # otherwise no other user can reach the files inside
        found += _readers(
            "state", [path for path in places if path.name != "wake" and path.parent == folder]
        )
    found += _exposures("state", [folder, *places], subject)
    yield from found or [good("state", f"{folder} is writable, by this user alone")]


def log_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the monitor log can be written, and who else may write or read it."""
    log = subject.monitor_log
    folder = log.parent
    if not folder.is_dir():
        if folder != subject.state and not folder.parent.is_dir():
            yield problem(
                "log",
                f"there is no folder {folder} for the monitor log",
                f"mkdir -p {_quoted(folder)}",
            )
        return
    if log.exists() and not log.is_file():
        yield problem(
            "log",
            f"{log} is not a file",
            "move it away, or choose another place with --monitor-log",
        )
        return
    places = [folder, log] if log.exists() else [folder]
    found = [
        *_use_findings("log", places, subject),
        *_readers("log", places[1:]),
        *_exposures("log", places, subject),
    ]
    yield from found or [good("log", f"{log} is writable, and not world-readable")]


def user_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report if the current user is not the runner's: the permissions seen here are
    then the wrong user's.
    """
    if os.geteuid() == subject.user:
        return
    us, name = user_name(os.geteuid()), user_name(subject.user)
    message = (
        f"the state folder belongs to {name}, but doctor runs as {us}, who has other permissions"
    )
    if os.geteuid() == _ROOT:
        message += "; a runner that is root does not use it"
    yield advice("user", message, as_user(subject.user, "runner doctor"))


def _kind_findings(folder: Path) -> Iterator[DoctorFinding]:
    """Report entries of the state folder that are of the wrong kind, such as a folder
    in place of the lock.
    """
    wake, lock, outputs = wake_path(folder), lock_path(folder), outputs_folder(folder)
    kinds = (
        (wake, wake.is_fifo(), "FIFO"),
        (lock, lock.is_file(), "file"),
        (outputs, outputs.is_dir(), "folder"),
    )
    for path, is_right, kind in kinds:
        if path.exists() and not is_right:
            yield problem(
                "state", f"{path} is not a {kind}", "move it away, and the runner creates a new one"
            )


def _use_findings(check: str, paths: Iterable[Path], subject: Subject) -> Iterator[DoctorFinding]:
    """Report the first path that the runner cannot write. Only the runner's own user
    can check this.
    """
    for path in paths if os.geteuid() == subject.user else ():
        needed = os.W_OK | (os.X_OK if path.is_dir() else 0)
        if not os.access(path, needed):
            reason = (
                "its file system is read-only"
                if os.statvfs(path).f_flag & os.ST_RDONLY
                else "permission is denied"
            )
            message = f"{path} cannot be written as {user_name(os.geteuid())}: {reason}"
            yield problem(check, message, "give it to the runner's user, with chown or chmod")
            return


def _readers(check: str, paths: Iterable[Path]) -> Iterator[DoctorFinding]:
    """Report paths that every user may read."""
    for path in paths:
        if path.stat().st_mode & _OTHERS_READ:
            message = f"everyone may read {path}, which contains the output of processes"
            yield warning(check, message, f"chmod o-rwx {_quoted(path)}")


def _exposures(check: str, paths: list[Path], subject: Subject) -> Iterator[DoctorFinding]:
    """Report who else may change some of `paths`, or a folder above them: one finding
    per kind of user.
    """
    # Many paths share one objection, for example a folder above all of them.
    found: dict[Objection, Path] = {}
    for path in paths:
        if objection := subject.trust.objection(path, is_strict=True):
            found.setdefault(objection, path)
    ours = {real_path(path) for path in paths} | {str(path.absolute()) for path in paths}
    for (who, is_ours, _), group in groupby(
        sorted(found, key=partial(_kind, ours)), key=partial(_kind, ours)
    ):
        objections = list(group)
        yield _exposure(
            check, who, objections, paths[0], found[objections[0]], is_ours=is_ours, subject=subject
        )


def _kind(ours: set[str], objection: Objection) -> tuple[str, bool, bool]:
    return objection.who, objection.path in ours, objection.is_link


def _exposure(
    check: str,
    who: str,
    objections: list[Objection],
    top: Path,
    path: Path,
    *,
    is_ours: bool,
    subject: Subject,
) -> DoctorFinding:
    """Return the finding for one kind of user and some paths that it may change.

    `top` is the first path checked, to which the suggested chmod applies; `path` is one
    of the exposed paths.
    """
    first, user = objections[0], user_name(subject.user)
    places = _first(Path(each.path) for each in objections)
    if first.grade is Grade.OWNER:
        what = f"{places} {'is a link of' if first.is_link else 'belongs to'} {who}"
    else:
        outside = f", which {user} is not in," if first.grade is Grade.GROUP else ""
        what = f"{who}{outside} may write {places}"
    if is_ours:
        message = f"{what}: they could run anything as {user}"
    else:
        kind = "folder" if path.is_dir() else "file"
        message = f"{what}, and so could replace {path} with another {kind}"
    return _level(first, path, subject)(check, message, _fix(objections, top))


def _fix(objections: list[Objection], top: Path) -> str:
    """Return the shell command that fixes all objections of one kind.

    It changes everything below `top` if objections there are many or only about modes.
    """
    first = objections[0]
    paths = [Path(each.path) for each in objections]
    below = [path for path in paths if path.is_relative_to(top)]
    if first.owner is None and below:
        whole = f"{first.change.replace('chmod', 'chmod -R')} {_quoted(top)}"
    elif len(below) > _MOST_NAMED:
        whole = f"find {_quoted(top)} -uid {first.owner} -exec chown -h root {{}} +"
    else:
        whole, below = "", []
    others = [_quoted(path) for path in paths if path not in below]
    return " && ".join(filter(None, [whole, " ".join([first.change, *others]) if others else ""]))


def _level(
    objection: Objection, path: Path, subject: Subject
) -> Callable[[str, str, str], DoctorFinding]:
    """Return the function that makes the finding: `problem`, `warning` or `advice`.

    A runner of root refuses a path that another user may change, which is a problem. It
    accepts a folder above that only a group may write, which is a warning. For a runner
    of any other user the grade of the objection decides.
    """
    if subject.user == _ROOT:
        return problem if ROOT.objection(path) else warning
    return {Grade.OTHERS: problem, Grade.GROUP: warning, Grade.OWNER: advice}[objection.grade]


def _first(paths: Iterable[Path]) -> str:
    return listed((neutral(str(path)) for path in paths), 1)


def _quoted(path: Path) -> str:
    return shlex.quote(neutral(str(path)))
