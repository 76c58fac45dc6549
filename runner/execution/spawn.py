"""Starting one program by posix_spawn, and saying in words why that failed. Touches processes, files and, for the
moment of a start, the working directory: posix_spawn knows no directory of its own, and what else would (a fork with
Python code in the child) costs four times as much.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.requests.model import Limits, RunAs

# A child would inherit what we, or whoever started us, ignore: Python itself ignores SIGPIPE and SIGXFSZ.
_ALL_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_HERE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_OUTPUT = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is to be started. `arguments` as for exec; the program is found by PATH of `environment`, or relative to
    `directory` if it has a slash. `environment` is complete: RUNNER_EXECUTION_ID in it is how the tree is known again.
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


class SpawnError(Exception):
    """A process could not be started; the text says why, in words for people."""


def start_program(launch: Launch) -> int:
    """Start it in a session of its own, without signals, masks or descriptors of ours; return its pid.

    Raises SpawnError. Whatever happens, no descriptor is left open, and the working directory is what it was.
    """
    output = _open_output(launch.output_file)
    try:
        with _inside(launch.directory):
            return _posix_spawn(launch, _find(launch.arguments[0], launch.environment), output)
    finally:
        os.close(output)


def _posix_spawn(launch: Launch, program: str, output: int) -> int:
    try:
        return os.posix_spawn(
            program,
            launch.arguments,
            launch.environment,
            # stdin last: where our own 0 to 2 are closed, `output` may be one of them
            file_actions=[
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_ALL_SIGNALS,
        )
    except ValueError:
        raise SpawnError(_unfit_text(launch)) from None
    except OSError as error:
        raise SpawnError(_refusal(error, program, launch)) from None


def _open_output(path: str) -> int:
    try:
        try:
            return os.open(path, _OUTPUT, 0o600)
        except FileNotFoundError:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, _OUTPUT, 0o600)
    except OSError as error:
        raise SpawnError(f"output file {path!r} cannot be written: {error.strerror}") from None


@contextmanager
def _inside(directory: str) -> Iterator[None]:
    """Be in `directory` for a moment. Raises SpawnError."""
    try:
        here = os.open(".", _HERE)
    except OSError as error:
        raise SpawnError(f"the runner's own directory cannot be opened: {error.strerror}") from None
    try:
        _enter(directory)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except FileNotFoundError:
        raise SpawnError(f"directory {directory!r} does not exist") from None
    except NotADirectoryError:
        raise SpawnError(f"directory {directory!r} is not a directory") from None
    except PermissionError:
        raise SpawnError(f"no permission to enter directory {directory!r}") from None
    except OSError as error:
        raise SpawnError(f"directory {directory!r} cannot be entered: {error.strerror}") from None
    except ValueError:
        raise SpawnError(f"directory {directory!r} contains a character that no path can have") from None


def _find(name: str, environment: Mapping[str, str]) -> str:
    """Return the path of a program as execvp(3) finds it: by PATH, where an empty entry is the directory itself.

    Raises SpawnError if PATH has none that may be executed.
    """
    if not name:
        raise SpawnError("the name of the program is empty")
    if "/" in name or "\0" in name:
        return name
    search = environment.get("PATH", os.defpath)
    places = [f"{folder}/{name}" if folder else f"./{name}" for folder in search.split(":")]
    for place in places:
        if os.access(place, os.X_OK) and _is_file(place):
            return place
    if files := [place for place in places if _is_file(place)]:
        raise SpawnError(f"program {files[0]!r} is not executable (chmod +x)")
    raise SpawnError(f"program {name!r} is not in PATH ({search})")


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116  (many of these a start; Path takes five times as long)
    except (OSError, ValueError):
        return False


def _refusal(error: OSError, program: str, launch: Launch) -> str:
    """Say why the system did not start a program. Only called inside the launch's directory."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ELOOP if not _is_file(program):
            return f"program {program!r} does not exist{_place(program, launch)}"
        case errno.ENOENT:
            return f"program {program!r} needs the interpreter {_interpreter(program)!r}, which does not exist"
        case errno.EACCES if Path(program).is_dir():
            return f"program {program!r} is a directory{_place(program, launch)}"
        case errno.EACCES if _is_file(program) and not os.access(program, os.X_OK):
            return f"program {program!r} is not executable{_place(program, launch)} (chmod +x)"
        case errno.EACCES:
            return f"no permission to execute program {program!r}{_place(program, launch)}"
        case errno.ENOEXEC:
            return f"program {program!r} is neither a binary of this machine nor a script that begins with #!"
        case errno.E2BIG:
            return _too_long(launch)
        case errno.EAGAIN | errno.ENOMEM:
            return f"program {program!r}: the system has no room for another process ({error.strerror})"
        case _:
            return f"program {program!r} cannot be started: {error.strerror}"


def _place(program: str, launch: Launch) -> str:
    return "" if program.startswith("/") else f" in directory {launch.directory!r}"


def _interpreter(program: str) -> str:
    """Return what the #! line names; a binary names its loader in a place that is nobody's concern."""
    with Path(program).open("rb") as file:
        line = file.readline(4096)
    words = line[2:].removesuffix(b"\n").split(b" ")
    return os.fsdecode(next(filter(None, words), b"")) if line.startswith(b"#!") else "of its binary format"


def _too_long(launch: Launch) -> str:
    arguments = sum(len(os.fsencode(argument)) + 1 for argument in launch.arguments)
    environment = sum(len(os.fsencode(f"{name}={value}")) + 1 for name, value in launch.environment.items())
    return (
        f"the arguments ({arguments} bytes) or the environment ({environment} bytes) are longer than the system"
        " allows, which on Linux is 128 KiB for a single one of them"
    )


def _unfit_text(launch: Launch) -> str:
    """Name what no program can be given. Values are not shown: they may be secrets."""
    for index, argument in enumerate(launch.arguments):
        if not _is_passable(argument):
            return f"argument {index} contains a NUL or another character that no program can be given"
    for name, value in launch.environment.items():
        if not name or "=" in name or not _is_passable(name):
            return f"{name!r} is no name for an environment variable"
        if not _is_passable(value):
            return f"environment variable {name} contains a NUL or another character that no program can be given"
    return "the arguments or the environment cannot be given to a program"


def _is_passable(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
