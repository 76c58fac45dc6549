"""Starting one program by posix_spawn. Touches processes and files; any step may hang on them."""

from __future__ import annotations

import os
import signal
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

# A child would inherit what we, or whoever started us, ignore: Python itself ignores
# SIGPIPE and SIGXFSZ.
_ALL_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_HERE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# Not blocking, for what a process may have put in the place of its output; a regular
# file takes no notice of it.
_OUTPUT = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is to be started. `arguments` as for exec; the program is found by PATH of
    `environment`, or relative to `directory` if it has a slash. `environment` is
    complete, but for the variables of a login under `run_as`, which go below it:
    RUNNER_EXECUTION_ID in it is how the tree is known again. stdout and stderr go to
    `output_file`, which is created, its folder too; it is stopped when that has grown
    past `output_limit` bytes. `secrets` are values that nothing may show. With
    `is_callable` the one argument is a callable, package.module:function.
    `is_stderr_told` has its exit tell whether it wrote to stderr.
    """

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
    """Start it in a session of its own, without signals, masks or descriptors of ours;
    return its pid.

    Raises SpawnError. Whatever happens, no descriptor is left open.
    """
    output = open_output(launch.output_file)
    arguments, environment, directory = launch.arguments, launch.environment, launch.directory
    try:
        require_enterable(directory)
        program = find(arguments[0], environment, directory)
        with below_former_limit(output) as low:
            return native_spawn.spawn(
                program, arguments, environment, output=low, directory=directory
            )
    except ValueError:
        text = (
            unfit(arguments, environment)
            or "the arguments or the environment cannot be given to a program"
        )
        raise SpawnError(text) from None
    except OSError as error:
        raise SpawnError(refusal(error, program, directory, arguments, environment)) from None
    finally:
        os.close(output)


def open_output(path: str) -> int:
    """Open the output file, made with its folder if need be. Raises SpawnError, also
    for a link or a FIFO there.
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
