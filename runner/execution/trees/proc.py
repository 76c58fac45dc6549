"""What /proc says about processes. Reads /proc only; where there is none (macOS), nobody is there.

A process may vanish between any two looks: that is an answer (None, nothing), never an error.
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
    """A line of /proc/PID/stat. `started` is field 22, clock ticks since boot.

    Who `is_ending` is about to end, or has ended; who `is_bare` is about to become
    another program. Neither has an environment that anybody could read. Who is hidden
    from us by its rights looks bare, without an environment.
    """

    parent: int
    session: int
    started: int
    is_dead: bool
    is_ending: bool
    is_bare: bool
    has_environment: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One living process in a look at all of them, and the execution that its environment names."""

    stat: Stat
    execution: str | None


def parse_stat(line: bytes) -> Stat:
    """Read the fields behind the command's name, which may itself hold spaces and
    parentheses (proc(5)).

    >>> parse_stat(b"7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0" + 30 * b" 0").started
    4711
    """
    fields = line[line.rindex(b")") + 2 :].split()
    has_ended = fields[0] in b"ZXx"
    is_dead = has_ended and int(fields[17]) <= 1  # its main thread may end before the others
    has_memory = fields[20] != b"0"
    has_program = fields[45] != b"0"  # the address of its arguments
    return Stat(
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        is_dead=is_dead,
        is_ending=is_dead or not (has_memory or has_ended),
        is_bare=not (has_program or has_ended),
        has_environment=fields[47] != fields[48],  # the addresses of its begin and its end
    )


def boot_id() -> str:
    """Return what tells one boot of the machine from another; "" where the system has
    no such thing.
    """
    return (_read("/proc/sys/kernel/random/boot_id") or b"").decode().strip()


def stat_of(pid: int) -> Stat | None:
    """Return what runs under `pid`, a zombie too; None if nothing does."""
    line = _read(f"/proc/{pid}/stat")
    return parse_stat(line) if line else None


def tick() -> int:
    """Return now as `Stat.started` counts it: the kernel stamps with CLOCK_BOOTTIME, in
    ticks of SC_CLK_TCK.
    """
    return (
        time.clock_gettime_ns(time.CLOCK_BOOTTIME) * _TICKS_PER_S // 10**9
        if hasattr(time, "CLOCK_BOOTTIME")
        else 0
    )


def environment_of(pid: int) -> bytes | None:
    """Return what `pid` was started with, NAME=VALUE, each ended by a NUL; None if it
    is gone, or hidden from us.

    It is empty, too, while the process becomes another program or ends.
    """
    return _read(f"/proc/{pid}/environ")


def execution_in(environment: bytes) -> str | None:
    """Return RUNNER_EXECUTION_ID from an environment. Pure."""
    _, found, rest = (b"\0" + environment).partition(b"\0" + EXECUTION_VARIABLE + b"=")
    return os.fsdecode(rest.partition(b"\0")[0]) if found else None


def execution_of(pid: int) -> str | None:
    """Return RUNNER_EXECUTION_ID from the environment that `pid` was started with; a
    zombie has none left.
    """
    return execution_in(environment_of(pid) or b"")


def peak_memory(pid: int) -> int | None:
    """Return the most bytes that `pid` has held in memory so far (VmHWM), None if that
    is not known.
    """
    _, found, rest = (_read(f"/proc/{pid}/status") or b"").partition(b"\nVmHWM:")
    return int(rest.split(maxsplit=1)[0]) * 1024 if found else None


def children_of(pid: int) -> list[int]:
    """Return the children of all threads of `pid`, zombies too."""
    threads = names(f"/proc/{pid}/task")
    return [
        int(child)
        for tid in threads
        for child in (_read(f"/proc/{pid}/task/{tid}/children") or b"").split()
    ]


def descendants(roots: Iterable[int]) -> set[int]:
    """Return `roots` and all that descends from them now."""
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
    """Return who belongs to an execution: who names it, who is in its session, and all
    who descend from those. Pure.
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
    """Return what is in a folder of /proc; nothing if its process is gone."""
    try:
        return os.listdir(folder)  # noqa: PTH208  (asked often, and Path takes three times as long)
    except _GONE:
        return []


def _read(path: str) -> bytes | None:
    """Read a file of /proc whole: it is given out in pieces. None if its process is
    gone, or hidden from us.
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
    except _GONE:  # it ended while we read
        return None
    finally:
        os.close(descriptor)
