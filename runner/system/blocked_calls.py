"""Finds out for which file a thread of this process waits. Reads /proc.

Linux shows the system call that a thread is in (proc(5), /proc/PID/task/TID/syscall).
Where the system does not show it, nothing is found.
"""

from __future__ import annotations

import os

_AT_FDCWD = 0xFFFFFF9C
"""As a path's folder in a system call: the path is relative to the working folder."""
_LONGEST_PATH = 4096
_FILE_CALLS = {
    # read write close fstat lseek pread pwrite readv writev sendfile fcntl flock fsync
    # fdatasync ftruncate fchdir fchmod fchown fstatfs getdents64 openat newfstatat fallocate
    "x86_64": frozenset(
        {0, 1, 3, 5, 8, 17, 18, 19, 20, 40, 72, 73, 74, 75, 77, 81, 91, 93, 138, 217, 257, 262, 285}
    ),
    "aarch64": frozenset(
        {63, 64, 57, 80, 62, 67, 68, 65, 66, 71, 25, 32, 82, 83, 46, 50, 52, 55, 44, 61, 56, 79, 47}
    ),
}
"""The numbers of calls whose first argument is the descriptor of a file."""
_MACHINE_CALLS = _FILE_CALLS.get(os.uname().machine, frozenset())
_TERMINALS = "/dev/"
_MOST_WAKEUPS = 4


class BlockedCall:
    """A system call on a file or folder, in which a thread was at one moment."""

    __slots__ = ("_identity", "_waits", "path")

    def __init__(self, path: str, identity: tuple[int, str], waits: int) -> None:
        """`identity` is the thread and the call's arguments; `waits` counts the thread's waits."""
        self.path = path
        self._identity = identity
        self._waits = waits

    def is_still(self, later: BlockedCall | None) -> bool:
        """Return whether the thread is still in this call at a later moment.

        A loop may repeat a call with the same arguments, but then it waits anew each time.
        A signal that the call ignores interrupts its wait as well, hence the small tolerance.
        """
        return (
            later is not None
            and later._identity == self._identity
            and later._waits - self._waits <= _MOST_WAKEUPS
        )


def call_of(thread: int) -> BlockedCall | None:
    """Return the call on a file or folder that a thread is in; None if it is in none.

    `thread` is a native id. A call on a terminal, a pipe or a socket does not count: it
    may wait for a long time.
    """
    text = _text_of(thread, "syscall")
    fields = text.split()
    if len(fields) < 4:  # "running", or unreadable
        return None
    path = _path_in(int(fields[0]), [int(each, 16) for each in fields[1:3]])
    # Read the call again: the memory of a finished call may hold anything.
    if path is None or _text_of(thread, "syscall") != text:
        return None
    return BlockedCall(path, (thread, text), _waits_of(thread))


def any_call(first: int, *, apart_from: int) -> BlockedCall | None:
    """Return the call of the thread `first`, or else of another thread, as `call_of` does.

    A thread that waits for another one is in no such call itself.
    """
    if (call := call_of(first)) is not None:
        return call
    others = (int(name) for name in _names("/proc/self/task"))
    calls = (call_of(each) for each in others if each not in (first, apart_from))
    return next((each for each in calls if each is not None), None)


def untaken_signals(thread: int) -> frozenset[int]:
    """Return the signals that wait for a thread, as numbers: its own and the process's."""
    masks = [
        int(line.split()[1], 16)
        for line in _text_of(thread, "status").splitlines()
        if line.startswith(("SigPnd:", "ShdPnd:"))
    ]
    return frozenset(
        number for number in range(1, 65) if any(mask >> (number - 1) & 1 for mask in masks)
    )


def _path_in(number: int, arguments: list[int]) -> str | None:
    """Return the path that a call is about, judged by the form of its arguments."""
    first, second = arguments
    if first & 0xFFFFFFFF == _AT_FDCWD:
        return _string_at(second)
    if number in _MACHINE_CALLS:
        path = _target(f"/proc/self/fd/{first & 0xFFFFFFFF}")
    else:  # perhaps a call that begins with a path, such as mkdir on x86_64
        path = _string_at(first)
    is_file = path is not None and len(path) > 1 and path.startswith("/")
    return path if is_file and path is not None and not path.startswith(_TERMINALS) else None


def _string_at(address: int) -> str | None:
    """Return the string at an address of this process, if it is one.

    Unlike a pointer, /proc/self/mem is safe to read at an address that is gone.
    """
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text, end, _ = os.pread(memory, _LONGEST_PATH, address).partition(b"\0")
        finally:
            os.close(memory)
    except (OSError, OverflowError):
        return None
    return os.fsdecode(text) if text and end else None


def _waits_of(thread: int) -> int:
    """Return how often a thread has waited for anything."""
    _, found, rest = _text_of(thread, "status").partition("\nvoluntary_ctxt_switches:")
    return int(rest.split(maxsplit=1)[0]) if found else 0


def _text_of(thread: int, name: str) -> str:
    try:
        descriptor = os.open(f"/proc/self/task/{thread}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 8192).decode(errors="replace")
        finally:
            os.close(descriptor)
    except OSError:
        return ""


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)  # noqa: PTH115 - pathlib would have to be imported
    except OSError:
        return None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - pathlib would have to be imported
    except OSError:
        return []
