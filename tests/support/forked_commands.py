"""Runs commands of Runner in forked children: as another user, with failing system
calls, in any environment.

The program is loaded once, by a user who may read it; a child then changes to what the
case asks for. A case is a line of JSON on stdin, its outcome a line on stdout. `Commands`
is the other end.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.fork_server import exit_code_of_main, load_program, server_environment

_SHOWN = 100_000
_PR_SET_PDEATHSIG = 1
_TELL_WHERE = signal.SIGUSR2
_STANDARD = ("stdin", "stdout", "stderr")
FOREIGN_UID = 54321
"""A user that has no entry in passwd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command and its surroundings. Paths are absolute.

    `streams` names a file for a standard stream, or None to close it. A command that
    still runs after `term_after_s` gets SIGTERM, and after `kill_after_s` more SIGKILL.
    `fail` is (errno, function, nth): among the calls of a function of `os` with a path
    below `fail_below`, the nth fails; 0 stands for all of them.
    """

    arguments: Sequence[str]
    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)
    uid: int = 0
    streams: Mapping[str, str | None] = field(default_factory=dict)
    memory: int = 400 << 20
    term_after_s: float = 30.0
    kill_after_s: float = 30.0
    is_cwd_removed: bool = False
    fail: tuple[int, str, int] | None = None
    fail_below: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended. `code` is negative for a signal; `calls` counts the calls that
    could have failed, by function.
    """

    code: int
    output: str
    messages: str
    seconds: float
    is_terminated: bool
    calls: Mapping[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return f"{self.output}\n{self.messages}"


class Commands:
    """The process that forks the commands."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.forked_commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=server_environment(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.communicate()

    def run(self, case: Case) -> Outcome:
        """Run a command to its end."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(asdict(case)) + "\n")
        self._server.stdin.flush()
        return Outcome(**json.loads(self._server.stdout.readline()))


def _serve() -> None:
    load_program()
    for line in sys.stdin:
        case = Case(**json.loads(line))
        print(json.dumps(asdict(_outcome(case))), flush=True)


def _outcome(case: Case) -> Outcome:
    out, messages, calls = (os.memfd_create(name) for name in ("out", "messages", "calls"))
    begun_s = time.monotonic()
    child = os.fork()
    if not child:
        code = 70
        try:
            _become(case, out, messages)
            code = _main(case, calls, messages)
        except BaseException:  # noqa: BLE001 - the tests look for any exception
            import traceback

            os.write(messages, traceback.format_exc().encode(errors="backslashreplace"))
        finally:
            os._exit(code)
    status, is_terminated = _wait(child, case)
    texts = []
    for descriptor in (out, messages, calls):
        os.lseek(descriptor, 0, os.SEEK_SET)
        texts.append(os.read(descriptor, _SHOWN).decode(errors="backslashreplace"))
        os.close(descriptor)
    return Outcome(
        code=os.waitstatus_to_exitcode(status),
        output=texts[0],
        messages=texts[1],
        seconds=time.monotonic() - begun_s,
        is_terminated=is_terminated,
        calls=json.loads(texts[2] or "{}"),
    )


def _wait(child: int, case: Case) -> tuple[int, bool]:
    """Wait for a child with two limits; return its status and whether it was terminated."""
    descriptor = os.pidfd_open(child)
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    is_terminated = False
    if not poll.poll(case.term_after_s * 1000):
        is_terminated = True
        signal.pidfd_send_signal(descriptor, _TELL_WHERE)
        poll.poll(100)
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not poll.poll(case.kill_after_s * 1000):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.close(descriptor)
    _, status = os.waitpid(child, 0)
    return status, is_terminated


def _become(case: Case, out: int, messages: int) -> None:
    os.setpgid(0, 0)
    os.chdir(case.cwd)
    if case.is_cwd_removed:
        Path(case.cwd).rmdir()
    given: dict[str, str | int | None] = {
        "stdin": os.devnull,
        "stdout": out,
        "stderr": messages,
        **case.streams,
    }
    for number, name in enumerate(_STANDARD):
        target = given[name]
        if target is None:
            os.close(number)
        else:
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY
            os.dup2(os.open(target, flags) if isinstance(target, str) else target, number)
    os.environ.clear()
    os.environ.update(case.environment)
    os.umask(0o022)
    if case.uid:
        os.setgroups([])
        os.setresgid(case.uid, case.uid, case.uid)
        os.setresuid(case.uid, case.uid, case.uid)
    # When the tests are killed, nothing of them stays running.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_virtual_size() + case.memory,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _virtual_size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _main(case: Case, calls: int, messages: int) -> int:
    """Run the command line as `runner` does; return its exit code."""
    sys.argv = ["runner", *case.arguments]
    for number, name in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            setattr(sys, name, None)
            continue
        setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    faulthandler.register(_TELL_WHERE, file=os.dup(messages), all_threads=False)
    counted: dict[str, int] = _inject(case) if case.fail_below else {}
    try:
        return exit_code_of_main()
    finally:
        os.write(calls, json.dumps(counted).encode())


FUNCTIONS = (
    "stat",
    "lstat",
    "open",
    "scandir",
    "listdir",
    "readlink",
    "access",
    "statvfs",
    "mkdir",
    "unlink",
    "replace",
)
"""What a program asks about a path, by the names in `os`; `io` stands for `open`."""


def _inject(case: Case) -> dict[str, int]:
    """Make calls fail; return how many calls could have failed so far, by function."""
    counted: dict[str, int] = {}
    below = os.fsencode(case.fail_below)
    number, failing, nth = case.fail or (0, "", 0)

    def wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *arguments: Any, **named: Any) -> Any:
            if isinstance(path, str | bytes | os.PathLike) and os.fsencode(path).startswith(below):
                counted[name] = counted.get(name, 0) + 1
                if name == failing and nth in (0, counted[name]):
                    if name == "access":
                        return False
                    raise OSError(number, os.strerror(number), os.fsdecode(path))
            return function(path, *arguments, **named)

        return call

    import builtins
    import io

    for name in FUNCTIONS:
        setattr(os, name, wrapped(name, getattr(os, name)))
    io.open = builtins.open = wrapped("io", io.open)
    return counted


if __name__ == "__main__":
    _serve()
