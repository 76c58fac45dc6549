"""Reads processes from /proc. Without /proc (macOS) there are no processes to see.

A process may end between any two reads. Then the answer is None or empty, never an error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

EXECUTION_VARIABLE = b"RUNNER_EXECUTION_ID"
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError, NotADirectoryError)
_CHUNK = 65536
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """A line of /proc/PID/stat (proc(5))."""

    parent: int
    session: int
    started: int
    """Field 22: clock ticks since boot. With the pid it is unique per boot."""
    is_dead: bool
    """A zombie, and all its threads have ended."""
    is_ending: bool
    """It is exiting or has exited: it has no memory, so its environment is unreadable."""
    is_bare: bool
    """It is between two programs (in execve): its environment is unreadable.

    A process that the runner may not inspect looks the same: the kernel shows 0 for its
    addresses.
    """
    has_environment: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A living process, and the execution that its environment names."""

    stat: Stat
    execution: str | None


def parse_stat(line: bytes) -> Stat:
    """Read the fields after the command's name.

    The name itself may contain spaces and parentheses (proc(5)), so they begin after the
    last parenthesis. `fields[0]` is field 3 there.

    >>> parse_stat(b"7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0" + 30 * b" 0").started
    4711
    """
    fields = line[line.rindex(b")") + 2 :].split()
    has_ended = fields[0] in b"ZXx"
    # Field 20 is the number of threads: the main thread may end before the others.
    is_dead = has_ended and int(fields[17]) <= 1
    has_memory = fields[20] != b"0"  # field 23, vsize
    has_program = fields[45] != b"0"  # field 48, the address of its arguments
    return Stat(
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        is_dead=is_dead,
        is_ending=is_dead or not (has_memory or has_ended),
        is_bare=not (has_program or has_ended),
        has_environment=fields[47] != fields[48],  # fields 50 and 51: its start and end
    )


def boot_id() -> str:
    """Return an id that differs after each boot of the machine; "" if there is none."""
    return (_read("/proc/sys/kernel/random/boot_id") or b"").decode().strip()


def stat_of(pid: int) -> Stat | None:
    """Return the process with this pid, also a zombie; None if there is none."""
    line = _read(f"/proc/{pid}/stat")
    return parse_stat(line) if line else None


def tick() -> int:
    """Return the current time as `Stat.started` counts it.

    The kernel stamps a process with CLOCK_BOOTTIME in ticks of SC_CLK_TCK. Without that
    clock (macOS), return 0.
    """
    return (
        time.clock_gettime_ns(time.CLOCK_BOOTTIME) * _TICKS_PER_S // 10**9
        if hasattr(time, "CLOCK_BOOTTIME")
        else 0
    )


def environment_of(pid: int) -> bytes | None:
    """Return the environment that `pid` started with: NAME=VALUE, each ended by a NUL.

    Return None if the process is gone or the runner may not read it, and b"" while it
    execs or exits.
    """
    return _read(f"/proc/{pid}/environ")


def execution_in(environment: bytes) -> str | None:
    """Return RUNNER_EXECUTION_ID from an environment. Pure."""
    _, found, rest = (b"\0" + environment).partition(b"\0" + EXECUTION_VARIABLE + b"=")
    return os.fsdecode(rest.partition(b"\0")[0]) if found else None


def execution_of(pid: int) -> str | None:
    """Return RUNNER_EXECUTION_ID from the environment of `pid`; None for a zombie."""
    return execution_in(environment_of(pid) or b"")


def peak_memory(pid: int) -> int | None:
    """Return the peak resident memory of `pid` in bytes (VmHWM); None if unknown."""
    _, found, rest = (_read(f"/proc/{pid}/status") or b"").partition(b"\nVmHWM:")
    return int(rest.split(maxsplit=1)[0]) * 1024 if found else None


def children_of(pid: int) -> list[int]:
    """Return the children of all threads of `pid`, also zombies."""
    threads = names(f"/proc/{pid}/task")
    return [
        int(child)
        for tid in threads
        for child in (_read(f"/proc/{pid}/task/{tid}/children") or b"").split()
    ]


def descendants(roots: Iterable[int]) -> set[int]:
    """Return `roots` and all their descendants."""
    found: set[int] = set()
    ahead = list(roots)
    while ahead:
        pid = ahead.pop()
        if pid not in found:
            found.add(pid)
            ahead.extend(children_of(pid))
    return found


def look_at_all() -> dict[int, Seen]:
    """Return all living processes except this one."""
    pids = (int(name) for name in names("/proc") if name.isdecimal())
    looks = ((pid, stat_of(pid)) for pid in pids if pid != os.getpid())
    return {
        pid: Seen(stat=stat, execution=execution_of(pid))
        for pid, stat in looks
        if stat and not stat.is_dead
    }


def members(seen: Mapping[int, Seen], execution: str, session: int | None) -> set[int]:
    """Return the pids of an execution's tree. Pure.

    These are the processes whose environment names the execution, those in its session,
    and all their descendants.
    """
    offspring: dict[int, list[int]] = {}
    for pid, look in seen.items():
        offspring.setdefault(look.stat.parent, []).append(pid)
    ahead = [
        pid
        for pid, look in seen.items()
        if look.execution == execution or look.stat.session == session
    ]
    found: set[int] = set()
    while ahead:
        pid = ahead.pop()
        if pid not in found:
            found.add(pid)
            ahead.extend(offspring.get(pid, ()))
    return found


def names(folder: str) -> list[str]:
    """Return the names in a folder of /proc; none if its process is gone."""
    try:
        return os.listdir(folder)  # noqa: PTH208  (called often, and Path takes three times as long)
    except _GONE:
        return []


def _read(path: str) -> bytes | None:
    """Read a file of /proc to its end, because one read may return only a part.

    Return None if its process is gone or the runner may not read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except _GONE:
        return None
    try:
        pieces = []
        while piece := os.read(descriptor, _CHUNK):
            pieces.append(piece)
        return b"".join(pieces)
    except _GONE:  # the process ended during the read
        return None
    finally:
        os.close(descriptor)
