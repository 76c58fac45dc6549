"""Finds a program, enters its directory, and words why a start fails. Reads files.

The launcher imports this module at each start of a process. So it imports little: no
pathlib, and nothing of the runner.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False  # `typing` takes longer to import than this module
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Arguments = Sequence[str]
    Environment = Mapping[str, str]


class SpawnError(Exception):
    """A process cannot be started; the text says why, in words for people."""


def cause(error: OSError) -> str:
    """Return the system's error in words; for the runner's own file limit, with a fix."""
    if error.errno != errno.EMFILE:
        return error.strerror or str(error)
    return (
        f"{error.strerror}: raise the runner's limit (LimitNOFILE= or `ulimit -n`),"
        " or lower --max-running"
    )


def enter(directory: str) -> None:
    """Change to a directory. Raises SpawnError."""
    try:
        os.chdir(directory)
    except (OSError, ValueError) as error:
        raise SpawnError(_not_entered(directory, error)) from None


def require_enterable(directory: str) -> None:
    """Raise SpawnError unless a process could enter a directory."""
    try:
        os.stat(f"{directory}/.")  # noqa: PTH116  (no pathlib here)
    except (OSError, ValueError) as error:
        raise SpawnError(_not_entered(directory, error)) from None


def _not_entered(directory: str, error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return f"directory {directory!r} contains a character that no path can have"
    match error.errno:
        case errno.ENOENT:
            return f"directory {directory!r} does not exist"
        case errno.ENOTDIR:
            return f"directory {directory!r} is not a directory"
        case errno.EACCES | errno.EPERM:
            return f"no permission to enter directory {directory!r}"
        case _:
            return f"directory {directory!r} cannot be entered: {error.strerror}"


def find(name: str, environment: Environment, directory: str) -> str:
    """Return the path of a program, found as execvp(3) does.

    A name with a slash is returned as it is. Otherwise search PATH of `environment`; an
    empty entry there means `directory`, and a relative entry or result is relative to
    `directory`. Raises SpawnError if PATH has no executable program of that name.
    """
    if not name:
        raise SpawnError("the name of the program is empty")
    if "/" in name or "\0" in name:
        return name
    search = environment.get("PATH", os.defpath)
    places = [f"{folder}/{name}" if folder else f"./{name}" for folder in search.split(":")]
    for place in places:
        at = f"{directory}/{place}" if place[0] != "/" else place
        if os.access(at, os.X_OK) and _is_file(at):
            return place
    if files := [place for place in places if _is_file(os.path.join(directory, place))]:  # noqa: PTH118
        raise SpawnError(f"program {files[0]!r} is not executable (chmod +x)")
    raise SpawnError(f"program {name!r} is not in PATH ({search})")


def refusal(
    error: OSError, program: str, directory: str, arguments: Arguments, environment: Environment
) -> str:
    """Return in words why the system did not start a program."""
    at = os.path.join(directory, program)  # noqa: PTH118  (no pathlib here)
    place = "" if program.startswith("/") else f" in directory {directory!r}"
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ELOOP if not _is_file(at):
            return f"program {program!r} does not exist{place}"
        case errno.ENOENT:
            interpreter = _interpreter(at)
            return (
                f"program {program!r} needs the interpreter {interpreter!r}, which does not exist"
            )
        case errno.EACCES if os.path.isdir(at):  # noqa: PTH112  (no pathlib here)
            return f"program {program!r} is a directory{place}"
        case errno.EACCES if _is_file(at) and not os.access(at, os.X_OK):
            return f"program {program!r} is not executable{place} (chmod +x)"
        case errno.EACCES:
            return f"no permission to execute program {program!r}{place}"
        case errno.ENOEXEC:
            return (
                f"program {program!r} is neither a binary of this machine"
                " nor a script that begins with #!"
            )
        case errno.E2BIG:
            return _too_long(arguments, environment)
        case errno.EAGAIN | errno.ENOMEM:
            return (
                f"program {program!r}: the system has no room for another process"
                f" ({error.strerror})"
            )
        case _:
            return f"program {program!r} cannot be started: {error.strerror}"


def unfit(arguments: Arguments, environment: Environment) -> str | None:
    """Return in words which argument or variable no program can receive; None if all fit.

    Show no values: they may be secrets.
    """
    for index, argument in enumerate(arguments):
        if not _is_passable(argument):
            return (
                f"argument {index} contains a NUL or another character"
                " that cannot be passed to a program"
            )
    for name, value in environment.items():
        if not name or "=" in name or not _is_passable(name):
            return f"{name!r} is not a valid name for an environment variable"
        if not _is_passable(value):
            return (
                f"environment variable {name} contains a NUL or another character"
                " that cannot be passed to a program"
            )
    return None


def _is_file(path: str) -> bool:
    try:
        # Each start calls this many times, and Path.stat takes five times as long.
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _interpreter(program: str) -> str:
    """Return the interpreter that the #! line names, or words for a binary's loader."""
    with open(program, "rb") as file:  # noqa: PTH123  (no pathlib here)
        line = file.readline(4096)
    words = line[2:].removesuffix(b"\n").split(b" ")
    return (
        os.fsdecode(next(filter(None, words), b""))
        if line.startswith(b"#!")
        else "of its binary format"
    )


def _too_long(arguments: Arguments, environment: Environment) -> str:
    arguments_size = sum(len(os.fsencode(argument)) + 1 for argument in arguments)
    environment_size = sum(
        len(os.fsencode(f"{name}={value}")) + 1 for name, value in environment.items()
    )
    return (
        f"the arguments ({arguments_size} bytes) or the environment ({environment_size} bytes)"
        " exceed the limit of the system; on Linux, one argument or variable may have 128 KiB"
    )


def _is_passable(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
