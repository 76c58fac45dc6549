"""Control groups (cgroup v2): one for an execution, below the one that is delegated to
us. Touches the cgroup files.

Delegated is a cgroup that we may write and that holds nobody else (systemd:
Delegate=yes; a container whose cgroups are writable). Processes must not live in a
cgroup that has bounded children, so we move to a leaf of our own, `runner`; with
systemd's DelegateSubgroup=runner we are there from the begin. An execution's cgroup
bears its id, so that a later runner finds who is in it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.execution.child.program import SpawnError

_LEAF = "runner"
_CONTROLLERS = frozenset({"memory", "pids"})
_MOST_BYTES, _MOST_PROCESSES = 2**62, 2**22  # what the system takes, and more than there is
_EXECUTION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def folder_of(cgroup: str, mountinfo: str) -> Path | None:
    """Return the folder of a process's own cgroup, from its /proc files; None where
    there is no cgroup v2. Pure.

    In a hybrid layout the v1 hierarchies stand beside it; the line of v2 is the one
    with the number 0 (cgroups(7)).
    """
    path = next((line[3:] for line in cgroup.splitlines() if line.startswith("0::/")), None)
    mounts = (line.split(" ") for line in mountinfo.splitlines() if " - cgroup2 " in line)
    for fields in mounts if path is not None else ():
        root, place = _unescaped(fields[3]), _unescaped(fields[4])
        if path is not None and f"{path}/".startswith(f"{root.rstrip('/')}/"):
            return Path(place) / path[len(root.rstrip("/")) :].lstrip("/")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroups:
    """The delegated cgroup, and what can be bounded in it: of `memory` and `pids` what there is."""

    base: Path
    controllers: frozenset[str]

    def create(
        self, execution: str, *, memory: int | None = None, processes: int | None = None
    ) -> Path:
        """Make the cgroup of an execution, with its bounds: bytes, swap included, and
        processes. Raises SpawnError.
        """
        folder = self._folder(execution)
        try:
            folder.mkdir()
            if memory is not None:
                _bound_memory(folder, memory)
            if processes is not None:
                _write(folder / "pids.max", str(min(processes, _MOST_PROCESSES)))
        except OSError as error:
            self.remove(execution)
            raise SpawnError(
                f"its cgroup {str(folder)!r} cannot be made: {error.strerror}"
            ) from None
        return folder

    def members(self, execution: str) -> set[int]:
        """Return who is in the cgroup of an execution, and in those that it may have made below."""
        found: set[int] = set()
        for folder, _, _ in os.walk(self._folder(execution)):  # passes over what cannot be read
            with suppress(
                OSError
            ):  # of a threaded cgroup, that a process may make, nothing can be read
                found |= _pids(Path(folder) / "cgroup.procs")
        return found

    def kill(self, execution: str) -> None:
        """KILL all in the cgroup of an execution at once, forks in progress included (Linux 5.14)."""
        with suppress(
            OSError
        ):  # there is none; or an older Linux, where their tree is what is left to kill
            _write(self._folder(execution) / "cgroup.kill", "1")

    def is_out_of_memory(self, execution: str) -> bool:
        """Tell whether the system has killed for the memory bound of an execution."""
        with suppress(OSError):
            events = dict(
                line.split()
                for line in (self._folder(execution) / "memory.events").read_text().splitlines()
            )
            return int(events.get("oom_kill", "0")) > 0
        return False

    def remove(self, execution: str) -> bool:
        """Remove the cgroup of an execution; False as long as somebody lives in it."""
        folder = self._folder(execution)
        for below, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                os.rmdir(below)  # noqa: PTH106
        try:
            folder.rmdir()
        except OSError as error:
            return error.errno == errno.ENOENT
        return True

    def end(self, ended: Collection[str]) -> set[str]:
        """KILL and remove what is left of executions that have ended; return those of
        which something still is.

        Of no others: another runner, of another store, may be in the same cgroup.
        """
        for execution in ended:
            self.kill(execution)
        return {execution for execution in ended if not self.remove(execution)}

    def _folder(self, execution: str) -> Path:
        return self.base / execution


def take() -> Cgroups | None:
    """Take possession of our own cgroup if it is delegated to us, and move to its leaf;
    None if it is not.
    """
    try:
        own = folder_of(
            Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
        )
        return None if own is None else take_from(own, os.getpid())
    except OSError:
        return None


def take_from(own: Path, pid: int) -> Cgroups | None:
    """Take possession of the cgroup that `pid`, which is ours, is in. Raises OSError
    where there is nothing to read.
    """
    base = own.parent if own.name == _LEAF else own
    if not _is_delegated(base, pid):
        return None
    leaf = base / _LEAF
    leaf.mkdir(exist_ok=True)
    _write(leaf / "cgroup.procs", str(pid))
    if _pids(leaf / "cgroup.procs") <= {pid}:  # no other runner, which might be about to use one
        _remove_empty(base)
    controllers = _CONTROLLERS & set((base / "cgroup.controllers").read_text().split())
    try:
        _write(
            base / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(controllers))
        )
    except OSError:  # somebody else came into it meanwhile, or the controllers may not be given on
        controllers = frozenset()
    return Cgroups(base=base, controllers=controllers)


def _is_delegated(base: Path, pid: int) -> bool:
    """Tell whether a cgroup is ours alone: no process but us in it, and no cgroups but
    those that we make.

    Never the one at the root of all, which has no cgroup.events: it is the machine's.
    """
    files = [base, base / "cgroup.procs", base / "cgroup.subtree_control"]
    return (
        (base / "cgroup.events").exists()
        and all(os.access(path, os.W_OK) for path in files)
        and _pids(base / "cgroup.procs") <= {pid}
        and all(path.name == _LEAF or _is_execution(path) for path in _folders(base))
    )


def _remove_empty(base: Path) -> None:
    """Remove what a runner that was killed left over; where somebody lives, the system refuses."""
    for path in filter(_is_execution, _folders(base)):
        with suppress(OSError):
            path.rmdir()


def _bound_memory(folder: Path, memory: int) -> None:
    _write(folder / "memory.max", str(min(memory, _MOST_BYTES)))
    for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
        with suppress(FileNotFoundError):  # no swap, or a Linux before 4.19
            _write(folder / name, value)


def _is_execution(path: Path) -> bool:
    return _EXECUTION.fullmatch(path.name) is not None


def _folders(base: Path) -> list[Path]:
    return [path for path in base.iterdir() if path.is_dir()]


def _pids(file: Path) -> set[int]:
    try:
        return set(map(int, file.read_text().split()))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):  # removed while we looked
            return set()
        raise


def _write(file: Path, text: str) -> None:
    """Write to a cgroup file; it must be there: the system makes them."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _unescaped(path: str) -> str:
    """Undo mountinfo's octal escapes of blanks and backslashes (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
