"""Turns the launcher into the program of an execution. Touches only its own process."""

from __future__ import annotations

import os
import resource

from runner.execution.child.program import SpawnError, enter, find, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import NoReturn

    from runner.execution.child.orders import Orders
else:
    import _signal as signal  # `signal` is slow to import; see launcher.py

_NOT_STARTED = 127  # as sh(1) for a command that it cannot find
_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


def become(orders: Orders) -> NoReturn:
    """Execute the program as ordered; on failure, report the reason and exit."""
    try:
        _take_place(orders)
        _execute(orders)
    except SpawnError as error:
        add_to_report(orders["report"], b"failure", str(error).encode("utf-8", "replace"))
    except MemoryError:
        add_to_report(
            orders["report"], b"failure", b"limits.memory is too small to start any program"
        )
    os._exit(_NOT_STARTED)


def add_to_report(report: int, kind: bytes, text: bytes = b"") -> None:
    r"""Append a piece to the report: kind, ":", text, "\0"."""
    try:  # noqa: SIM105  (contextlib takes longer to import than all of this)
        os.write(report, b"%b:%b\0" % (kind, text.replace(b"\0", b"?")))
    except OSError:
        pass  # the runner is gone


def _take_place(orders: Orders) -> None:
    """Prepare the process step by step; change the user late, because steps need root."""
    os.set_inheritable(orders["report"], orders["is_reporting"])
    if orders["stdin"] is not None:
        _attempt("its standard input cannot be prepared", _give_stdin, orders["stdin"])
    if orders["cgroup"] is not None:
        _attempt("its cgroup cannot be joined", _join, orders["cgroup"])
    for limit in orders["limits"]:
        _bound(*limit)
    if orders["nice"] is not None:
        _attempt(
            f"nice {orders['nice']} is not permitted here",
            os.setpriority,
            os.PRIO_PROCESS,
            0,
            orders["nice"],
        )
    if orders["umask"] is not None:
        os.umask(orders["umask"])
    if orders["identity"] is not None:
        _attempt("run_as is not permitted here", _turn_into, *orders["identity"])
    enter(orders["directory"])
    if orders["is_reporting"]:
        # The new user must be able to read our file, or Python's own error would be
        # all that people see.
        _, _, calling, *_ = orders["arguments"]
        if not os.access(calling, os.R_OK):
            raise SpawnError(f"run_as: that user may not read {calling!r}, a part of this runner")


def _execute(orders: Orders) -> None:
    arguments, environment, directory = (
        orders["arguments"],
        orders["environment"],
        orders["directory"],
    )
    program = find(arguments[0], environment, directory)
    for number in _PYTHON_IGNORES:
        signal.signal(number, signal.SIG_DFL)
    for limit in orders["late_limits"]:
        _bound(*limit)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # pending signals take effect now
    try:
        os.execve(program, arguments, environment)
    except OSError as error:
        raise SpawnError(refusal(error, program, directory, arguments, environment)) from None


def _attempt(otherwise: str, step: Callable[..., None], *arguments: object) -> None:
    try:
        step(*arguments)
    except OSError as error:
        raise SpawnError(f"{otherwise}: {error.strerror}") from None


def _give_stdin(text: bytes) -> None:
    descriptor = os.memfd_create("stdin")
    with open(descriptor, "r+b", buffering=0) as file:  # noqa: PTH123
        while text:
            text = text[file.write(text) :]
        file.seek(0)
        os.dup2(descriptor, 0)


def _join(cgroup: str) -> None:
    with open(f"{cgroup}/cgroup.procs", "wb", buffering=0) as file:  # noqa: PTH123
        file.write(b"0")  # 0 stands for the writing process (cgroups(7))


def _bound(number: int, soft: int, hard: int) -> None:
    """Set a limit. If it exceeds the present hard limit, set that one: it is stricter."""
    try:
        resource.setrlimit(number, (soft, hard))
    except (ValueError, OSError):
        _, hard = resource.getrlimit(number)
        resource.setrlimit(number, (min(soft, hard), hard))


def _turn_into(uid: int, gid: int, groups: list[int]) -> None:
    """Change to a user and its groups, and give the output file to that user.

    Otherwise the program could not open /dev/stdout or /dev/stderr. The user id comes
    last: without root the groups can no longer change.
    """
    for stream in (1, 2):
        os.fchown(stream, uid, gid)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
