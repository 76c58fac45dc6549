"""Starting one program by posix_spawn. Touches processes, files and, for the moment of a start, the working directory:
posix_spawn knows no directory of its own, and what else would (a fork with Python code in the child) costs four times
as much.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.execution.open_files import below_former_limit
from runner.execution.program import SpawnError, cause, enter, find, refusal, unfit
from runner.requests.model import Limits, RunAs

__all__ = ["Launch", "SpawnError", "open_output", "spawn_session", "start_program"]

# A child would inherit what we, or whoever started us, ignore: Python itself ignores SIGPIPE and SIGXFSZ.
_ALL_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_HERE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# Not blocking, for what a process may have put in the place of its output; a regular file takes no notice of it.
_OUTPUT = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is to be started. `arguments` as for exec; the program is found by PATH of `environment`, or relative to
    `directory` if it has a slash. `environment` is complete, but for the variables of a login under `run_as`, which go
    below it: RUNNER_EXECUTION_ID in it is how the tree is known again.
    stdout and stderr go to `output_file`, which is created, its folder too; it is stopped when that has grown past
    `output_limit` bytes. `secrets` are values that nothing may show. With `is_callable` the one argument is a callable,
    package.module:function. `is_stderr_told` has its exit tell whether it wrote to stderr."""

    execution: str
    arguments: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    output_file: str
    stop_signal: int
    stop_grace_s: float
    timeout_s: float | None
    stdin: str | None = None
    run_as: RunAs | None = None
    umask: int | None = None
    nice: int | None = None
    limits: Limits | None = None
    output_limit: int | None = None
    secrets: frozenset[str] = frozenset()
    is_callable: bool = False
    is_stderr_told: bool = False


def start_program(launch: Launch) -> int:
    """Start it in a session of its own, without signals, masks or descriptors of ours; return its pid.

    Raises SpawnError. Whatever happens, no descriptor is left open, and the working directory is what it was.
    """
    output = open_output(launch.output_file)
    try:
        with _inside(launch.directory):
            return _spawn_here(launch, find(launch.arguments[0], launch.environment), output)
    finally:
        os.close(output)


def _spawn_here(launch: Launch, program: str, output: int) -> int:
    arguments, environment = launch.arguments, launch.environment
    try:
        with below_former_limit(output) as low:
            return spawn_session(program, arguments, environment, output=low)
    except ValueError:
        text = unfit(arguments, environment) or "the arguments or the environment cannot be given to a program"
        raise SpawnError(text) from None
    except OSError as error:
        raise SpawnError(refusal(error, program, launch.directory, arguments, environment)) from None


def spawn_session(
    program: str, arguments: tuple[str, ...], environment: Mapping[str, str], *, output: int, passed: Sequence[int] = ()
) -> int:
    """Start a program in a session of its own; `passed` descriptors stay open in it. Raises OSError and ValueError."""
    return os.posix_spawn(
        program,
        arguments,
        environment,
        # stdin last: where our own 0 to 2 are closed, `output` may be one of them
        file_actions=[
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            *((os.POSIX_SPAWN_DUP2, descriptor, descriptor) for descriptor in passed),  # which takes its CLOEXEC away
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=_ALL_SIGNALS,
    )


def open_output(path: str) -> int:
    """Open the output file, made with its folder if need be. Raises SpawnError, also for a link or a FIFO there."""
    try:
        try:
            descriptor = os.open(path, _OUTPUT, 0o600)
        except FileNotFoundError:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, _OUTPUT, 0o600)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    except OSError as error:
        raise SpawnError(f"output file {path!r} cannot be written: {cause(error)}") from None
    raise SpawnError(f"output file {path!r} cannot be written: it is not a regular file")


@contextmanager
def _inside(directory: str) -> Iterator[None]:
    """Be in `directory` for a moment. Raises SpawnError."""
    try:
        here = os.open(".", _HERE)
    except OSError as error:
        raise SpawnError(f"the runner's own directory cannot be opened: {cause(error)}") from None
    try:
        enter(directory)
        yield
    finally:
        os.fchdir(here)
        os.close(here)
