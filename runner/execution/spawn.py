"""Starts a program by posix_spawn. Touches processes and files; any step may hang."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.execution import native_spawn
from runner.execution.child.program import (
    SpawnError,
    cause,
    find,
    refusal,
    require_enterable,
    unfit,
)
from runner.execution.open_files import below_former_limit
from runner.requests.model import Limits, RunAs

__all__ = ["Launch", "SpawnError", "open_output", "start_program"]

# O_NONBLOCK: a process may put a FIFO in the place of its output. For a regular file the
# flag has no effect.
_OUTPUT = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything needed to start a process."""

    execution: str
    arguments: tuple[str, ...]
    """As for exec. A program without a slash is found by PATH of `environment`; one with
    a slash is relative to `directory`. With `is_callable`: package.module:function alone.
    """
    directory: str
    environment: Mapping[str, str]
    """The complete environment. RUNNER_EXECUTION_ID in it identifies the process tree.
    Under `run_as`, the variables of a login are added where it has none.
    """
    output_file: str
    """Receives stdout and stderr; created with its folder."""
    stop_signal: int
    stop_grace_s: float
    timeout_s: float | None
    stdin: str | None = None
    run_as: RunAs | None = None
    umask: int | None = None
    nice: int | None = None
    limits: Limits | None = None
    output_limit: int | None = None
    """Bytes of output after which the process is stopped."""
    secrets: frozenset[str] = frozenset()
    """Values to mask in the output and in all messages."""
    is_callable: bool = False
    is_stderr_reported: bool = False
    """Whether the exit must say if the process wrote to stderr."""


def start_program(launch: Launch, output: int) -> int:
    """Start a program in a session of its own; return its pid.

    It inherits no ignored signal, no signal mask and no descriptor of the runner, except
    `output` as its stdout and stderr. Raises SpawnError and UnattendedError.
    """
    arguments, environment, directory = launch.arguments, launch.environment, launch.directory
    try:
        require_enterable(directory)
        program = find(arguments[0], environment, directory)
        return native_spawn.spawn(
            program,
            arguments,
            environment,
            output=output,
            directory=directory,
            during=below_former_limit(launch.execution),
        )
    except ValueError:
        text = (
            unfit(arguments, environment)
            or "the arguments or the environment cannot be given to a program"
        )
        raise SpawnError(text) from None
    except OSError as error:
        raise SpawnError(refusal(error, program, directory, arguments, environment)) from None


def open_output(path: str) -> int:
    """Open the output file for appending; create it and its folder if missing.

    Raises SpawnError, also if a link or a FIFO is in its place.
    """
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
