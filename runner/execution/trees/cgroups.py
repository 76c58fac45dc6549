"""Control groups (cgroup v2): one per execution, below the runner's delegated cgroup.

A cgroup is delegated if the runner may write it and no other process is in it: systemd's
`Delegate=yes`, or a container with writable cgroups. The kernel forbids processes in a
cgroup whose children have limits ("no internal processes", cgroups(7)). So the runner
moves itself into a child, `runner`; with systemd's `DelegateSubgroup=runner` it starts
there. An execution's cgroup has the execution's id as its name, so a later runner can
list its processes.

Touches the cgroup file system.
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
# More than any machine has, and still accepted by the kernel.
_MOST_BYTES, _MOST_PROCESSES = 2**62, 2**22
_EXECUTION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def folder_of(cgroup: str, mountinfo: str) -> Path | None:
    """Return the folder of a process's cgroup; None without cgroup v2. Pure.

    The arguments are the texts of /proc/PID/cgroup and /proc/PID/mountinfo. A hybrid
    layout has v1 hierarchies as well; the line with the number 0 is the one of v2
    (cgroups(7)).
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
    """The delegated cgroup. `controllers` are those available of `memory` and `pids`."""

    base: Path
    controllers: frozenset[str]

    def create(
        self, execution: str, *, memory: int | None = None, processes: int | None = None
    ) -> Path:
        """Create the cgroup of an execution with its limits.

        `memory` is in bytes and includes swap; `processes` also counts threads, as the
        kernel does. Raises SpawnError.
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
                f"its cgroup {str(folder)!r} cannot be created: {error.strerror}"
            ) from None
        return folder

    def members(self, execution: str) -> set[int]:
        """Return the pids in the cgroup of an execution and in any cgroup below it."""
        found: set[int] = set()
        for folder, _, _ in os.walk(self._folder(execution)):  # skips unreadable folders
            # A process may make its cgroup threaded; then cgroup.procs is unreadable.
            with suppress(OSError):
                found |= _pids(Path(folder) / "cgroup.procs")
        return found

    def kill(self, execution: str) -> None:
        """KILL all processes in an execution's cgroup at once, also forks in progress.

        Do nothing where there is no such cgroup, or on a Linux before 5.14; the caller
        kills the process tree as well.
        """
        with suppress(OSError):
            _write(self._folder(execution) / "cgroup.kill", "1")

    def is_out_of_memory(self, execution: str) -> bool:
        """Return whether the kernel killed a process because of the memory limit."""
        with suppress(OSError):
            events = dict(
                line.split()
                for line in (self._folder(execution) / "memory.events").read_text().splitlines()
            )
            return int(events.get("oom_kill", "0")) > 0
        return False

    def remove(self, execution: str) -> bool:
        """Remove the cgroup of an execution; return False while a process is in it."""
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
        """KILL and remove the cgroups of executions that have ended.

        Return the executions whose cgroup still exists. Touch no other cgroups: a runner
        of another store may use the same delegated cgroup.
        """
        for execution in ended:
            self.kill(execution)
        return {execution for execution in ended if not self.remove(execution)}

    def _folder(self, execution: str) -> Path:
        return self.base / execution


def take() -> Cgroups | None:
    """Take over the runner's own cgroup if it is delegated; return None if it is not.

    This moves the runner into the child `runner` of that cgroup.
    """
    try:
        own = folder_of(
            Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
        )
        return None if own is None else take_from(own, os.getpid())
    except OSError:
        return None


def take_from(own: Path, pid: int) -> Cgroups | None:
    """Take over the cgroup of `pid`, which is this process. Raises OSError.

    Return None if the cgroup is not delegated.
    """
    base = own.parent if own.name == _LEAF else own
    if not _is_delegated(base, pid):
        return None
    leaf = base / _LEAF
    leaf.mkdir(exist_ok=True)
    _write(leaf / "cgroup.procs", str(pid))
    # Another runner in the leaf might have created a cgroup that is still empty.
    if _pids(leaf / "cgroup.procs") <= {pid}:
        _remove_empty(base)
    controllers = _CONTROLLERS & set((base / "cgroup.controllers").read_text().split())
    try:
        _write(
            base / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(controllers))
        )
    except OSError:  # another process has just joined, or the controllers cannot be delegated
        controllers = frozenset()
    return Cgroups(base=base, controllers=controllers)


def _is_delegated(base: Path, pid: int) -> bool:
    """Return whether the runner alone uses a cgroup.

    That requires write access, no other process in it, and no child cgroups except those
    that a runner creates. The root cgroup never qualifies: it belongs to the machine. It
    is the only one without cgroup.events.
    """
    files = [base, base / "cgroup.procs", base / "cgroup.subtree_control"]
    return (
        (base / "cgroup.events").exists()
        and all(os.access(path, os.W_OK) for path in files)
        and _pids(base / "cgroup.procs") <= {pid}
        and all(path.name == _LEAF or _is_execution(path) for path in _folders(base))
    )


def _remove_empty(base: Path) -> None:
    """Remove the empty cgroups of a killed runner; the kernel refuses the others."""
    for path in filter(_is_execution, _folders(base)):
        with suppress(OSError):
            path.rmdir()


def _bound_memory(folder: Path, memory: int) -> None:
    _write(folder / "memory.max", str(min(memory, _MOST_BYTES)))
    # Without oom.group the kernel would kill one process, and the rest would go on.
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
        if error.errno in (errno.ENOENT, errno.ENODEV):  # removed since, or during the read
            return set()
        raise


def _write(file: Path, text: str) -> None:
    """Write to an existing cgroup file; never create one. Raises OSError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _unescaped(path: str) -> str:
    """Decode mountinfo's octal escapes of blanks and backslashes (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
